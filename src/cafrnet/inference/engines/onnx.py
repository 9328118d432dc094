"""ONNX Runtime on the CPU."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from ...errors import InputError


class OnnxEngine:
    """A session of ONNX Runtime.

    Args:
        path: ``model.onnx``.
        threads: of one inference; None takes all cores.

    Raises:
        InputError: missing, damaged, or with other inputs and outputs than an image and its logits.
    """

    name = "onnxruntime"

    def __init__(self, path: Path, threads: int | None = None) -> None:
        import onnxruntime

        if not path.is_file():
            raise InputError(f"{path}: no such model file")
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        options.enable_cpu_mem_arena = False  # the arena would keep the peak of the largest batch for good
        if threads:
            options.intra_op_num_threads = threads
        try:
            self._session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's exceptions share no public base class
            reason = " ".join(str(error).split())
            raise InputError(
                f"{path} is damaged or no ONNX model ({reason}); copy or export it again"
            ) from error
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        if [len(i.shape) for i in inputs] != [4] or [len(o.shape) for o in outputs] != [4]:
            raise InputError(f"{path} has other inputs or outputs than one image and its logits")
        self._input = inputs[0].name
        self.image_shape, self.logits_shape = _lengths(inputs[0].shape), _lengths(outputs[0].shape)
        raw = self._session.get_modelmeta().custom_metadata_map
        try:
            self.metadata: dict[str, object] = {
                key.removeprefix("cafrnet."): json.loads(value)
                for key, value in raw.items()
                if key.startswith("cafrnet.")
            }
        except ValueError as error:
            raise InputError(f"{path}: the metadata in it is damaged ({error}); export it again") from error

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Return logits [n, classes, y, x] of images [n, 1, y, x]."""
        return self._session.run(None, {self._input: images})[0]


def _lengths(shape: list[int | str | None]) -> tuple[int | None, ...]:
    """Return fixed lengths, and None for those that ONNX gives a name or nothing."""
    return tuple(n if isinstance(n, int) else None for n in shape)
