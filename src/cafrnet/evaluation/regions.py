"""Scores within the regions that the paper makes claims about: low contrast, complex boundary, even signal.

A region is a band of voxels, given by the truth and the image alone, so it is the same for every model:

=====================  ======================================================================
``low contrast``       within 2 mm of outline voxels in the lowest quartile of contrast
``S``, ``L5``, ``L4``  within 2 mm of that structure's outline (the paper's low-contrast ones)
``junction``           within 3 mm of where a body and its neighbouring disc face each other
``canal wall``         within 2 mm of the canal's outline
``homogeneous``        interior voxels in the lowest quartile of local deviation
=====================  ======================================================================

In it, two things are measured. The *error rate* is the share of its voxels whose class is wrong (ignored
voxels left out; 20 and 21 count as background, except at the canal wall, where only the canal counts). The
*surface distances* run from the truth's outline voxels of the region to the predicted surface of the same
structure, and from the predicted outline voxels in the band to the truth's surface. (Outlines are those of
sagittal slices, without their outermost voxels: where the field of view ends, a structure has a surface, but
no boundary that can be seen.)

Decided beyond the paper, which shows such regions in Fig 4 and does not define them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import distance_transform_edt
from scipy.spatial import KDTree

from ..labels import TABLE
from .sets import HEADLINE, Resolved
from .signal import Signal, Thresholds, grown_box, outlines, signal_of
from .surface import SurfaceDistances

__all__ = ["REGIONS", "RegionScore", "Thresholds", "score_regions", "signal_of"]

#: The structures that the paper names as being of low contrast.
NAMED = ("S", "L5", "L4")
#: All regions, in the order of the tables.
REGIONS = ("low contrast", *NAMED, "junction", "canal wall", "homogeneous")
#: Half-width of the bands around outlines.
BAND_MM = 2.0
#: Half-width of the band around junctions.
JUNCTION_MM = 3.0
#: A body and a disc face each other where their outlines are at most this far apart.
FACING_MM = 2.0

_CANAL = TABLE.of_kind("canal")[0]


@dataclass(frozen=True)
class RegionScore:
    """What one region of one case scored.

    Attributes:
        region: one of ``REGIONS``.
        voxels: size of the band, ignored voxels left out.
        error_rate: share of them that are wrong; None where there are none.
        truth_points: outline voxels of the truth in the region, ignored ones left out.
        truth_points_missed: those of them that belong to structures which were missed: no distance.
        pred_points: predicted outline voxels in the band, of structures that were found.
        truth_to_pred_mean_mm, truth_to_pred_p95_mm, truth_to_pred_max_mm: from the truth's points; None
            where no point has a distance.
        pred_to_truth_mean_mm, pred_to_truth_p95_mm, pred_to_truth_max_mm: likewise, from the predicted ones.
        truth_to_pred_penalised_mm: mean over all the truth's points, where missed ones have the diagonal of
            the volume.
    """

    region: str
    voxels: int
    error_rate: float | None
    truth_points: int
    truth_points_missed: int
    pred_points: int
    truth_to_pred_mean_mm: float | None
    truth_to_pred_p95_mm: float | None
    truth_to_pred_max_mm: float | None
    pred_to_truth_mean_mm: float | None
    pred_to_truth_p95_mm: float | None
    pred_to_truth_max_mm: float | None
    truth_to_pred_penalised_mm: float | None


@dataclass(frozen=True, eq=False)
class Region:
    """One region of one case: its band, its outline points, and the structures that it is about."""

    name: str
    band: np.ndarray
    points: np.ndarray
    ids: tuple[int, ...]


def score_regions(
    pair: Resolved,
    ids: Sequence[int],
    distances: Mapping[int, SurfaceDistances],
    signal: Signal,
    thresholds: Thresholds,
) -> tuple[RegionScore, ...]:
    """Score the regions of one case; a region that the case doesn't have is left out.

    Args:
        pair: truth and prediction.
        ids: the structures that are scored.
        distances: surface distances of the structures found, in the whole array's indices.
        signal: the image's side.
        thresholds: what counts as low contrast and as homogeneous.
    """
    truth, pred = pair.truth[signal.box], pair.pred[signal.box]
    counted = ~pair.ignored[signal.box]
    corner = np.array([s.start for s in signal.box])
    diagonal_mm = float(np.linalg.norm(np.multiply(pair.truth.shape, signal.spacing_mm)))
    drawn = outlines(pred, ids, signal.axis) & ~signal.border
    scores = []
    for region in regions_of(signal, ids, thresholds):
        band = region.band & counted
        wrong = _only(truth[band], region.ids) != _only(pred[band], region.ids)
        forth, missed, back = _distances(region, signal, distances, corner, drawn)
        scores.append(
            RegionScore(
                region.name,
                int(band.sum()),
                float(wrong.mean()) if wrong.size else None,
                len(forth) + missed,
                missed,
                len(back),
                *_three(forth),
                *_three(back),
                float((forth.sum() + missed * diagonal_mm) / (len(forth) + missed))
                if len(forth) + missed
                else None,
            )
        )
    return tuple(scores)


def regions_of(signal: Signal, ids: Sequence[int], thresholds: Thresholds) -> list[Region]:
    """Find the regions that a case has, in the order of ``REGIONS``."""
    labels, none = signal.principal, np.zeros(signal.principal.shape, bool)
    headline = tuple(i for i in ids if i in HEADLINE)
    found = []
    if thresholds.contrast_per_mm is not None:
        low = signal.outline & (signal.contrast_per_mm <= thresholds.contrast_per_mm)
        found.append(Region("low contrast", within(low, BAND_MM, signal.spacing_mm), low, headline))
    for name in (*NAMED, "canal wall"):
        identity = _CANAL if name == "canal wall" else TABLE[name].id
        if identity in ids:
            line = outlines(labels, [identity], signal.axis) & ~signal.border
            about = headline if name in NAMED else (identity,)
            found.append(Region(name, within(line, BAND_MM, signal.spacing_mm), line, about))
    junction = within(junctions(signal, headline), JUNCTION_MM, signal.spacing_mm)
    found.append(Region("junction", junction, junction & signal.outline, headline))
    if thresholds.deviation is not None:
        even = signal.interior & (signal.deviation <= thresholds.deviation)
        found.append(Region("homogeneous", even, none, headline))
    return sorted((r for r in found if r.band.any()), key=lambda r: REGIONS.index(r.name))


def junctions(signal: Signal, ids: Sequence[int]) -> np.ndarray:
    """Mark the outline voxels of bodies (and the sacrum) and discs that face their neighbour; boolean."""
    points = {i: np.argwhere(outlines(signal.principal, [i], signal.axis)) for i in ids}
    marked = np.zeros(signal.principal.shape, bool)
    for disc in (i for i in ids if TABLE[i].kind == "disc" and len(points[i])):
        for neighbour in (n for n in TABLE[disc].neighbours if n in points and len(points[n])):
            for one, other in ((disc, neighbour), (neighbour, disc)):
                tree = KDTree(points[other] * np.array(signal.spacing_mm))
                apart = tree.query(points[one] * np.array(signal.spacing_mm), distance_upper_bound=FACING_MM)[
                    0
                ]
                marked[tuple(points[one][np.isfinite(apart)].T)] = True
    return marked


def within(mask: np.ndarray, distance_mm: float, spacing_mm: Sequence[float]) -> np.ndarray:
    """Mark the voxels whose centre is at most ``distance_mm`` from a voxel of the mask, in 3D; boolean."""
    near = np.zeros(mask.shape, bool)
    if mask.any():
        box = grown_box(mask, distance_mm, spacing_mm)
        near[box] = distance_transform_edt(~mask[box], sampling=spacing_mm) <= distance_mm
    return near


def _only(labels: np.ndarray, ids: Sequence[int]) -> np.ndarray:
    """Return the labels with every other id as background."""
    return np.where(np.isin(labels, ids), labels, 0)


def _distances(
    region: Region,
    signal: Signal,
    distances: Mapping[int, SurfaceDistances],
    corner: np.ndarray,
    drawn: np.ndarray,
) -> tuple[np.ndarray, int, np.ndarray]:
    """Return the truth's distances, the number of its points without one, and the prediction's distances."""
    named = TABLE[region.name].id if region.name in NAMED else None
    ids = region.ids if named is None else (named,)
    forth, back, missed = [np.zeros(0)], [np.zeros(0)], 0
    for identity in ids:
        known = distances.get(identity)
        if known is None:
            missed += int((region.points & (signal.principal == identity)).sum())
            continue
        forth.append(known.truth_to_pred_mm[_in(region.points, known.truth_points - corner)])
        back.append(known.pred_to_truth_mm[_in(region.band & drawn, known.pred_points - corner)])
    return np.concatenate(forth), missed, np.concatenate(back)


def _in(mask: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Return for each point whether it lies in the mask; points outside the array don't."""
    inside = np.all((points >= 0) & (points < mask.shape), axis=1)
    found = np.zeros(len(points), bool)
    found[inside] = mask[tuple(points[inside].T)]
    return found


def _three(values: np.ndarray) -> tuple[float | None, float | None, float | None]:
    """Return mean, 95th percentile and maximum, or None where there is nothing."""
    if not len(values):
        return None, None, None
    return float(values.mean()), float(np.percentile(values, 95)), float(values.max())
