"""Engines: what runs a model file. One file each, behind one small interface."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import numpy as np


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
        """Return logits [n, classes, y, x] float32 of images [n, 1, y, x] float32."""
        ...


def open_engine(path: Path, threads: int | None = None) -> Engine:
    """Open a model file with ONNX Runtime, the one engine so far.

    Args:
        path: ``model.onnx``.
        threads: of one inference; None leaves it to the engine.

    Raises:
        InputError: missing or damaged file.
    """
    from .onnx import OnnxEngine

    return OnnxEngine(path, threads)
