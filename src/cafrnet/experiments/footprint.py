"""One network in a process of its own, with the runtime wing alone: what it holds there.

Imports neither PyTorch nor what trains: the memory of a measuring harness is no network's.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..inference.engines import Engine, open_engine
from ..processes import pool
from .memory import process_peak_mb

#: What all models are measured with.
ENGINE = "onnxruntime"


def measure_memory(model: Path, threads: int) -> tuple[float | None, float | None]:
    """Return the memory in MB of a fresh process before it loads the model, and its peak after one slice.

    Both are None where the system doesn't tell.
    """
    with pool(1) as fresh:
        return fresh.submit(_peak, model, threads).result()


def one_slice(engine: Engine) -> np.ndarray:
    """Return noise [1, 1, y, x] float32 in the size that the model takes, 256 where any will do."""
    rng = np.random.default_rng(0)
    edges = [n or 256 for n in engine.image_shape[2:]]
    return rng.random((1, 1, *edges), np.float32)


def _peak(model: Path, threads: int) -> tuple[float | None, float | None]:
    import onnxruntime  # noqa: F401 - its own memory is no model's

    idle = process_peak_mb()
    engine = open_engine(model, threads, ENGINE)
    engine(one_slice(engine))
    return idle, process_peak_mb()
