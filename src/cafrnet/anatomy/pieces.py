"""Pieces: connected voxels of a kind, cut where they cover several levels, joined where they are one thing.

Indices of voxels are into :class:`~.kinds.Voxels`. ``along`` is each voxel's place along the column's curve
and ``aside`` its distance from it, positive behind, both in mm.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from .kinds import BODY, Voxels

#: Smaller pieces are not even joined to others.
DEBRIS_MM3 = 20.0
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


def components(voxels: Voxels, kind: int, voxel_mm3: float) -> list[np.ndarray]:
    """Return the connected pieces of a kind, larger than debris: indices of their voxels."""
    own = np.flatnonzero(voxels.kind == kind)
    if not len(own):
        return []
    at = voxels.at[own] - voxels.at[own].min(axis=0)
    mask = np.zeros(at.max(axis=0) + 1, bool)
    mask[tuple(at.T)] = True
    numbered, _ = ndimage.label(mask)
    return _grouped(own, numbered[tuple(at.T)], DEBRIS_MM3 / voxel_mm3)


def _grouped(index: np.ndarray, number: np.ndarray, smallest: float) -> list[np.ndarray]:
    """Return the groups of indices with the same number that are large enough, largest first."""
    order = np.argsort(number, kind="stable")
    groups = np.split(index[order], np.flatnonzero(np.diff(number[order])) + 1)
    return sorted((g for g in groups if len(g) >= smallest), key=len, reverse=True)


def usual_height(bodies: list[np.ndarray], along: np.ndarray) -> float:
    """Return the median height over the bodies' voxels, so that fragments count little."""
    heights = np.array([np.ptp(np.percentile(along[b], PERCENTILES)) for b in bodies])
    sizes = np.array([len(b) for b in bodies])
    fine = (heights >= BELIEVED_MM[0]) & (heights <= BELIEVED_MM[1])
    if not fine.any():
        return USUAL_HEIGHT_MM
    order = np.argsort(heights[fine])
    half = np.searchsorted(np.cumsum(sizes[fine][order]), sizes[fine].sum() / 2)
    return float(heights[fine][order][half])


def split(
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


def divided(
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


def joined(pieces: list[np.ndarray], along: np.ndarray, aside: np.ndarray) -> list[np.ndarray]:
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
