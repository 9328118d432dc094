"""Engines: what runs a model file. One file each, behind one small interface.

Adding an engine is one file and one line in :data:`KINDS`.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from ...errors import InputError, UsageError, nearest

logger = logging.getLogger(__name__)


class Engine(Protocol):
    """Runs one model file.

    Attributes:
        name: of the engine, for the record.
        metadata: what the exporter wrote into the file, key -> decoded value.
        image_shape: (n, 1, y, x) that the network takes, None where any length will do.
        logits_shape: (n, classes, y, x) that it gives, likewise.
    """

    name: str
    metadata: dict[str, object]
    image_shape: tuple[int | None, ...]
    logits_shape: tuple[int | None, ...]

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Return logits [n, classes, y, x] float32 of images [n, 1, y, x] float32; the caller may write to
        them.
        """
        ...


def _onnxruntime(path: Path, threads: int | None) -> Engine:
    from .onnx import OnnxEngine

    return OnnxEngine(path, threads)


def _cuda(path: Path, threads: int | None) -> Engine:
    from .onnx import OnnxEngine

    return OnnxEngine(path, threads, cuda=True)


def _openvino(path: Path, threads: int | None) -> Engine:
    from .openvino import OpenVinoEngine

    return OpenVinoEngine(path, threads)


def _openvino_gpu(path: Path, threads: int | None) -> Engine:
    from .openvino import OpenVinoEngine

    return OpenVinoEngine(path, threads, device="GPU")


@dataclass(frozen=True)
class Kind:
    """One way to run a model file.

    Attributes:
        open: takes the file and the number of threads.
        suffixes: of the files that it runs.
        automatic: whether ``auto`` may pick it.
    """

    open: Callable[[Path, int | None], Engine]
    suffixes: tuple[str, ...]
    automatic: bool = True


#: Engines by name, in the order in which ``auto`` tries those that run a file. On a CPU ``model.onnx`` goes
#: to ONNX Runtime: for one scan as fast as OpenVINO, in less memory (docs/export.md).
KINDS = {
    "cuda": Kind(_cuda, (".onnx",)),
    "onnxruntime": Kind(_onnxruntime, (".onnx",)),
    "openvino": Kind(_openvino, (".onnx", ".xml")),
    "openvino-gpu": Kind(_openvino_gpu, (".onnx", ".xml"), automatic=False),
}
#: What ``--engine`` takes.
NAMES = ("auto", *KINDS)
#: The files that a model folder may hold, in the order in which they are looked for.
MODEL_FILES = ("model.onnx", "model.xml")


def model_file(folder: Path) -> Path:
    """Return the model file of a run, bundle or export; ``model.onnx`` where there is none at all."""
    return next((folder / n for n in MODEL_FILES if (folder / n).is_file()), folder / MODEL_FILES[0])


def files_of(path: Path) -> list[Path]:
    """Return all files that a model file consists of: OpenVINO keeps its weights in a second one."""
    return [path, path.with_suffix(".bin")] if path.suffix == ".xml" else [path]


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def open_engine(path: Path, threads: int | None = None, engine: str = "auto") -> Engine:
    """Open a model file.

    Args:
        path: ``model.onnx`` or ``model.xml``.
        threads: of one inference; None takes all cores that this process may use.
        engine: one of :data:`NAMES`. ``"auto"`` takes CUDA where it is installed, else ONNX Runtime, and
            OpenVINO for ``model.xml``; which one it was is logged (``-v``) and stands in every record.

    Raises:
        UsageError: no such engine, or one that does not run this kind of file. MissingExtraError: it is not
            installed. InputError: missing or damaged file.
    """
    if engine not in NAMES:
        raise UsageError(f"no engine {engine!r}{nearest(engine, NAMES)}")
    if not path.is_file():
        raise InputError(f"{path}: no such model file")
    able = [name for name, kind in KINDS.items() if path.suffix in kind.suffixes]
    if engine != "auto":
        if engine not in able:
            raise UsageError(
                f"the engine {engine} does not run {path.name}; take {' or '.join(able)}, or export the "
                "model again with --to onnx"
            )
        return KINDS[engine].open(path, threads)
    opened = _first_installed([name for name in able if KINDS[name].automatic], path, threads)
    logger.info("engine: %s (--engine chooses another)", opened.name)
    return opened


def _first_installed(names: list[str], path: Path, threads: int | None) -> Engine:
    for name in names[:-1]:
        try:
            return KINDS[name].open(path, threads)
        except UsageError as missing:
            logger.debug("engine %s: %s", name, missing)
    return KINDS[names[-1]].open(path, threads)


__all__ = ["KINDS", "MODEL_FILES", "NAMES", "Engine", "files_of", "model_file", "open_engine"]
