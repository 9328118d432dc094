"""How clear the image is at a structure's outline, and how even inside it: contrast and deviation.

Both look at each sagittal slice on its own, since neighbouring slices lie millimetres apart, and both are
measured on grey values scaled to [0, 1] per volume, so that cases can be pooled.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import distance_transform_edt, find_objects, gaussian_filter, uniform_filter

from ..preprocessing import Preprocessing
from ..preprocessing.intensity import limits, normalise
from .sets import HEADLINE
from .surface import surface

#: Width of the Gaussian under which the gradient at an outline is taken.
EDGE_SIGMA_MM = 1.0
#: Side of the square in which the local deviation is taken.
WINDOW_MM = 3.0
#: A voxel is interior if its slice's nearest outline is at least this far away: no window crosses it.
INTERIOR_MM = 2.5
#: Low contrast and homogeneous are what lies in the lowest quarter of the pool.
LOWEST = 0.25
#: Room that is kept around the structures.
MARGIN_MM = 12.0
_BINS = 1 << 16


@dataclass(frozen=True)
class Thresholds:
    """What counts as low and as even; None where there was nothing to measure.

    Attributes:
        contrast_per_mm: gradient of the scaled image at the lowest quartile of all outline voxels.
        deviation: standard deviation of the scaled image at the lowest quartile of all interior voxels.
    """

    contrast_per_mm: float | None
    deviation: float | None


class Pool:
    """The distribution of contrast and deviation over a test set, in constant memory.

    Histograms of 65,536 bins over [0, 1]: a quartile is right to 1/65,536.
    """

    def __init__(self) -> None:
        self._contrast = np.zeros(_BINS, np.int64)
        self._deviation = np.zeros(_BINS, np.int64)

    def add(self, signal: Signal) -> None:
        """Add the outline and interior voxels of one case."""
        self._contrast += _histogram(signal.contrast_per_mm[signal.outline])
        self._deviation += _histogram(signal.deviation[signal.interior])

    def thresholds(self) -> Thresholds:
        """Return the lowest quartiles of what was added."""
        return Thresholds(_quantile(self._contrast), _quantile(self._deviation))


def _histogram(values: np.ndarray) -> np.ndarray:
    return np.bincount(np.clip(values * _BINS, 0, _BINS - 1).astype(np.intp), minlength=_BINS)


def _quantile(histogram: np.ndarray) -> float | None:
    """Return the upper edge of the bin in which the lowest quarter is full."""
    total = histogram.sum()
    if not total:
        return None
    return float(np.searchsorted(np.cumsum(histogram), LOWEST * total) + 1) / _BINS


@dataclass(frozen=True, eq=False)
class Signal:
    """The image's side of one case, cropped to the box of its structures with room around it.

    Attributes:
        box: the crop within the whole array; all other arrays have its shape.
        principal: uint8, the truth's principal ids.
        outline: boolean, the 2D outlines of structures of the headline, the border left out.
        border: boolean, where the slices end: what the field of view cuts has no boundary there to be seen.
        interior: boolean, voxels of structures of the headline at least 2.5 mm inside.
        contrast_per_mm: float32, size of the in-plane gradient at 1 mm.
        deviation: float32, standard deviation in an in-plane square of 3 mm.
        spacing_mm: along each array axis.
        axis: the array axis that counts the slices.
    """

    box: tuple[slice, ...]
    principal: np.ndarray
    outline: np.ndarray
    border: np.ndarray
    interior: np.ndarray
    contrast_per_mm: np.ndarray
    deviation: np.ndarray
    spacing_mm: tuple[float, ...]
    axis: int

    def own_thresholds(self) -> Thresholds:
        """Return the thresholds of this case alone."""
        pool = Pool()
        pool.add(self)
        return pool.thresholds()


def signal_of(
    image: np.ndarray, principal: np.ndarray, ids: Sequence[int], spacing_mm: Sequence[float], axis: int
) -> Signal:
    """Measure contrast and deviation of a scan around the structures of its truth.

    Args:
        image: the scan, three axes, any real type.
        principal: uint8, the truth's principal ids, same shape.
        ids: the structures that are scored.
        spacing_mm: along each array axis.
        axis: the array axis that counts the slices.
    """
    box = grown_box(np.isin(principal, [*ids]), MARGIN_MM, spacing_mm)
    in_plane = [0.0 if a == axis else 1.0 for a in range(3)]
    low, high = limits(image, Preprocessing())
    scaled = normalise(image[box], low, high)
    labels = principal[box]
    border = _border(image.shape, axis)[box]
    outline = outlines(labels, [i for i in ids if i in HEADLINE], axis) & ~border
    # distances within slices only: the step between slices is made larger than any slice
    steps = np.where(np.array(in_plane) > 0, spacing_mm, 1e6)
    deep = np.zeros(labels.shape, bool)
    if outline.any():
        deep = distance_transform_edt(~outline, sampling=steps) >= INTERIOR_MM
    return Signal(
        box=box,
        principal=labels,
        outline=outline,
        border=border,
        interior=deep & np.isin(labels, [i for i in ids if i in HEADLINE]),
        contrast_per_mm=_contrast_per_mm(scaled, spacing_mm, in_plane),
        deviation=_deviation(scaled, spacing_mm, in_plane),
        spacing_mm=tuple(float(s) for s in spacing_mm),
        axis=axis,
    )


def outlines(labels: np.ndarray, ids: Sequence[int], axis: int) -> np.ndarray:
    """Return the 2D outlines of each of the structures, together; boolean, same shape."""
    found = np.zeros(labels.shape, bool)
    boxes = find_objects(labels, max_label=max(ids, default=0))
    for identity in ids:
        if box := boxes[identity - 1]:
            found[box] |= surface(labels[box] == identity, in_plane_of=axis)
    return found


def _border(shape: tuple[int, ...], axis: int) -> np.ndarray:
    """Mark the outermost voxels of each slice; boolean."""
    inside = tuple(slice(None) if a == axis else slice(1, -1) for a in range(len(shape)))
    border = np.ones(shape, bool)
    border[inside] = False
    return border


def grown_box(mask: np.ndarray, by_mm: float, spacing_mm: Sequence[float]) -> tuple[slice, ...]:
    """Return the box of a mask grown on all sides, within the array; an empty box for an empty mask."""
    boxes = find_objects(mask.astype(np.uint8))
    if not boxes:
        return (slice(0, 0),) * mask.ndim
    room = [int(np.ceil(by_mm / s)) for s in spacing_mm]
    return tuple(
        slice(max(0, b.start - r), min(n, b.stop + r))
        for b, r, n in zip(boxes[0], room, mask.shape, strict=True)
    )


def _contrast_per_mm(scaled: np.ndarray, spacing_mm: Sequence[float], in_plane: list[float]) -> np.ndarray:
    sigmas = [EDGE_SIGMA_MM * flag / s for flag, s in zip(in_plane, spacing_mm, strict=True)]
    squares = np.zeros(scaled.shape, np.float32)
    for axis in (a for a in range(3) if in_plane[a]):
        order = [int(a == axis) for a in range(3)]
        squares += (gaussian_filter(scaled, sigmas, order=order) / spacing_mm[axis]) ** 2
    return np.sqrt(squares)


def _deviation(scaled: np.ndarray, spacing_mm: Sequence[float], in_plane: list[float]) -> np.ndarray:
    side = [max(3, round(WINDOW_MM / s)) if flag else 1 for flag, s in zip(in_plane, spacing_mm, strict=True)]
    # float64: the difference of two nearly equal squares
    values = scaled.astype(np.float64)
    mean = uniform_filter(values, side)
    return np.sqrt(np.maximum(uniform_filter(values**2, side) - mean**2, 0)).astype(np.float32)
