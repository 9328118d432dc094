"""Table 3: all models under one protocol, with the paper's figures beside ours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ...evaluation.statistics import Comparison, bootstrap_interval
from ..cost import Cost
from ..pairs import SEED, against, missed
from ..rows import REFERENCE, Row
from ..scores import RowScores
from .context import PROTOCOL, Context, missing_notes
from .table import Cell, Column, Nothing, Ranged, Table, spread

#: Metric -> (label, digits, scale); those of Table 3 and what they leave out.
METRICS = {
    "dsc": ("DSC (%)", 2, 100.0),
    "hd_mm": ("HD (mm)", 2, 1.0),
    "hd95_mm": ("HD95 (mm)", 2, 1.0),
    "iou": ("mIoU (%)", 2, 100.0),
}
COLUMNS = (
    Column("method", "Method"),
    Column("dsc", "DSC (%)", 2, 100.0),
    Column("paper_dsc", "paper: DSC (%)", 2),
    Column("hd_mm", "HD (mm)", 2),
    Column("paper_hd", "paper: HD (mm)", 2),
    Column("hd95_mm", "HD95 (mm)", 2),
    Column("iou", "mIoU (%)", 2, 100.0),
    Column("paper_miou", "paper: mIoU (%)", 2),
    Column("gmacs", "GMACs", 2),
    Column("paper_gmacs", "paper: GMACs", 2),
    Column("difference", "CAFR-Net minus it, DSC (points)", 2, 100.0),
    Column("p_holm", "p (Wilcoxon, Holm)", 4),
    Column("paper_p", "paper: p"),
    Column("effect", "rank-biserial", 2),
    Column("training", "training"),
    Column("steps", "steps done"),
    Column("converged", "converged at this schedule"),
    Column("cases", "cases"),
    Column("dsc_interval", "DSC, 95 % interval"),
    Column("dsc_shifted", "DSC after best shift (%)", 2, 100.0),
    Column("levels_right", "levels right (%)", 1, 100.0),
    Column("missed", "missed (%)", 1, 100.0),
    Column("outputs", "outputs"),
    Column("params_m", "params (M)", 2, 1e-6),
    Column("latency_ms", "ms per slice", 1),
    Column("peak_mb", "peak MB", 0),
)
NOT_RUN = "not run"


def comparison(
    rows: Sequence[Row],
    scores: Mapping[str, RowScores],
    costs: Mapping[str, Cost],
    context: Context,
    measured: str,
) -> Table:
    """Return Table 3.

    Args:
        rows: in order.
        scores: of the rows that have finished runs.
        costs: of all rows.
        context: what they share.
        measured: on what latency and memory were measured.
    """
    tested = pairs(rows, scores, "dsc")
    lines = [_line(row, scores.get(row.name), costs.get(row.name), tested.get(row.name)) for row in rows]
    there = [scores[row.name] for row in rows if row.name in scores]
    caption = (
        f"{context.caption()} {PROTOCOL} Distances are over structures found, so they stand beside the "
        "rate of missed ones. CAFR-Net is compared with each row by a two-sided Wilcoxon test over cases, "
        "corrected by Holm over the tested rows; intervals are bootstrap intervals. A row with a training "
        "of its own differs in more than its network: no p. Parameters and multiply-accumulates (the "
        f"paper's 'FLOPs') are of the network with its outputs (the paper: 20). Time and memory: {measured}. "
        "The paper's columns are printed as they stand there: other data, undeclared protocol."
    )
    return Table(
        "table3", "Table 3: comparison of models", caption, COLUMNS, tuple(lines), tuple(missing_notes(there))
    )


def pairs(rows: Sequence[Row], scores: Mapping[str, RowScores], metric: str) -> dict[str, Comparison]:
    """Compare CAFR-Net with each other row that has scores; nothing if it has none itself."""
    if REFERENCE not in scores:
        return {}
    others = [scores[row.name] for row in rows if row.name in scores and row.name != REFERENCE]
    return against(scores[REFERENCE], others, metric)


def _line(row: Row, scores: RowScores | None, cost: Cost | None, pair: Comparison | None) -> dict[str, Cell]:
    line: dict[str, Cell] = {"method": row.label}
    if row.paper:
        line |= {"paper_dsc": row.paper.dsc, "paper_hd": row.paper.hd_mm, "paper_miou": row.paper.miou}
        line |= {"paper_gmacs": row.paper.gmacs or "", "paper_p": row.paper.p or "-"}
    if cost:
        line |= {"params_m": float(cost.params), "gmacs": cost.gmacs}
        line |= {"latency_ms": known(cost.latency_ms), "peak_mb": known(cost.peak_mb)}
    if scores is None:
        return {**line, **{c: Nothing(NOT_RUN) for c in (*METRICS, "difference", "p_holm", "cases")}}
    line |= {metric: mean_of(scores, metric, "nothing found") for metric in METRICS}
    line |= {
        "dsc_interval": _interval(scores),
        "dsc_shifted": mean_of(scores, "dsc_after_shift"),
        "levels_right": mean_of(scores, "levels_right"),
        "missed": mean_of(scores, "missed_rate"),
        "cases": len(scores.cases),
        "steps": scores.steps,
        "converged": scores.ending,
        "training": _training(scores),
        "outputs": Nothing("unknown") if scores.outputs is None else scores.outputs,
    }
    if row.name == REFERENCE:
        return {**line, "difference": "reference", "p_holm": "", "effect": ""}
    return {**line, **pair_cells(pair)}


def _training(scores: RowScores) -> str:
    if not scores.fits:
        return "not ours"
    return f"own: {', '.join(scores.own)}" if scores.own else "as all rows"


def pair_cells(pair: Comparison | None) -> dict[str, Cell]:
    """Return the cells of a comparison: difference, corrected p, effect size."""
    if pair is None or pair.mean_difference is None:
        reason = pair.reason if pair else f"{REFERENCE} not run"
        return {"difference": Nothing(reason), "p_holm": Nothing(), "effect": Nothing()}
    difference = Ranged(pair.mean_difference, pair.interval.low, pair.interval.high)
    if pair.p_holm is None or pair.effect is None:
        return {"difference": difference, "p_holm": Nothing(pair.reason), "effect": Nothing()}
    return {"difference": difference, "p_holm": pair.p_holm, "effect": pair.effect}


#: Beside differences of what is measured over structures found.
MISSED_MORE = Column("missed", "missed, difference (points)", 1, 100.0)


def missed_more(first: RowScores, second: RowScores) -> Cell:
    """Return the rate of structures that the first misses minus that of the second, over common cases."""
    one, other = missed([first, second])
    return Nothing("unknown") if one is None or other is None else one - other


def mean_of(scores: RowScores, metric: str, nothing: str = "no value") -> Cell:
    """Return mean and standard deviation of a metric over cases."""
    return spread(scores.per_case(metric).values(), len(scores.cases), nothing)


def known(value: float | None, reason: str = "not measured") -> Cell:
    """Return a number, or why there is none."""
    return Nothing(reason) if value is None else float(value)


def _interval(scores: RowScores) -> Cell:
    values = list(scores.per_case("dsc").values())
    found = bootstrap_interval(values, np.random.default_rng(SEED))
    if found.low is None or found.high is None:
        return Nothing(found.reason)
    return f"{100 * found.low:.2f} to {100 * found.high:.2f}"


PAIR_COLUMNS = (
    Column("method", "CAFR-Net against"),
    Column("metric", "metric"),
    Column("pairs", "cases"),
    Column("difference", "CAFR-Net minus it", 3),
    Column("p", "p (Wilcoxon)", 4),
    Column("p_holm", "p (Holm)", 4),
    Column("effect", "rank-biserial", 3),
    MISSED_MORE,
)


def all_pairs(rows: Sequence[Row], scores: Mapping[str, RowScores], context: Context) -> Table:
    """Return every comparison with CAFR-Net, metric by metric; Holm's correction within each metric."""
    lines: list[dict[str, Cell]] = []
    label = {row.name: row.label for row in rows}
    for metric in (*METRICS, "hd95_penalised_mm", "dsc_after_shift"):
        for name, pair in pairs(rows, scores, metric).items():
            cells = pair_cells(pair)
            p: Cell = Nothing(pair.reason) if pair.p is None else pair.p
            lines.append({"method": label[name], "metric": metric, "pairs": pair.pairs, "p": p, **cells})
            lines[-1]["missed"] = missed_more(scores[REFERENCE], scores[name])
    caption = (
        f"{context.caption()} Shares (dsc, iou) from 0 to 1, distances in mm; a positive difference of a "
        "distance means that CAFR-Net is worse. hd_mm and hd95_mm are over structures found, so they are "
        "read beside what more or less CAFR-Net misses than the other. hd95_penalised_mm gives missed and "
        "invented structures the diagonal of the volume; dsc_after_shift is the DSC after the best "
        "whole-column shift of levels."
    )
    notes = tuple(missing_notes([scores[row.name] for row in rows if row.name in scores]))
    return Table("table3_pairs", "Table 3: every comparison", caption, PAIR_COLUMNS, tuple(lines), notes)
