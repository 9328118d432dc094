"""A calibration into ``model.onnx``, where every copy of the model keeps it."""

from __future__ import annotations

import json
from pathlib import Path

from ...anatomy.prices import NamingModel
from ...bundles.layout import is_bundle
from ...errors import InputError, UsageError
from ...files import whole_file
from ...inference.calibration import Calibration


def store(run: Path, calibration: Calibration, naming: NamingModel | None = None) -> None:
    """Write a calibration into a run's model file; weights and graph stay bit for bit.

    Args:
        run: folder of a run.
        calibration: replaces one that is there.
        naming: what was fitted for naming the column, if that is to be stored, too.

    Raises:
        UsageError: a bundle, whose hashes are settled. InputError: the file can't be read or written.
    """
    import onnx

    if is_bundle(run):
        raise UsageError(
            f"{run} is a bundle, which is never changed; calibrate the run and make the bundle again"
        )
    path = run / "model.onnx"
    try:
        model = onnx.load(path)
    except Exception as error:  # protobuf's errors share no public base class
        raise InputError(f"{path} is missing or damaged ({error}); export it again") from error
    entries = {"cafrnet.calibration": calibration.to_dict()}
    if naming is not None:
        entries["cafrnet.naming"] = naming.to_dict()
    kept = [entry for entry in model.metadata_props if entry.key not in entries]
    del model.metadata_props[:]
    model.metadata_props.extend(kept)
    for key, value in entries.items():
        entry = model.metadata_props.add()
        entry.key, entry.value = key, json.dumps(value, allow_nan=False)
    with whole_file(path) as temporary:
        onnx.save(model, temporary)
