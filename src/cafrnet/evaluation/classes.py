"""All metrics of each structure of one resolved pair of label maps, in 3D or slice by slice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from scipy.ndimage import find_objects

from ..labels import TABLE
from .components import components
from .overlap import Overlap, overlap
from .scores import ClassScore
from .sets import Resolved
from .surface import SurfaceDistances, assd_mm, hd95_mm, hd_mm, nsd, surface, surface_distances

Box = tuple[slice, ...]

_PLACE = {identity: place for place, identity in enumerate(TABLE.column)}


def boxes(pair: Resolved, ids: Sequence[int]) -> dict[int, Box]:
    """Return for each id that occurs in truth or prediction the box that holds it in both."""
    sides = [find_objects(array, max_label=max(ids, default=0)) for array in (pair.truth, pair.pred)]
    found: dict[int, Box] = {}
    for identity in ids:
        present = [side[identity - 1] for side in sides if side[identity - 1] is not None]
        if present:
            found[identity] = tuple(
                slice(min(s.start for s in axis), max(s.stop for s in axis))
                for axis in zip(*present, strict=True)
            )
    return found


def status(identity: int, found: Overlap, pair: Resolved, counts: np.ndarray) -> str | None:
    """Say what became of a structure; None if it is neither in the truth nor in the prediction.

    A predicted sacrum, body or disc that lies above the highest structure of the truth is ``beyond`` the
    labelled range if less than half of it covers any marked structure of the column; else it is invented.

    Args:
        identity: of the label table.
        found: voxel counts, after sets were resolved.
        pair: truth and prediction.
        counts: (256, 256) voxels by true and predicted id.
    """
    if identity in pair.marked:
        return "found" if found.truth and found.pred else "missed"
    if not found.pred:
        return None
    true_places = [_PLACE[i] for i in pair.marked if i in _PLACE]
    if identity in _PLACE and true_places and _PLACE[identity] > max(true_places):
        over_marked = counts[list(TABLE.column), identity].sum()
        if 2 * over_marked < found.pred:
            return "beyond"
    return "invented"


def score_classes(
    pair: Resolved, ids: Sequence[int], spacing_mm: Sequence[float], counts: np.ndarray
) -> tuple[list[ClassScore], dict[int, SurfaceDistances]]:
    """Score each structure in 3D.

    Args:
        pair: truth and prediction.
        ids: the structures that are scored.
        spacing_mm: along each array axis.
        counts: (256, 256) voxels by true and predicted id.

    Returns:
        A row for each structure that is in the truth or the prediction, in the order of ``ids``; and the
        surface distances of those found, with points in the whole array's indices.
    """
    voxel_mm3 = float(np.prod(spacing_mm))
    diagonal_mm = float(np.linalg.norm(np.multiply(pair.truth.shape, spacing_mm)))
    rows: list[ClassScore] = []
    measured: dict[int, SurfaceDistances] = {}
    box_of = boxes(pair, ids)
    for identity in ids:
        box = box_of.get(identity, (slice(0, 0),) * pair.truth.ndim)
        truth, pred = pair.truth[box] == identity, pair.pred[box] == identity
        found = overlap(truth, pred)
        what = status(identity, found, pair, counts)
        if what is None:
            continue
        distances = surface_distances(truth, pred, spacing_mm) if what == "found" else None
        if distances is not None:
            corner = np.array([s.start for s in box])
            measured[identity] = replace(
                distances,
                truth_points=distances.truth_points + corner,
                pred_points=distances.pred_points + corner,
            )
        row = score(identity, what, found, distances, voxel_mm3, diagonal_mm)
        rows.append(replace(row, components=components(pred), truth_components=components(truth)))
    return rows, measured


def score_slices(
    pair: Resolved, ids: Sequence[int], spacing_mm: Sequence[float], axis: int
) -> Mapping[int, list[ClassScore]]:
    """Score each structure in each slice on its own, in 2D.

    Args:
        pair: truth and prediction.
        ids: the structures that are scored, those beyond the labelled range left out.
        spacing_mm: along each array axis.
        axis: the array axis that counts the slices.

    Returns:
        Slice index -> a row for each structure that is in the truth or the prediction of that slice; slices
        without any are left out. The penalty is the diagonal of the slice.
    """
    in_plane_mm = [s for a, s in enumerate(spacing_mm) if a != axis]
    in_plane_shape = [n for a, n in enumerate(pair.truth.shape) if a != axis]
    diagonal_mm = float(np.linalg.norm(np.multiply(in_plane_shape, in_plane_mm)))
    pixel_mm2 = float(np.prod(in_plane_mm))
    rows: dict[int, list[ClassScore]] = {}
    for identity, box in boxes(pair, ids).items():
        truth, pred = pair.truth[box] == identity, pair.pred[box] == identity
        outlines = [np.moveaxis(surface(mask, in_plane_of=axis), axis, 0) for mask in (truth, pred)]
        slices = zip(np.moveaxis(truth, axis, 0), np.moveaxis(pred, axis, 0), *outlines, strict=True)
        for index, (t, p, t_outline, p_outline) in enumerate(slices, start=box[axis].start):
            found = overlap(t, p)
            if not found.truth and not found.pred:
                continue
            what = ("found" if found.pred else "missed") if found.truth else "invented"
            distances = None
            if what == "found":
                distances = surface_distances(t_outline, p_outline, in_plane_mm, are_surfaces=True)
            rows.setdefault(index, []).append(score(identity, what, found, distances, pixel_mm2, diagonal_mm))
    return dict(sorted(rows.items()))


def score(
    identity: int,
    what: str,
    found: Overlap,
    distances: SurfaceDistances | None,
    voxel_mm3: float,
    diagonal_mm: float,
) -> ClassScore:
    """Put one row together; ``distances`` is None unless the structure was found."""
    row = ClassScore(
        id=identity,
        status=what,
        truth_mm3=found.truth * voxel_mm3,
        pred_mm3=found.pred * voxel_mm3,
        false_positive_mm3=(found.pred - found.both) * voxel_mm3,
    )
    if what == "beyond":
        return row
    if distances is None:
        return replace(
            row,
            dsc=0.0,
            iou=0.0,
            nsd_1mm=0.0,
            nsd_2mm=0.0,
            hd_penalised_mm=diagonal_mm,
            hd95_penalised_mm=diagonal_mm,
            assd_penalised_mm=diagonal_mm,
        )
    hd, hd95, assd = hd_mm(distances), hd95_mm(distances), assd_mm(distances)
    return replace(
        row,
        dsc=found.dsc,
        iou=found.iou,
        nsd_1mm=nsd(distances, 1.0),
        nsd_2mm=nsd(distances, 2.0),
        hd_mm=hd,
        hd95_mm=hd95,
        assd_mm=assd,
        hd_penalised_mm=hd,
        hd95_penalised_mm=hd95,
        assd_penalised_mm=assd,
    )
