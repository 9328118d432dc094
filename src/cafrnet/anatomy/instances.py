"""From voxels to structures: which voxels form one body or one disc, across all slices.

Pieces are connected by faces on the model grid. A piece as high as two levels is cut across the column where
the network saw a trace of what lies between, or where its names change. Pieces of one kind that lie at the
same place along the column are one structure: a disc may be missing in a slice, and slices lie 2 to 5 mm
apart.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy import ndimage

from .centreline import Centreline, centreline
from .kinds import BODY, DISC, KINDS, SACRUM, Voxels
from .options import NamingOptions
from .pieces import PERCENTILES, components, divided, joined, split, usual_height

#: Structures smaller than this are dropped. The smallest of spider-space has 708 mm3.
MIN_VOLUME_MM3 = 150.0
#: A sacrum smaller than this is no anchor.
SACRUM_MM3 = 2000.0
#: A structure that comes nearer than this to the picture's upper or lower end is cut.
CUT_MM = 3.0
#: A structure whose centre lies further from the column's curve than this is something else.
FARTHEST_ASIDE_MM = 24.0


@dataclass(frozen=True, eq=False)
class Instance:
    """One structure.

    Attributes:
        kind: ``"sacrum"``, ``"body"`` or ``"disc"``.
        voxels: indices into :class:`Voxels` (for the sacrum, none).
        low_mm, high_mm: where it begins and ends along the column, from below.
        at_mm: where its middle lies.
        centre: (slice, y, x), model grid.
        volume_mm3: of its voxels.
        evidence: mean log-probability of each name, [9]; empty for the sacrum.
        depth_mm: its extent from front to back, across the column.
        tilt_deg: how far its long axis, as seen from the side, falls off backwards: negative for L5/S.
        cut: whether the picture ends at it.
    """

    kind: str
    voxels: np.ndarray
    low_mm: float
    high_mm: float
    at_mm: float
    centre: tuple[float, float, float]
    volume_mm3: float
    evidence: np.ndarray
    depth_mm: float = 0.0
    tilt_deg: float = 0.0
    cut: bool = True

    @property
    def height_mm(self) -> float:
        """Its extent along the column."""
        return self.high_mm - self.low_mm


@dataclass(frozen=True)
class Grid:
    """What the model grid is in the world.

    Attributes:
        pixel_mm: edge of the square pixel.
        slice_mm: distance of slices.
        rows: first and last row that hold picture; None: not known, nothing counts as cut.
        turn_deg: how far the picture's columns, from front to back, fall off in the world.
        unseen_mm: how much of the picture lies above or below the model grid.
    """

    pixel_mm: float
    slice_mm: float
    rows: tuple[int, int] | None = None
    turn_deg: float = 0.0
    unseen_mm: float = 0.0

    @property
    def voxel_mm3(self) -> float:
        """Volume of a voxel."""
        return self.pixel_mm**2 * self.slice_mm


def find_instances(voxels: Voxels, grid: Grid, options: NamingOptions) -> tuple[Instance, ...]:
    """Group the voxels of bodies and discs into structures.

    Args:
        voxels: of all slices.
        grid: sizes.
        options: ``split``, ``join``, ``fragments`` and ``sacrum`` matter here.

    Returns:
        The structures, ordered from below; none without a body or disc.
    """
    if not (voxels.kind != SACRUM).any():
        return ()
    along, aside = _places(voxels, _curve(voxels, grid), grid)
    pieces = {kind: components(voxels, kind, grid.voxel_mm3) for kind in (BODY, DISC)}
    usual_mm = usual_height(pieces[BODY], along)
    for kind, own in pieces.items():
        if options.split:
            own = [part for piece in own for part in split(piece, kind, voxels, along, usual_mm)]
        pieces[kind] = joined(own, along, aside) if options.join else own
    if options.split:
        pieces[BODY] = [part for one in pieces[BODY] for part in divided(one, pieces[DISC], along, aside)]
    found = [_instance(one, kind, voxels, along, aside, grid) for kind, own in pieces.items() for one in own]
    if options.fragments:
        found = [
            one
            for one in found
            if one.volume_mm3 >= MIN_VOLUME_MM3 and abs(np.median(aside[one.voxels])) <= FARTHEST_ASIDE_MM
        ]
    found = sorted(found, key=lambda one: one.at_mm)
    # the sacrum is first, however high its wings and its promontory rise beside the lowest disc
    return (*(_sacrum(voxels, along, aside, grid) if options.sacrum else ()), *found)


def _sacrum(voxels: Voxels, along: np.ndarray, aside: np.ndarray, grid: Grid) -> list[Instance]:
    """Return the sacrum, if one was seen that is large enough to count from."""
    pieces = components(voxels, SACRUM, grid.voxel_mm3)
    large = pieces[:1] if pieces and len(pieces[0]) * grid.voxel_mm3 >= SACRUM_MM3 else []
    return [replace(_instance(p, SACRUM, voxels, along, aside, grid), evidence=np.zeros(0)) for p in large]


def _curve(voxels: Voxels, grid: Grid) -> Centreline:
    """Return the column's curve, through bodies and discs."""
    own = voxels.kind != SACRUM
    at = voxels.at[own]
    return centreline(at[_largest(at), 1:] * np.float32(grid.pixel_mm))


def _largest(at: np.ndarray) -> np.ndarray:
    """Return which voxels belong to the large piles of pixels: the column as seen from the side.

    Bodies and discs touch each other, so that the column is one piece from the side, and a blob elsewhere
    another.
    """
    y, x = at[:, 1], at[:, 2]
    seen = np.zeros((int(y.max()) + 1, int(x.max()) + 1), np.intp)
    np.add.at(seen, (y, x), 1)
    numbered, count = ndimage.label(ndimage.binary_closing(np.pad(seen > 0, 8), iterations=5)[8:-8, 8:-8])
    if count == 0:
        return np.ones(len(y), bool)
    piles = np.bincount(numbered.ravel(), weights=seen.ravel())
    piles[0] = 0
    big = np.flatnonzero(piles >= 0.2 * piles.max())
    return np.isin(numbered[y, x], big)


def _places(voxels: Voxels, curve: Centreline, grid: Grid) -> tuple[np.ndarray, np.ndarray]:
    """Return arc length and distance from the curve of each voxel; each pixel is looked up once."""
    y, x = voxels.at[:, 1].astype(np.int32), voxels.at[:, 2].astype(np.int32)
    width = int(x.max()) + 1
    pixel, of = np.unique(y * width + x, return_inverse=True)
    along, aside = curve.along(np.stack([pixel // width, pixel % width], axis=1) * grid.pixel_mm)
    return along[of].astype(np.float32), aside[of].astype(np.float32)


def _instance(
    piece: np.ndarray, kind: int, voxels: Voxels, along: np.ndarray, aside: np.ndarray, grid: Grid
) -> Instance:
    at = voxels.at[piece]
    low, middle, high = np.percentile(along[piece], (PERCENTILES[0], 50.0, PERCENTILES[1]))
    return Instance(
        kind=KINDS[kind],
        voxels=piece,
        low_mm=float(low),
        high_mm=float(high),
        at_mm=float(middle),
        centre=tuple(map(float, at.mean(axis=0))),  # type: ignore[arg-type]
        volume_mm3=len(piece) * grid.voxel_mm3,
        evidence=voxels.names[piece].mean(axis=0, dtype=np.float32),
        depth_mm=float(np.ptp(np.percentile(aside[piece], PERCENTILES))),
        tilt_deg=_tilt(at[:, 1:].astype(np.float32)) + grid.turn_deg,
        cut=_is_cut(at[:, 1], grid),
    )


def _tilt(at: np.ndarray) -> float:
    """Return the angle of the long axis of points [n, 2] (y, x), in degrees: positive runs down backwards."""
    if len(at) < 3:
        return 0.0
    long = np.linalg.eigh(np.cov(at.T))[1][:, 1]
    return float(np.degrees(np.arctan2(long[0] * np.sign(long[1]), abs(long[1]))))


def _is_cut(y: np.ndarray, grid: Grid) -> bool:
    if grid.rows is None:
        return False
    margin = CUT_MM / grid.pixel_mm
    return bool(y.min() < grid.rows[0] + margin or y.max() > grid.rows[1] - margin)
