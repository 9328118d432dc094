"""From ``model.onnx`` to OpenVINO's own form: ``model.xml`` with ``model.bin`` beside it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...errors import InputError, MissingExtraError
from ...files import sha256

#: Where our entries stand in the file's runtime information.
PLACE = "cafrnet"


def need_openvino() -> None:
    """Raise MissingExtraError unless OpenVINO is installed."""
    try:
        import openvino  # noqa: F401
    except ImportError as error:
        raise MissingExtraError("export --to openvino", "openvino") from error


def convert(source: Path, target: Path, metadata: Mapping[str, Any], *, half: bool) -> None:
    """Write an ONNX model as OpenVINO IR.

    Args:
        source: ``model.onnx``; an int8 one stays int8.
        target: ``model.xml``; ``model.bin`` is written beside it. The hash of that file is put into the
            first, since OpenVINO notices a shorter one only.
        metadata: written into the file, values as JSON.
        half: store weights as fp16.

    ``Core.read_model`` does the work; the converter's command line, which reports its use, is not called.

    Raises:
        InputError: OpenVINO could not convert or write it (it gives one kind of error for both).
    """
    import openvino

    try:
        core = openvino.Core()
        model = core.read_model(source)
        for key, value in metadata.items():
            model.set_rt_info(json.dumps(value), [PLACE, key])
        openvino.save_model(model, target, compress_to_fp16=half)
        model.set_rt_info(json.dumps(sha256(target.with_suffix(".bin"))), [PLACE, "weights_sha256"])
        openvino.save_model(model, target, compress_to_fp16=half)
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        raise InputError(f"OpenVINO could not write the model ({reason}); nothing was written") from error
