"""One scan through the model and back to its own grid."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..errors import InputError
from ..labels import TABLE
from ..preprocessing import prepare
from ..scan import Scan, write_labels
from .assemble import native_labels
from .model import Model

#: Slices that go through the network together: enough to fill two cores, few enough to bound memory.
SLICES_AT_ONCE = 4
#: Logit of a class that was not trained: never the largest, and still finite for interpolating.
NOT_TRAINED = -1e4


@dataclass(frozen=True, eq=False)
class Segmentation:
    """A label map and the scan it belongs to.

    Attributes:
        labels: uint8 ids of the label table, in the scan's own array order.
        scan: the scan.
        timings_s: seconds of each step.
    """

    labels: np.ndarray
    scan: Scan
    timings_s: dict[str, float] = field(default_factory=dict)

    @property
    def names(self) -> dict[int, str]:
        """Id -> name of the structures that were found."""
        return {int(i): TABLE[int(i)].name for i in np.unique(self.labels) if i in range(1, len(TABLE))}

    def record(self) -> dict[str, Any]:
        """Return what the scan's JSON says about what was found."""
        return {"structures": [name for _, name in sorted(self.names.items())]}

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the label map in the scan's own geometry; the file is whole or absent."""
        write_labels(self.labels, self.scan, path)


def segment_scan(scan: Scan, model: Model) -> Segmentation:
    """Find the structures of one scan.

    Args:
        scan: sagittal, in any array order.
        model: see :func:`load_model`.

    Returns:
        Labels on the scan's own grid. Memory beyond the scan and its labels does not grow with the number of
        slices: a few slices at a time go through the network and back.

    Raises:
        InputError: the scan is not sagittal, or the network gave something else than finite logits.
    """
    clock = _Clock()
    ready = prepare(scan, model.preprocessing)
    clock.lap("preprocess")
    sagittal = np.zeros(ready.grid.native_shape, np.uint8)
    for first in range(0, len(ready.images), SLICES_AT_ONCE):
        logits = _logits(model, ready.images[first : first + SLICES_AT_ONCE, None])
        clock.lap("model")
        for k in range(len(logits)):
            sagittal[first + k] = native_labels(logits[k], ready.grid)
        del logits  # before the next ones are made
        clock.lap("to_native_grid")
    labels = np.ascontiguousarray(scan.frame.to_array(sagittal))
    clock.lap("to_native_grid")
    return Segmentation(labels, scan, clock.seconds)


def _logits(model: Model, images: np.ndarray) -> np.ndarray:
    """Return the logits of a few slices, checked; classes that were not trained can't win."""
    logits = model.engine(images)
    expected = (len(images), model.num_classes, *images.shape[2:])
    if logits.shape != expected:
        raise InputError(f"{model.path}: logits of shape {logits.shape} came, {expected} was expected")
    if not np.isfinite(logits).all():
        raise InputError(f"{model.path}: the model gave NaN or infinite logits; export it again")
    if model.not_trained_ids:
        logits[:, list(model.not_trained_ids)] = NOT_TRAINED
    return logits


class _Clock:
    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._mark = time.perf_counter()

    def lap(self, name: str) -> None:
        now = time.perf_counter()
        self.seconds[name] = self.seconds.get(name, 0.0) + now - self._mark
        self._mark = now
