"""ONNX Runtime, on the CPU or through CUDA."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ...errors import UsageError
from .metadata import check_sides, damaged, decode
from .out_of_memory import as_memory_error

CUDA, CPU = "CUDAExecutionProvider", "CPUExecutionProvider"


class OnnxEngine:
    """A session of ONNX Runtime.

    Args:
        path: ``model.onnx``.
        threads: of one inference; None takes all cores that this process may use.
        cuda: run on an NVIDIA GPU.

    Raises:
        InputError: damaged, or with other inputs and outputs than an image and its logits.
        UsageError: CUDA was asked for and this ONNX Runtime has none, or it doesn't work here.
    """

    def __init__(self, path: Path, threads: int | None = None, *, cuda: bool = False) -> None:
        import onnxruntime

        if cuda:
            _need_cuda(onnxruntime.get_available_providers())
        self.name = "onnxruntime-cuda" if cuda else "onnxruntime"
        try:
            self._session = onnxruntime.InferenceSession(
                path, _options(threads), providers=[CUDA, CPU] if cuda else [CPU]
            )
        except Exception as error:  # onnxruntime's exceptions share no public base class
            raise damaged(path, "ONNX", error) from error
        if cuda and CUDA not in self._session.get_providers():  # it falls back without a word
            raise UsageError(
                "the engine cuda is installed but does not work here: no usable NVIDIA driver, CUDA or "
                "cuDNN; take --engine onnxruntime, or repair them"
            )
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        check_sides([len(i.shape) for i in inputs], [len(o.shape) for o in outputs], path)
        self._input = inputs[0].name
        self.image_shape, self.logits_shape = _lengths(inputs[0].shape), _lengths(outputs[0].shape)
        self.metadata = decode(self._session.get_modelmeta().custom_metadata_map, path)

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Return logits [n, classes, y, x] of images [n, 1, y, x].

        Raises:
            MemoryError: there is none for so many slices.
        """
        with as_memory_error():
            return self._session.run(None, {self._input: images})[0]


def _options(threads: int | None) -> Any:
    """Return the session's options.

    The arena is off: it would keep the peak of the largest batch for good. Threads don't spin while they
    wait: on two cores that changed no latency, and reading, writing and the way back need the cores then.
    """
    import onnxruntime

    from . import cores

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # a provider that can't start says so twice; we say it once
    options.enable_cpu_mem_arena = False
    options.intra_op_num_threads = threads or cores()
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options


def _need_cuda(available: list[str]) -> None:
    """Raise UsageError unless ONNX Runtime was built with CUDA.

    Not an extra: its CUDA build is another package for the same import, and must replace the plain one.
    """
    if CUDA not in available:
        raise UsageError(
            "the engine cuda needs ONNX Runtime's CUDA build, which is not installed: "
            "pip uninstall -y onnxruntime && pip install onnxruntime-gpu"
        )


def _lengths(shape: list[int | str | None]) -> tuple[int | None, ...]:
    """Return fixed lengths, and None for those that ONNX gives a name or nothing."""
    return tuple(n if isinstance(n, int) else None for n in shape)
