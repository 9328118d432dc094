"""A label map as one column: its sacrum, bodies and discs, ordered from below.

World coordinates are millimetres in RAS (right, anterior, superior), as an affine gives them. The order is
that along the column, not that of heights: with a strong lordosis the sacrum lies behind the lowest disc.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree

from ..errors import InputError
from ..labels import TABLE

#: Connected pieces smaller than this are debris. The smallest structure of spider-space has 708 mm3.
MIN_VOLUME_MM3 = 50.0
#: Pieces of one id this near to each other, as seen from the side, are one structure.
JOIN_MM = 3.0
#: The same from left to right: a structure may be missing in a slice, and slices lie 4 to 5 mm apart.
JOIN_ACROSS_MM = 15.0
#: Height is measured between these percentiles of a structure's voxels, so that single ones don't count.
HEIGHT_PERCENTILES = (2.0, 98.0)
#: Kinds that make up the column.
KINDS = ("sacrum", "body", "disc")
UP = np.array([0.0, 0.0, 1.0])


@dataclass(frozen=True)
class Element:
    """One structure of the column.

    Attributes:
        id: its id in the label table.
        centre_mm: of gravity, world (x, y, z) in RAS.
        volume_mm3: of its pieces together.
        height_mm: its extent along the line between its neighbours' centres (at an end, its own and the
            neighbour's).
        pieces: in how many connected pieces it came.
    """

    id: int
    centre_mm: tuple[float, float, float]
    volume_mm3: float
    height_mm: float
    pieces: int = 1

    @property
    def name(self) -> str:
        """Its anatomical name."""
        return TABLE[self.id].name

    @property
    def kind(self) -> str:
        """``"sacrum"``, ``"body"`` or ``"disc"``."""
        return TABLE[self.id].kind


def column(
    labels: np.ndarray,
    affine: np.ndarray,
    *,
    min_volume_mm3: float = MIN_VOLUME_MM3,
    join_mm: float = JOIN_MM,
) -> tuple[Element, ...]:
    """Find the structures of the column, ordered from below.

    Pieces are connected by a face, an edge or a corner. Those of one id that lie side by side are one
    element; those that lie apart along the column are elements of their own (:func:`check` reports them).

    Args:
        labels: ids of the label table, integers, three axes in any order and direction.
        affine: 4 x 4, array index -> world mm in RAS.
        min_volume_mm3: smaller pieces are dropped.
        join_mm: distance, seen from the side, up to which pieces of one id are one element.

    Raises:
        InputError: no three-dimensional array of integers, or an affine that is singular or not finite.

    Example:
        >>> ids = np.zeros((1, 20, 30), np.uint8)  # 2 mm voxels: right, front, up
        >>> ids[:, :15, 2:14], ids[:, :15, 14:18] = 2, 12
        >>> [e.name for e in column(ids, np.diag([2, 2, 2, 1]))]
        ['L5', 'L4/L5']
    """
    affine = _usable(labels, affine)
    found = [
        (identity, points, pieces)
        for identity, masks in _pieces(labels, affine, min_volume_mm3)
        for points, pieces in _joined(masks, join_mm)
    ]
    if not found:
        return ()
    centres = np.array([points.mean(axis=0) for _, points, _ in found])
    order = _from_below(centres, [TABLE[identity].kind for identity, _, _ in found])
    heights = _heights([found[k][1] for k in order], centres[order])
    voxel_mm3 = abs(float(np.linalg.det(affine[:3, :3])))
    return tuple(
        Element(
            id=found[k][0],
            centre_mm=tuple(map(float, centres[k])),  # type: ignore[arg-type]
            volume_mm3=len(found[k][1]) * voxel_mm3,
            height_mm=height,
            pieces=found[k][2],
        )
        for k, height in zip(order, heights, strict=True)
    )


def _usable(labels: np.ndarray, affine: np.ndarray) -> np.ndarray:
    """Return the affine as floats; raise InputError where array or affine can't be used."""
    if labels.ndim != 3 or labels.dtype.kind not in "iu":
        raise InputError(
            f"labels of shape {labels.shape} and type {labels.dtype} came; "
            "three axes of integers were expected"
        )
    affine = np.asarray(affine, np.float64)
    if affine.shape != (4, 4) or not np.isfinite(affine).all() or np.linalg.det(affine[:3, :3]) == 0:
        raise InputError("the affine is not a finite, invertible 4 x 4 matrix; it places nothing")
    return affine


def _pieces(
    labels: np.ndarray, affine: np.ndarray, min_volume_mm3: float
) -> Iterator[tuple[int, list[np.ndarray]]]:
    """Yield (id, pieces of at least the volume): world points of their voxels, (n, 3) each."""
    smallest = min_volume_mm3 / abs(np.linalg.det(affine[:3, :3]))
    boxes = ndimage.find_objects(labels, max_label=max(TABLE.of_kind(*KINDS)))
    for identity in TABLE.of_kind(*KINDS):
        box = boxes[identity - 1]
        if box is None:
            continue
        numbered, _ = ndimage.label(labels[box] == identity, np.ones((3, 3, 3)))
        counts = np.bincount(numbered.ravel())[1:]
        index = np.argwhere(numbered)
        of = numbered[tuple(index.T)]
        world = (index + [s.start for s in box]) @ affine[:3, :3].T + affine[:3, 3]
        pieces = [world[of == k + 1] for k in np.flatnonzero(counts >= smallest - 1e-6)]
        if pieces:
            yield identity, sorted(pieces, key=len, reverse=True)


def _joined(pieces: list[np.ndarray], join_mm: float) -> Iterator[tuple[np.ndarray, int]]:
    """Yield (points, number of pieces) of each group of pieces of one id that lie side by side."""
    left = pieces
    while left:
        group, left = [left[0]], left[1:]
        while near := [k for k, p in enumerate(left) if any(_near(p, q, join_mm) for q in group)]:
            group += [left[k] for k in near]
            left = [p for k, p in enumerate(left) if k not in near]
        yield np.concatenate(group), len(group)


def _near(a: np.ndarray, b: np.ndarray, join_mm: float) -> bool:
    """Whether two pieces come within the distance; left to right counts for less."""
    scale = np.array([join_mm / JOIN_ACROSS_MM, 1.0, 1.0])
    few, many = sorted((a, b), key=len)
    distance, _ = cKDTree(many * scale).query(few * scale, distance_upper_bound=np.nextafter(join_mm, np.inf))
    return bool(np.isfinite(distance).any())


def _from_below(centres: np.ndarray, kinds: list[str]) -> np.ndarray:
    """Return the order of the centres along the column, from below: indices, (n,).

    The backbone is the path through the bodies or the discs, whichever are more: among its own kind, each
    one's neighbour is the nearest. The others are placed where they lie along that path, continued straight
    at both ends, so that whole vertebrae, whose centres lie far behind the discs, come in order too.
    """
    backbone = max(("body", "disc"), key=kinds.count)
    path = centres[[k for k, kind in enumerate(kinds) if kind == backbone]]
    if len(path) < 2:
        return np.argsort(centres @ UP, kind="stable")
    return np.argsort(-_along(centres, _chain(path)), kind="stable")


def _chain(centres: np.ndarray) -> np.ndarray:
    """Return the centres in the order of a walk: from the uppermost, always on to the nearest."""
    left = list(np.argsort(-(centres @ UP), kind="stable"))
    walk = [left.pop(0)]
    while left:
        apart = np.linalg.norm(centres[left] - centres[walk[-1]], axis=1)
        walk.append(left.pop(int(apart.argmin())))
    return centres[walk]


def _along(points: np.ndarray, path: np.ndarray) -> np.ndarray:
    """Return how far along a path each point lies, in mm from its first corner: (n,); beyond it negative."""
    steps = np.diff(path, axis=0)
    lengths = np.linalg.norm(steps, axis=1)
    share = np.einsum("nsd,sd->ns", points[:, None] - path[:-1], steps) / lengths**2
    low, high = np.zeros(len(steps)), np.ones(len(steps))
    low[0], high[-1] = -np.inf, np.inf
    share = np.clip(share, low, high)
    feet = path[:-1] + share[..., None] * steps
    nearest = np.linalg.norm(points[:, None] - feet, axis=2).argmin(axis=1)
    start = np.concatenate([[0.0], np.cumsum(lengths)[:-1]])
    each = np.arange(len(points))
    return start[nearest] + share[each, nearest] * lengths[nearest]


def _heights(points: list[np.ndarray], centres: np.ndarray) -> list[float]:
    """Return the extent of each structure along the line between its neighbours' centres, in mm."""
    heights = []
    for k, cloud in enumerate(points):
        direction = centres[min(k + 1, len(centres) - 1)] - centres[max(k - 1, 0)]
        length = float(np.linalg.norm(direction))
        direction = direction / length if length else UP
        low, high = np.percentile(cloud @ direction, HEIGHT_PERCENTILES)
        heights.append(float(high - low))
    return heights
