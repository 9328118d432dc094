"""A calibration into ``model.onnx``, where every copy of the model keeps it."""

from __future__ import annotations

import json
from pathlib import Path

from ...bundles.layout import is_bundle
from ...errors import InputError, UsageError
from ...files import whole_file
from ...inference.calibration import Calibration

#: Name of the entry in the file's metadata.
KEY = "cafrnet.calibration"


def store(run: Path, calibration: Calibration) -> None:
    """Write a calibration into a run's model file; weights and graph stay bit for bit.

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
    kept = [entry for entry in model.metadata_props if entry.key != KEY]
    del model.metadata_props[:]
    model.metadata_props.extend(kept)
    entry = model.metadata_props.add()
    entry.key, entry.value = KEY, json.dumps(calibration.to_dict(), allow_nan=False)
    with whole_file(path) as temporary:
        onnx.save(model, temporary)
