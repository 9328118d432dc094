"""From the scores on degraded scans to means, and to changes from the clean ones with their intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ...evaluation.statistics import bootstrap_interval
from .artefacts import ARTEFACTS

#: ``kind`` of the scans as they are.
CLEAN = "none"
#: ``reason`` of a scan that was segmented and has no structure to score.
NOTHING_LEFT = "no structure is scored"
SUMMARY = (
    *("row", "kind", "level", "strength", "unit", "cases", "dsc", "dsc_sd", "clean_dsc"),
    *("dsc_after_shift", "levels_right", "change", "change_low", "change_high"),
    *("failed", "nothing_left", "reason"),
)


def summarise(rows: Sequence[Mapping[str, Any]], rng: np.random.Generator) -> list[dict[str, Any]]:
    """Return mean scores per row, kind and level, and the mean change from the clean scans.

    Seeds of a case are averaged first. A change is over the cases that have both scores, and in each over the
    structures that both have; its interval is a bootstrap one over cases. Failed scans, and those in which
    nothing is left to score, are counted beside the mean, never in it.
    """
    summary = []
    for name in dict.fromkeys(r["row"] for r in rows):
        own = [r for r in rows if r["row"] == name]
        for kind, level, strength in dict.fromkeys((r["kind"], r["level"], r["strength"]) for r in own):
            scores, clean = (_by_case(own, kind, level, m) for m in ("dsc", "clean_dsc"))
            beside = {m: _by_case(own, kind, level, m) for m in ("dsc_after_shift", "levels_right")}
            values = np.array(list(scores.values()))
            both = [c for c in scores if c in clean]
            changes = np.array([scores[c] - clean[c] for c in both])
            interval = bootstrap_interval(changes, rng)
            none = [r for r in own if (r["kind"], r["level"]) == (kind, level) and r["dsc"] is None]
            left = sum(r["reason"] == NOTHING_LEFT for r in none)
            summary.append(
                {
                    **{"row": name, "kind": kind, "level": int(level), "strength": strength},
                    "unit": ARTEFACTS[kind].unit if kind in ARTEFACTS else "",
                    "cases": len(values),
                    "dsc": float(values.mean()) if len(values) else None,
                    "dsc_sd": float(values.std(ddof=1)) if len(values) > 1 else None,
                    "clean_dsc": float(np.mean([clean[c] for c in both])) if both else None,
                    **{m: float(np.mean(list(v.values()))) if v else None for m, v in beside.items()},
                    "change": float(changes.mean()) if len(changes) else None,
                    "change_low": interval.low,
                    "change_high": interval.high,
                    "failed": len(none) - left,
                    "nothing_left": left,
                    "reason": interval.reason,
                }
            )
    return summary


def _by_case(rows: Sequence[Mapping[str, Any]], kind: str, level: float, metric: str) -> dict[str, float]:
    """Return case -> score at one kind and level, seeds averaged; cases without a score are left out."""
    at = [r for r in rows if r["kind"] == kind and r["level"] == level]
    scores: dict[str, list[float]] = {}
    for row in at:
        scores.setdefault(row["case"], []).append(row[metric])
    return {case: float(np.mean(values)) for case, values in scores.items() if None not in values}
