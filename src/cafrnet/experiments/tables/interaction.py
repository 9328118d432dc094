"""Table 4: whether LAFR and CLR together give more than the sum of what each gives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ...evaluation.statistics import FEWEST_PAIRS, TOO_FEW, bootstrap_interval
from ..pairs import ROUNDING, SEED, missed, seed_noise
from ..rows import Row
from ..scores import RowScores, common_cases
from .ablation import BASELINE, CLR, FULL, LAFR
from .comparison import METRICS
from .context import Context, missing_notes
from .table import Cell, Column, Nothing, Ranged, Table

INTERACTION_COLUMNS = (
    Column("metric", "metric"),
    Column("cases", "cases"),
    Column("lafr", "LAFR alone", 3),
    Column("clr", "CLR alone", 3),
    Column("both", "both together", 3),
    Column("interaction", "both minus the sum", 3),
    Column("noise", "seed noise of it", 3),
    Column("verdict", "verdict"),
    Column("paper", "paper: both minus the sum", 3),
)
#: Those of Table 3, and distances in which a missed structure has the diagonal of the volume.
INTERACTIONS = (*METRICS, "hd_penalised_mm", "hd95_penalised_mm")
#: Measured over structures found: of rows that don't find the same ones they are no comparison.
OVER_FOUND = ("hd_mm", "hd95_mm")
#: More of these is better; of all other metrics less.
SHARES = ("dsc", "iou")
#: What the paper's own Table 4 gives: gains together minus the sum of the gains.
PAPER = {
    "dsc": (92.04 - 88.92 - 1.51 - 2.20) / 100,
    "hd_mm": -1.52 + 0.72 + 1.06,
    "iou": (7.17 - 2.75 - 3.87) / 100,
}


def interaction(rows: Sequence[Row], scores: Mapping[str, RowScores], context: Context) -> Table:
    r"""Return whether LAFR and CLR work in synergy, metric by metric.

    .. math:: I = S_{full} - S_{LAFR} - S_{CLR} + S_{baseline}

    per case (seeds averaged first), with a bootstrap interval of its mean over cases. Positive is more than
    the sum of the two gains for a share, and less than the sum for a distance.

    The seed noise of I is twice (four terms) that of one row's mean over n seeds: ``2 s / sqrt(n)``. An
    interaction smaller than that is called seed noise; with one seed the noise is unknown.

    Source: the title's "synergy", read as an interaction. The paper gives no test of it.
    """
    four = [scores.get(row.name) for row in rows]
    there = [s for s in four if s is not None]
    lines: list[dict[str, Cell]] = []
    for metric in INTERACTIONS if len(there) == len(rows) else ():
        lines.append(_interaction(metric, there))
    caption = (
        f"{context.caption()} Shares (dsc, iou) from 0 to 1, distances in mm. Interaction: score of the "
        "full model - with LAFR alone - with CLR alone + baseline, per case, seeds averaged first; 95 % "
        "bootstrap interval over cases. For a distance, a negative number is a gain. hd_mm and hd95_mm are "
        "over structures found: no claim where the rows don't miss equally many; the penalised ones give "
        "missed and invented structures the diagonal of the volume. Seed noise: 2 s / sqrt(seeds), s the "
        "standard deviation of a row's mean from seed to seed, pooled over the four rows."
    )
    notes = missing_notes(there)
    if len(there) < len(rows):
        notes.append("The interaction needs all four rows; some are not run.")
    return Table(
        "table4_interaction",
        "Table 4: is there synergy?",
        caption,
        INTERACTION_COLUMNS,
        tuple(lines),
        tuple(notes),
    )


def _interaction(metric: str, four: Sequence[RowScores]) -> dict[str, Cell]:
    by_row = [row.per_case(metric) for row in four]
    cases = sorted(common_cases(four).intersection(*by_row))
    if not cases:
        none = Nothing("no case has it in all four rows")
        return {"metric": metric, "cases": 0, "interaction": none, "verdict": none.reason}
    table = np.array([[row[case] for case in cases] for row in by_row])
    effect = table[FULL] - table[LAFR] - table[CLR] + table[BASELINE]
    effect[np.abs(effect) < 1e-12] = 0.0  # rounding is no interaction
    interval = bootstrap_interval(effect, np.random.default_rng(SEED))
    noise = seed_noise(four, metric)
    seeds = min(len(row.seeds) for row in four)
    of_effect = None if noise is None else 2 * noise / seeds**0.5
    mean = float(effect.mean())
    gains = {"lafr": table[LAFR], "clr": table[CLR], "both": table[FULL]}
    doubts = _doubts(four, len(cases)) + (_unequal(four) if metric in OVER_FOUND else [])
    return {
        "metric": metric,
        "cases": len(cases),
        **{name: float((values - table[BASELINE]).mean()) for name, values in gains.items()},
        "interaction": Ranged(mean, interval.low, interval.high),
        "noise": Nothing("one seed: unknown") if of_effect is None else of_effect,
        "verdict": verdict(mean, interval.low, interval.high, of_effect, metric, doubts),
        **({"paper": PAPER[metric]} if metric in PAPER else {"paper": Nothing("not printed")}),
    }


def _doubts(rows: Sequence[RowScores], cases: int) -> list[str]:
    """Say why no claim can be made, if none can."""
    few = [TOO_FEW] if cases < FEWEST_PAIRS else []
    return few + [f"{row.label}: {row.doubt}" for row in rows if row.doubt]


def _unequal(rows: Sequence[RowScores]) -> list[str]:
    """Say that the rows don't miss equally many structures, if they don't."""
    rates = [rate for rate in missed(rows) if rate is not None]
    if len(rates) < len(rows):
        return ["what the rows miss is unknown"]
    if max(rates) - min(rates) <= ROUNDING:
        return []
    low, high = 100 * min(rates), 100 * max(rates)
    return [f"it is over structures found, and the rows miss {low:.1f} to {high:.1f} %"]


def verdict(
    mean: float,
    low: float | None,
    high: float | None,
    noise: float | None,
    metric: str,
    doubts: Sequence[str],
) -> str:
    """Say in words what an interaction means, and no more than it does."""
    if doubts or low is None or high is None:
        return f"no claim: {(*doubts, TOO_FEW)[0]}"
    if low <= 0 <= high:
        return "no interaction shown: the interval holds 0"
    if noise is None:
        return "no claim: one seed, its noise is unknown"
    if abs(mean) < noise:
        return "smaller than seed noise"
    gain = mean > 0 if metric in SHARES else mean < 0
    return "synergy: more than the sum" if gain else "sub-additive: less than the sum"
