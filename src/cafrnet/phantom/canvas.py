"""A plane through the patient on which structures are painted one over the other."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .shapes import coverage


@dataclass
class Canvas:
    """One sagittal plane: signal and labels, and where its pixels lie in model coordinates.

    Arrays have the axes (antero-posterior, cranio-caudal) of the scan.

    Attributes:
        x: model coordinate to the right, in mm.
        y: to the front.
        z: upwards; one row only, since the plane is never tilted about the left-right axis.
        signal: what was painted so far.
        labels: ids of the label table; None where only signal is wanted.
        texture: random fields, by name of their scale.
        pixel_mm: pixel size.
    """

    x: np.ndarray
    y: np.ndarray
    z: np.ndarray
    signal: np.ndarray
    labels: np.ndarray | None
    texture: dict[str, np.ndarray]
    pixel_mm: float

    def __post_init__(self) -> None:
        """Keep the reach of the plane, to find boxes quickly."""
        self._y = np.stack([self.y.min(axis=1), self.y.max(axis=1)])
        self.x_range = (float(self.x.min()), float(self.x.max()))

    def box(self, y_mm: tuple[float, float], z_mm: tuple[float, float]) -> tuple[slice, slice] | None:
        """Return the index box that holds all pixels in the given ranges, or None if there is none."""
        rows = np.flatnonzero((self._y[1] >= y_mm[0]) & (self._y[0] <= y_mm[1]))
        columns = np.flatnonzero((self.z[0] >= z_mm[0]) & (self.z[0] <= z_mm[1]))
        if not rows.size or not columns.size:
            return None
        return slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)

    def at(self, box: tuple[slice, slice]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return x, y, z of the pixels in a box; z as one row."""
        return self.x[box], self.y[box], self.z[:, box[1]]

    def paint(
        self,
        box: tuple[slice, slice],
        distance_mm: np.ndarray,
        signal: np.ndarray | float,
        label: int | None = None,
        labelled_mm: np.ndarray | None = None,
    ) -> None:
        """Paint a shape over what is there.

        Args:
            box: where, as :meth:`box` returned it.
            distance_mm: signed distance to the shape, of the box's shape, negative inside.
            signal: its signal.
            label: its id; None paints no label.
            labelled_mm: signed distance to the part of it that is labelled, where that is not all of it.
        """
        share = coverage(distance_mm, self.pixel_mm)
        target = self.signal[box]
        target += share * (signal - target)
        if label is not None and self.labels is not None:
            labelled = distance_mm if labelled_mm is None else np.maximum(distance_mm, labelled_mm)
            self.labels[box][labelled < 0] = label
