"""How far along the column a pixel lies: arc length on a smooth curve through its bodies and discs.

Lordosis tilts the lowest discs by 40 degrees and more, so that heights in the picture don't tell where one
structure ends and the next begins; planes across a curve do. The curve lies in the sagittal plane: all slices
share it. In this file y runs caudally and x posteriorly, both in mm from the corner of the model grid.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

#: Distance of the points that stand for the curve.
STEP_MM = 1.0
#: The curve goes on straight beyond the outermost bodies and discs for so long.
BEYOND_MM = 80.0
#: A row of bodies and discs this far off the curve counts half in the next fit: a blob beside the column.
OUTLIER_MM = 8.0


@dataclass(frozen=True, eq=False)
class Centreline:
    """A curve from below upwards.

    Attributes:
        points: [p, 2] (y, x) in mm, :data:`STEP_MM` apart, from below.
        start: arc length of the first point; 0 lies at the lowest body or disc.
    """

    points: np.ndarray
    start: float

    def along(self, at: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return (arc length, distance from the curve) of points [n, 2], in mm.

        The distance is positive behind the curve.
        """
        _, nearest = cKDTree(self.points).query(at)
        inner = np.clip(nearest, 1, len(self.points) - 2)
        tangent = self.points[inner + 1] - self.points[inner - 1]
        tangent /= np.linalg.norm(tangent, axis=1, keepdims=True)
        off = at - self.points[nearest]
        ahead = (off * tangent).sum(axis=1)
        aside = off[:, 0] * tangent[:, 1] - off[:, 1] * tangent[:, 0]
        return self.start + nearest * STEP_MM + ahead, aside


def centreline(at: np.ndarray) -> Centreline:
    """Fit the curve: x as a polynomial in y, through the middle of each row, robustly.

    Args:
        at: [n, 2] (y, x) in mm of the voxels of bodies and discs, n > 0.
    """
    rows, middle, weight = _rows(at)
    length = rows[-1] - rows[0]
    degree = min(len(rows) - 1, int(np.searchsorted((40.0, 90.0, 160.0), length)) + 1)
    here, scale = rows.mean(), max(length / 2, 1.0)
    factor = np.ones_like(weight)
    for _ in range(4):
        terms = np.polynomial.polynomial.polyfit((rows - here) / scale, middle, degree, w=weight * factor)
        off = np.abs(np.polynomial.polynomial.polyval((rows - here) / scale, terms) - middle)
        factor = 1 / np.sqrt(1 + (off / OUTLIER_MM) ** 2)
    y = np.arange(rows[-1], rows[0] - 1e-6, -STEP_MM / 2)
    y = y if len(y) > 1 else np.array([rows[0] + STEP_MM / 2, rows[0]])
    x = np.polynomial.polynomial.polyval((y - here) / scale, terms)
    return _resampled(_extended(np.stack([y, x], axis=1)))


def _rows(at: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return per row of pixels: y, the middle of its x, and the root of how many voxels it has."""
    y, row = np.unique(at[:, 0], return_inverse=True)
    count = np.bincount(row)
    order = np.lexsort((at[:, 1], row))
    first = np.concatenate([[0], np.cumsum(count)[:-1]])
    middle = at[order, 1][first + count // 2]
    return y, middle, np.sqrt(count)


def _extended(curve: np.ndarray) -> np.ndarray:
    """Go on straight at both ends, in the direction of the outermost 15 mm."""
    reach = min(len(curve) - 1, int(15 / STEP_MM * 2))
    ends = []
    for tip, inner in ((curve[0], curve[reach]), (curve[-1], curve[-1 - reach])):
        away = (tip - inner) / np.linalg.norm(tip - inner)
        ends.append(tip + away * np.arange(STEP_MM, BEYOND_MM, STEP_MM)[:, None])
    return np.concatenate([ends[0][::-1], curve, ends[1]])


def _resampled(curve: np.ndarray) -> Centreline:
    """Return points at equal distances."""
    arc = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(curve, axis=0), axis=1))])
    even = np.arange(0, arc[-1], STEP_MM)
    points = np.stack([np.interp(even, arc, curve[:, k]) for k in range(2)], axis=1)
    return Centreline(points, -BEYOND_MM)
