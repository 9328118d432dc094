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

#: Structures smaller than this are dropped. The smallest of spider-space has 708 mm3.
MIN_VOLUME_MM3 = 150.0
#: Smaller pieces are not even joined to others.
DEBRIS_MM3 = 20.0
#: A sacrum smaller than this is no anchor.
SACRUM_MM3 = 2000.0
#: A structure that comes nearer than this to the picture's upper or lower end is cut.
CUT_MM = 3.0
#: A structure whose centre lies further from the column's curve than this is something else.
FARTHEST_ASIDE_MM = 24.0
#: Extent along the column is measured between these percentiles of a piece's voxels.
PERCENTILES = (3.0, 97.0)
#: What a body is high where none can be measured, and the range in which a height is believed.
USUAL_HEIGHT_MM, BELIEVED_MM = 27.0, (14.0, 42.0)
#: From one body's height to the distance of two bodies.
PITCH_PER_HEIGHT = 1.35
#: A body this many times as high as usual covers two levels; a disc, this many pitches.
MERGED_BODY, MERGED_DISC = 1.6, 0.9
#: A body this many times as high as usual may be one and a part of the next, which the picture cuts: it is
#: split where a cut is as clear as this, and leaves each part so much of a usual height.
TALL_BODY, CLEAR_CUT, TALL_PART = 1.2, 0.8, 0.2
#: A disc whose middle lies so far inside a body, and that reaches over this share of it from front to back,
#: has a body on either side: the picture may cut the upper one so low that both are no higher than one. In
#: 31 scans no disc's middle lay further inside a body than 0.6 mm.
INSIDE_MM, ACROSS = 2.0, 0.5
#: Thickness of the slabs, across the column, in which a cut is looked for.
SLAB_MM = 3.0
#: Two pieces lie at the same place if their extents along the column overlap by this share of the shorter,
#: and no wider gap than this lies between them from front to back.
SAME_PLACE, GAP_MM = 0.5, 8.0


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
    """

    pixel_mm: float
    slice_mm: float
    rows: tuple[int, int] | None = None
    turn_deg: float = 0.0

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
    pieces = {kind: _components(voxels, kind, grid) for kind in (BODY, DISC)}
    usual_mm = _usual_height(pieces[BODY], along)
    for kind, own in pieces.items():
        if options.split:
            own = [part for piece in own for part in _split(piece, kind, voxels, along, usual_mm)]
        pieces[kind] = _joined(own, along, aside) if options.join else own
    if options.split:
        pieces[BODY] = [part for one in pieces[BODY] for part in _divided(one, pieces[DISC], along, aside)]
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
    pieces = _components(voxels, SACRUM, grid)
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


def _components(voxels: Voxels, kind: int, grid: Grid) -> list[np.ndarray]:
    """Return the connected pieces of a kind, larger than debris: indices of their voxels."""
    own = np.flatnonzero(voxels.kind == kind)
    if not len(own):
        return []
    at = voxels.at[own] - voxels.at[own].min(axis=0)
    mask = np.zeros(at.max(axis=0) + 1, bool)
    mask[tuple(at.T)] = True
    numbered, _ = ndimage.label(mask)
    return _grouped(own, numbered[tuple(at.T)], DEBRIS_MM3 / grid.voxel_mm3)


def _grouped(index: np.ndarray, number: np.ndarray, smallest: float) -> list[np.ndarray]:
    """Return the groups of indices with the same number that are large enough, largest first."""
    order = np.argsort(number, kind="stable")
    groups = np.split(index[order], np.flatnonzero(np.diff(number[order])) + 1)
    return sorted((g for g in groups if len(g) >= smallest), key=len, reverse=True)


def _usual_height(bodies: list[np.ndarray], along: np.ndarray) -> float:
    """Return the median height over the bodies' voxels, so that fragments count little."""
    heights = np.array([np.ptp(np.percentile(along[b], PERCENTILES)) for b in bodies])
    sizes = np.array([len(b) for b in bodies])
    fine = (heights >= BELIEVED_MM[0]) & (heights <= BELIEVED_MM[1])
    if not fine.any():
        return USUAL_HEIGHT_MM
    order = np.argsort(heights[fine])
    half = np.searchsorted(np.cumsum(sizes[fine][order]), sizes[fine].sum() / 2)
    return float(heights[fine][order][half])


def _split(
    piece: np.ndarray, kind: int, voxels: Voxels, along: np.ndarray, usual_mm: float
) -> list[np.ndarray]:
    """Cut a piece that covers several levels across the column."""
    low, high = np.percentile(along[piece], PERCENTILES)
    pitch, height = PITCH_PER_HEIGHT * usual_mm, high - low
    if kind == BODY and TALL_BODY * usual_mm < height <= MERGED_BODY * usual_mm:
        reach = (height - TALL_PART * 2 * usual_mm) / 2
        at, score = _cut(piece, voxels, along, (low + high) / 2, reach)
        return _parts(piece, along, [at]) if score >= CLEAR_CUT else [piece]
    if height <= (MERGED_BODY * usual_mm if kind == BODY else MERGED_DISC * pitch):
        return [piece]
    parts = max(2, round((height + pitch - usual_mm) / pitch if kind == BODY else height / pitch + 1))
    step = height / parts
    return _parts(
        piece, along, [_cut(piece, voxels, along, low + step * k, step * 0.35)[0] for k in range(1, parts)]
    )


def _divided(
    body: np.ndarray, discs: list[np.ndarray], along: np.ndarray, aside: np.ndarray
) -> list[np.ndarray]:
    """Cut a body where a disc crosses it: they met around the disc's edge."""
    low, high = np.percentile(along[body], PERCENTILES)
    least = ACROSS * np.ptp(np.percentile(aside[body], PERCENTILES))
    cuts = [
        float(at)
        for disc in discs
        if low + INSIDE_MM < (at := np.median(along[disc])) < high - INSIDE_MM
        and np.ptp(np.percentile(aside[disc], PERCENTILES)) >= least
    ]
    return _parts(body, along, cuts) if cuts else [body]


def _parts(piece: np.ndarray, along: np.ndarray, cuts: list[float]) -> list[np.ndarray]:
    """Return the voxels of a piece below, between and above cuts."""
    number = np.searchsorted(np.sort(cuts), along[piece])
    return [piece[number == k] for k in range(len(cuts) + 1) if (number == k).any()]


def _cut(
    piece: np.ndarray, voxels: Voxels, along: np.ndarray, middle: float, reach: float
) -> tuple[float, float]:
    """Return where to cut, within ``reach`` of ``middle``, and how clear the cut is, 0 to 3.

    That is the probability of the other kind there, plus how much the names below and above differ, plus how
    much thinner the piece is there than somewhere below and somewhere above.
    """
    places = np.arange(middle - reach, middle + reach + 0.5, 1.0)
    t, other = along[piece], voxels.other[piece].astype(np.float32)
    names = np.exp(voxels.names[piece].astype(np.float32))
    score = np.zeros(len(places))
    thick = np.array([(np.abs(t - k) <= SLAB_MM / 2).sum() for k in np.arange(t.min(), t.max() + 1)])
    for k, place in enumerate(places):
        here, below, above = (
            np.abs(t - place) <= SLAB_MM / 2,
            (t >= place - 8) & (t < place),
            (t >= place) & (t < place + 8),
        )
        score[k] = other[here].mean() if here.any() else 1.0
        if below.any() and above.any():
            score[k] += 0.5 * np.abs(names[below].mean(axis=0) - names[above].mean(axis=0)).sum()
            at = int(place - t.min())
            score[k] += max(0.0, 1 - here.sum() / min(thick[: at + 1].max(), thick[at:].max()))
    best = int((score - 0.05 * np.abs(places - middle) / max(reach, 1e-3)).argmax())
    return float(places[best]), float(score[best])


def _joined(pieces: list[np.ndarray], along: np.ndarray, aside: np.ndarray) -> list[np.ndarray]:
    """Join pieces that lie at the same place along the column, small ones to large ones."""
    groups: list[np.ndarray] = []
    for piece in sorted(pieces, key=len, reverse=True):
        low, high = np.percentile(along[piece], PERCENTILES)
        front, behind = aside[piece].min(), aside[piece].max()
        best, most = None, SAME_PLACE
        for k, group in enumerate(groups):
            a, b = np.percentile(along[group], PERCENTILES)
            overlap = (min(b, high) - max(a, low)) / max(min(b - a, high - low), 1e-3)
            gap = max(front - aside[group].max(), aside[group].min() - behind)
            if overlap > most and gap <= GAP_MM:
                best, most = k, overlap
        if best is None:
            groups.append(piece)
        else:
            groups[best] = np.concatenate([groups[best], piece])
    return groups


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
