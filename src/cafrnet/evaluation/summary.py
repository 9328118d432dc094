"""From the scores of all cases to one summary. Undefined is null beside a reason, never NaN."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from ..labels import TABLE
from .case import CaseScore
from .regions import REGIONS
from .scores import DISTANCES, METRICS, ClassScore, mean_of
from .sets import APART, HEADLINE
from .statistics import Interval, bootstrap_interval

#: Metrics of a region that are averaged over cases.
REGION_METRICS = (
    "error_rate",
    "truth_to_pred_mean_mm",
    "truth_to_pred_p95_mm",
    "truth_to_pred_max_mm",
    "truth_to_pred_penalised_mm",
    "pred_to_truth_mean_mm",
    "pred_to_truth_p95_mm",
    "pred_to_truth_max_mm",
)


def spread(values: Iterable[float | None], nothing: str) -> dict[str, Any]:
    """Return mean, standard deviation (of a sample) and number of the values that are defined.

    Args:
        values: None where undefined.
        nothing: the reason to state where none is defined.
    """
    known = [v for v in values if v is not None]
    if not known:
        return {"mean": None, "sd": None, "n": 0, "reason": nothing}
    mean = round(float(np.mean(known)), 6)
    if len(known) == 1:
        return {"mean": mean, "sd": None, "n": 1, "reason": "one value has no standard deviation"}
    return {"mean": mean, "sd": round(float(np.std(known, ddof=1)), 6), "n": len(known)}


def block(units: Sequence[Sequence[ClassScore]], ids: Sequence[int]) -> dict[str, Any]:
    """Summarise units (cases or slices): the mean over each unit's classes, then mean and SD over units.

    Beside the distances, which are means over structures found, stand the rates of missed and invented ones.
    """
    scored = [row for rows in units for row in rows if row.scored and row.id in ids]
    in_truth = [row for row in scored if row.status in ("found", "missed")]
    return {
        "units": sum(any(row.scored and row.id in ids for row in rows) for rows in units),
        **{
            metric: spread(
                (mean_of(rows, metric, ids) for rows in units),
                "no structure was found" if metric in DISTANCES and scored else "no structure is scored",
            )
            for metric in METRICS
        },
        "missed": sum(row.status == "missed" for row in scored),
        "missed_rate": _rate(sum(row.status == "missed" for row in scored), len(in_truth)),
        "invented": sum(row.status == "invented" for row in scored),
        "invented_rate": _rate(sum(row.status == "invented" for row in scored), len(scored)),
    }


def classes(units: Sequence[Sequence[ClassScore]], ids: Sequence[int]) -> dict[str, Any]:
    """Summarise each class over the units that hold it."""
    found = {}
    for identity in ids:
        rows = [row for unit in units for row in unit if row.id == identity]
        if not rows:
            continue
        counts = Counter(row.status for row in rows)
        scored = [row for row in rows if row.scored]
        found[TABLE[identity].name] = {
            "id": identity,
            "in_truth": counts["found"] + counts["missed"],
            **{status: counts[status] for status in ("found", "missed", "invented", "beyond")},
            **{
                metric: spread((getattr(row, metric) for row in scored), "found in no case")
                for metric in METRICS
            },
            "over_segmentation": spread((row.over_segmentation for row in scored), "in no truth"),
            "components": spread((row.components for row in scored if row.pred_mm3), "never predicted"),
        }
    return found


def summarise(cases: Sequence[CaseScore], seed: int) -> dict[str, Any]:
    """Summarise the scores of all cases that did not fail.

    Args:
        cases: scores.
        seed: of the bootstrap interval of the headline.
    """
    done = [case for case in cases if not case.failed]
    units = [case.rows for case in done]
    moved = [case.rows_after_shift for case in done]
    slices = [rows for case in done for rows in (case.slices or {}).values()]
    means = [m for case in done if (m := case.mean("dsc")) is not None]
    interval = bootstrap_interval(means, np.random.default_rng(seed))
    return {
        "cases": {
            "total": len(cases),
            "scored": len(means),
            "without_prediction": [case.id for case in done if case.no_prediction],
            "nothing_to_score": [case.id for case in done if case.mean("dsc") is None],
            "failed": {case.id: case.failed for case in cases if case.failed},
            "note": "failed cases are left out of every mean; cases without a prediction count as all missed",
        },
        "headline": {"ids": [*HEADLINE], **block(units, HEADLINE), "dsc_interval": _interval(interval)},
        "apart": {
            TABLE[i].name: block(units, (i,)) for i in APART if any(r.id == i for u in units for r in u)
        },
        "classes": classes(units, HEADLINE + APART),
        "over_segmentation": _over_segmentation(units),
        "levels": _levels(done),
        "after_shift": {"headline": block(moved, HEADLINE), "classes": classes(moved, HEADLINE)},
        "beyond": [
            {"case": case.id, "class": row.name, "pred_mm3": round(row.pred_mm3, 3)}
            for case in done
            for row in case.rows
            if row.status == "beyond"
        ],
        "per_slice": {"headline": block(slices, HEADLINE), "classes": classes(slices, HEADLINE + APART)}
        if any(case.slices is not None for case in done)
        else {"value": None, "reason": "not asked for"},
        "regions": _regions(done),
        "per_case": {case.id: _one(case) for case in cases},
    }


def _interval(found: Interval) -> dict[str, Any]:
    ends = {"low": _round(found.low), "high": _round(found.high), "level": found.level}
    return {**ends, **({"reason": found.reason} if found.reason else {})}


def _rate(count: int, of: int) -> float | None:
    return round(count / of, 6) if of else None


def _over_segmentation(units: Sequence[Sequence[ClassScore]]) -> dict[str, Any]:
    """Summarise false positives over truth volume, over all structures of a case together."""
    ratios = []
    for rows in units:
        kept = [row for row in rows if row.scored and row.id in HEADLINE]
        truth = sum(row.truth_mm3 for row in kept)
        ratios.append(sum(row.false_positive_mm3 for row in kept) / truth if truth else None)
    return spread(ratios, "no truth volume")


def _levels(cases: Sequence[CaseScore]) -> dict[str, Any]:
    """Count what became of the levels, over structures and over cases."""
    judged = [case.levels for case in cases if case.levels is not None and case.levels.status]
    statuses = Counter(status for found in judged for status in found.status.values())
    return {
        "structures": dict(sorted(statuses.items())),
        "right_rate": _rate(statuses["right"], sum(statuses.values())),
        "cases": len(judged),
        "cases_all_right": sum(set(found.status.values()) == {"right"} for found in judged),
        "shifted": {case.id: case.levels.shift for case in cases if case.levels and case.levels.shift},
        "corrections": {
            case.id: case.levels.correction for case in cases if case.levels and case.levels.correction
        },
    }


def _regions(cases: Sequence[CaseScore]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name in REGIONS:
        rows = [r for case in cases for r in case.regions or () if r.region == name]
        if rows:
            found[name] = {
                "cases": len(rows),
                "truth_points_missed_rate": _rate(
                    sum(r.truth_points_missed for r in rows), sum(r.truth_points for r in rows)
                ),
                **{
                    m: spread((getattr(r, m) for r in rows), "no point has a distance")
                    for m in REGION_METRICS
                },
            }
    return found or {"value": None, "reason": "not asked for, or no case has its image"}


def _one(case: CaseScore) -> dict[str, Any]:
    """Summarise one case in a line."""
    if case.failed:
        return {"status": "failed", "reason": case.failed}
    statuses = Counter(row.status for row in case.rows if row.id in HEADLINE)
    return {
        "status": "no prediction" if case.no_prediction else "scored",
        **{metric: _round(case.mean(metric)) for metric in METRICS},
        **{status: statuses[status] for status in ("found", "missed", "invented", "beyond")},
        "dsc_after_shift": _round(mean_of(case.rows_after_shift, "dsc", HEADLINE)),
        "correction": case.levels.correction if case.levels else 0,
        "notes": list(case.notes),
    }


def _round(value: float | None) -> float | None:
    return None if value is None else round(value, 6)
