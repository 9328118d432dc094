"""From the scores on degraded scans to means, and to changes from the clean ones with their intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ...evaluation.statistics import bootstrap_interval
from .artefacts import ARTEFACTS

#: ``kind`` of the scans as they are.
CLEAN = "none"
SUMMARY = (
    *("row", "kind", "level", "strength", "unit", "cases", "dsc", "dsc_sd"),
    *("dsc_after_shift", "levels_right", "change", "change_low", "change_high", "failed", "reason"),
)


def summarise(rows: Sequence[Mapping[str, Any]], rng: np.random.Generator) -> list[dict[str, Any]]:
    """Return mean scores per row, kind and level, and the mean change from the clean scans.

    Seeds of a case are averaged first. A change is over the cases that have both scores; its interval is a
    bootstrap one over cases. Failed scans are counted beside the mean, never in it.
    """
    summary = []
    for name in dict.fromkeys(r["row"] for r in rows):
        own = [r for r in rows if r["row"] == name]
        clean = _by_case(own, CLEAN, 0)
        for kind, level, strength in dict.fromkeys((r["kind"], r["level"], r["strength"]) for r in own):
            scores = _by_case(own, kind, level)
            beside = {m: _by_case(own, kind, level, m) for m in ("dsc_after_shift", "levels_right")}
            values = np.array(list(scores.values()))
            changes = np.array([scores[c] - clean[c] for c in scores if c in clean])
            interval = bootstrap_interval(changes, rng)
            failed = sum(r["dsc"] is None for r in own if (r["kind"], r["level"]) == (kind, level))
            summary.append(
                {
                    **{"row": name, "kind": kind, "level": int(level), "strength": strength},
                    "unit": ARTEFACTS[kind].unit if kind in ARTEFACTS else "",
                    "cases": len(values),
                    "dsc": float(values.mean()) if len(values) else None,
                    "dsc_sd": float(values.std(ddof=1)) if len(values) > 1 else None,
                    **{m: float(np.mean(list(v.values()))) if v else None for m, v in beside.items()},
                    "change": float(changes.mean()) if len(changes) else None,
                    "change_low": interval.low,
                    "change_high": interval.high,
                    "failed": failed,
                    "reason": interval.reason,
                }
            )
    return summary


def _by_case(
    rows: Sequence[Mapping[str, Any]], kind: str, level: float, metric: str = "dsc"
) -> dict[str, float]:
    """Return case -> score at one kind and level, seeds averaged; cases without a score are left out."""
    at = [r for r in rows if r["kind"] == kind and r["level"] == level]
    scores: dict[str, list[float]] = {}
    for row in at:
        scores.setdefault(row["case"], []).append(row[metric])
    return {case: float(np.mean(values)) for case, values in scores.items() if None not in values}
