"""OpenVINO, on the CPU or on an Intel GPU; it reads ``model.onnx`` as well as its own ``model.xml``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ...errors import InputError, MissingExtraError, UsageError
from ...files import sha256
from .metadata import PREFIX, cannot_run, check_sides, damaged, decode
from .out_of_memory import as_memory_error

#: Where an IR keeps our entries; an ONNX file's come under "framework".
PLACES = ("cafrnet", "framework")
#: Marks the logits of the last call: where memory runs out OpenVINO hands them out again without a word.
UNTOUCHED = np.float32(-1.2345e37)


class OpenVinoEngine:
    """A compiled model of OpenVINO.

    Args:
        path: ``model.onnx``, or ``model.xml`` with ``model.bin`` beside it.
        threads: of one inference; None takes all cores that this process may use. The GPU ignores it.
        device: ``"CPU"`` or ``"GPU"``.

    Numbers are fp32 on the CPU (int8 where the model is quantised), though newer processors would silently be
    given bf16: labels must not depend on the machine. An Intel GPU computes in fp16, as it does by default.

    Raises:
        MissingExtraError: OpenVINO is not installed. UsageError: no such device.
        InputError: damaged, or with other inputs and outputs than an image and its logits, or a network that
            it has no kernels for.
    """

    def __init__(self, path: Path, threads: int | None = None, *, device: str = "CPU") -> None:
        try:
            import openvino
        except ImportError as error:
            raise MissingExtraError("the engine openvino", "openvino") from error
        core = openvino.Core()
        if device not in {d.partition(".")[0] for d in core.available_devices}:
            raise UsageError(
                f"OpenVINO finds no {device} here, only {', '.join(core.available_devices) or 'nothing'}; "
                "take --engine openvino, or install the driver"
            )
        self.name = "openvino" if device == "CPU" else f"openvino-{device.lower()}"
        try:
            model = core.read_model(path)
        except Exception as error:  # plain RuntimeError
            raise damaged(path, "ONNX" if path.suffix == ".onnx" else "OpenVINO", error) from error
        self.metadata = decode(_entries(model), path)
        _check_weights(path, self.metadata)
        check_sides(
            [len(i.partial_shape) for i in model.inputs], [len(o.partial_shape) for o in model.outputs], path
        )
        self.image_shape, self.logits_shape = _lengths(model.input()), _lengths(model.output())
        try:
            self._request = core.compile_model(
                model, device, _options(device, threads)
            ).create_infer_request()
        except Exception as error:
            raise cannot_run(path, "OpenVINO", error) from error

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Return logits [n, classes, y, x] of images [n, 1, y, x].

        Raises:
            MemoryError: there is none for so many slices.
        """
        self._request.get_output_tensor().data[:, 0, 0, 0] = UNTOUCHED
        with as_memory_error():
            logits = np.array(self._request.infer({0: images})[0])
        if len(logits) != len(images) or (logits[:, 0, 0, 0] == UNTOUCHED).any():
            raise MemoryError("for the network")
        return logits


def _options(device: str, threads: int | None) -> dict[str, Any]:
    from . import cores

    options: dict[str, Any] = {"PERFORMANCE_HINT": "LATENCY", "NUM_STREAMS": 1}
    if device == "CPU":
        options |= {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": threads or cores()}
    return options


def _entries(model: Any) -> dict[str, str]:
    """Return the metadata of a model as text: key -> value."""
    for place in PLACES:
        if model.has_rt_info([place]):
            found = model.get_rt_info([place]).value
            if isinstance(found, dict):
                entries = {k if k.startswith(PREFIX) else PREFIX + k: str(v) for k, v in found.items()}
                return entries if place == "cafrnet" else {k: str(v) for k, v in found.items()}
    return {}


def _check_weights(path: Path, metadata: dict[str, object]) -> None:
    """Raise InputError where the weights beside an IR are not those it was written with.

    OpenVINO itself compares their length only.
    """
    if path.suffix != ".xml":
        return
    weights = path.with_suffix(".bin")
    if metadata.get("weights_sha256") != sha256(weights):
        raise InputError(
            f"{weights} is damaged or belongs to another model than {path.name}; copy or export both again"
        )


def _lengths(side: Any) -> tuple[int | None, ...]:
    """Return fixed lengths, and None for free ones."""
    return tuple(None if n.is_dynamic else n.get_length() for n in side.partial_shape)
