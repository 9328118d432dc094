"""One case: a truth and a prediction as arrays in, scores out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from ..errors import InputError, UsageError
from ..labels import TABLE, ValueSets
from .classes import score_classes, score_slices
from .levels import Levels, confusion, levels, move
from .regions import RegionScore, Thresholds, score_regions, signal_of
from .scores import ClassScore, mean_of
from .sets import HEADLINE, annotated, resolve


@dataclass(frozen=True)
class CaseScore:
    """What one case scored.

    Attributes:
        id: of the case.
        rows: a row for each structure, in 3D on the native grid: the primary protocol.
        rows_after_shift: the same after the prediction was moved along the column by ``levels.correction``.
        slices: slice index -> rows, in 2D; None where not asked for.
        levels: what became of each level; None if the case failed.
        regions: a score for each region; None where not asked for or not possible.
        spacing_mm: along each array axis.
        no_prediction: there was no prediction file, so that everything is missed.
        failed: why the case could not be scored; empty if it could.
        notes: what a reader of the scores should know.
    """

    id: str
    rows: tuple[ClassScore, ...] = ()
    rows_after_shift: tuple[ClassScore, ...] = ()
    slices: Mapping[int, Sequence[ClassScore]] | None = None
    levels: Levels | None = None
    regions: tuple[RegionScore, ...] | None = None
    spacing_mm: tuple[float, ...] = ()
    no_prediction: bool = False
    failed: str = ""
    notes: tuple[str, ...] = field(default=())

    def mean(self, metric: str, ids: Sequence[int] = HEADLINE) -> float | None:
        """Return the case score: the mean of a metric over the case's scored classes; None if none has it."""
        return mean_of(self.rows, metric, ids)


def evaluate_arrays(
    truth: np.ndarray,
    pred: np.ndarray | None,
    spacing_mm: Sequence[float],
    *,
    sets: ValueSets | None = None,
    sagittal_axis: int | None = None,
    image: np.ndarray | None = None,
    thresholds: Thresholds | None = None,
    case: str = "array",
) -> CaseScore:
    """Score one prediction against one truth.

    Args:
        truth: integers, three axes, the dataset's own values.
        pred: ids of the label table, same shape; None where there is no prediction: all is missed.
        spacing_mm: distance of neighbouring voxel centres along each array axis, positive.
        sets: what the truth's values stand for; each id for itself if not given.
        sagittal_axis: the array axis that counts sagittal slices; given, each slice is scored too.
        image: the scan, same shape; given, the regions are scored too (needs ``sagittal_axis``).
        thresholds: what counts as low contrast and as homogeneous, pooled over a test set; taken from this
            image alone if not given.
        case: name in messages.

    Raises:
        InputError: shapes that differ, not three axes, a value that ``sets`` or the label table don't know,
            or a spacing that is not positive.
        UsageError: an image without ``sagittal_axis``.
    """
    sets = sets or ValueSets.identity()
    if image is not None and sagittal_axis is None:
        raise UsageError("scoring regions of an image needs sagittal_axis, the axis that counts the slices")
    _check(truth, pred, image, spacing_mm, case)
    there = np.zeros(truth.shape, np.uint8) if pred is None else pred
    ids = annotated(sets)
    pair = resolve(truth, there, sets)
    counts = confusion(pair.truth, pair.pred)
    rows, distances = score_classes(pair, ids, spacing_mm, counts)
    judged = levels(counts, pair.marked)
    rows = [replace(r, level=judged.status.get(r.id), carried_by=judged.carried_by.get(r.id)) for r in rows]
    within = [i for i in ids if not any(r.id == i and not r.scored for r in rows)]
    regions = None
    if image is not None and sagittal_axis is not None:
        signal = signal_of(image, pair.principal, ids, spacing_mm, sagittal_axis)
        regions = score_regions(pair, ids, distances, signal, thresholds or signal.own_thresholds())
    return CaseScore(
        id=case,
        rows=tuple(rows),
        rows_after_shift=_after_shift(truth, there, sets, spacing_mm, judged) or tuple(rows),
        slices=None if sagittal_axis is None else score_slices(pair, within, spacing_mm, sagittal_axis),
        levels=judged,
        regions=regions,
        spacing_mm=tuple(float(s) for s in spacing_mm),
        no_prediction=pred is None,
    )


def _after_shift(
    truth: np.ndarray, pred: np.ndarray, sets: ValueSets, spacing_mm: Sequence[float], judged: Levels
) -> tuple[ClassScore, ...]:
    """Score again with the prediction moved along the column; nothing where no move is better."""
    if not judged.correction:
        return ()
    pair = resolve(truth, move(pred, judged.correction), sets)
    counts = confusion(pair.truth, pair.pred)
    again = levels(counts, pair.marked)
    rows, _ = score_classes(pair, annotated(sets), spacing_mm, counts)
    return tuple(
        replace(r, level=again.status.get(r.id), carried_by=again.carried_by.get(r.id)) for r in rows
    )


def _check(
    truth: np.ndarray,
    pred: np.ndarray | None,
    image: np.ndarray | None,
    spacing_mm: Sequence[float],
    case: str,
) -> None:
    if truth.ndim != 3 or len(spacing_mm) != 3 or truth.dtype.kind not in "ui":
        raise InputError(
            f"{case}: a truth of shape {truth.shape} and type {truth.dtype} with {len(spacing_mm)} spacings "
            "came; integers on three axes with three spacings were expected"
        )
    if not all(np.isfinite(s) and s > 0 for s in spacing_mm):
        raise InputError(f"{case}: a spacing of {tuple(spacing_mm)} mm came; it must be positive")
    if pred is not None and pred.dtype.kind not in "ui":
        raise InputError(f"{case}: a prediction of type {pred.dtype} came; integers were expected")
    for what, array in (("prediction", pred), ("image", image)):
        if array is not None and array.shape != truth.shape:
            raise InputError(
                f"{case}: the {what} has shape {array.shape}, the truth {truth.shape}; "
                f"bring the {what} back to the truth's grid"
            )
    if image is not None and not (np.isfinite(image).all() and image.min() < image.max()):
        raise InputError(f"{case}: the image has voxels that are not finite, or only one value; export it")
    if pred is not None:
        known = {label.id for label in TABLE} | {TABLE.unknown}
        if wrong := sorted(set(np.unique(pred).tolist()) - known):
            raise InputError(
                f"{case}: the prediction holds the values {wrong}, which are not in the label table; "
                "name its scheme"
            )
