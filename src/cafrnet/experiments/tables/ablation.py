"""Table 4: what LAFR and CLR give, and what they cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ...evaluation.statistics import Comparison
from ..pairs import against, seed_noise
from ..rows import Row
from ..scores import RowScores
from .comparison import METRICS, NOT_RUN, mean_of, pair_cells
from .context import PROTOCOL, Context, missing_notes
from .table import Cell, Column, Nothing, Table, spread

COLUMNS = (
    Column("model", "Model"),
    Column("dsc", "DSC (%)", 2, 100.0),
    Column("paper_dsc", "paper: DSC (%)", 2),
    Column("hd_mm", "HD (mm)", 2),
    Column("paper_hd", "paper: HD (mm)", 2),
    Column("hd95_mm", "HD95 (mm)", 2),
    Column("iou", "mIoU (%)", 2, 100.0),
    Column("paper_miou", "paper: mIoU (%)", 2),
    Column("missed", "missed (%)", 1, 100.0),
    Column("cases", "cases"),
    Column("difference", "full minus it, DSC (points)", 2, 100.0),
    Column("noise", "seed noise of it (points)", 2, 100.0),
    Column("p_holm", "p (Wilcoxon, Holm)", 4),
    Column("effect", "rank-biserial", 2),
    Column("reading", "reading"),
    Column("seed_sd", "SD over seeds, DSC (points)", 2, 100.0),
    Column("levels_right", "levels right (%)", 1, 100.0),
    Column("minutes", "training minutes", 1),
    Column("ms_per_step", "ms per step", 1),
    Column("gpu_mb", "GPU MB", 0),
    Column("process_mb", "process MB", 0),
    Column("steps", "steps done"),
    Column("converged", "converged at this schedule"),
)
#: In the order of ``TABLE4``: which of the two each row has.
BASELINE, LAFR, CLR, FULL = range(4)


def ablation(rows: Sequence[Row], scores: Mapping[str, RowScores], context: Context) -> Table:
    """Return Table 4.

    Args:
        rows: baseline, + LAFR, + CLR, full.
        scores: of the rows that have finished runs.
        context: what they share.
    """
    there = [scores[row.name] for row in rows if row.name in scores]
    full = scores.get(rows[FULL].name)
    others = [scores[r.name] for r in rows[:FULL] if r.name in scores]
    tested = against(full, others, "dsc") if full else {}
    noise = seed_noise(there, "dsc")
    lines = []
    for row in rows:
        line: dict[str, Cell] = {"model": row.label}
        if row.paper:
            line |= {"paper_dsc": row.paper.dsc, "paper_hd": row.paper.hd_mm, "paper_miou": row.paper.miou}
        if row.name not in scores:
            lines.append({**line, **{c: Nothing(NOT_RUN) for c in (*METRICS, "difference", "p_holm")}})
            continue
        line |= _scores(scores[row.name])
        if row.name == rows[FULL].name:
            lines.append({**line, "difference": "reference"})
            continue
        pair = tested.get(row.name)
        lines.append({**line, **pair_cells(pair), **_noise(pair, noise, there)})
    caption = (
        f"{context.caption()} {PROTOCOL} Distances are over structures found, so they stand beside the "
        "rate of missed ones. All four rows see the same steps, views and batches. Training minutes are "
        "those of the steps, a mean over runs; memory is the peak of a run. Both are of jobs that shared the "
        "machine with the other jobs of their command (--jobs in the manifest), so they compare no networks "
        "unless there was one job at a time. Seed noise of a difference is s sqrt(2 / seeds), s the standard "
        "deviation of a row's mean from seed to seed, pooled over the rows. The paper's columns are printed "
        "as they stand there."
    )
    return Table(
        "table4",
        "Table 4: ablation of LAFR and CLR",
        caption,
        COLUMNS,
        tuple(lines),
        tuple(missing_notes(there)),
    )


def _scores(scores: RowScores) -> dict[str, Cell]:
    noise = seed_noise([scores], "dsc")
    return {
        **{metric: mean_of(scores, metric, "nothing found") for metric in METRICS},
        "missed": mean_of(scores, "missed_rate"),
        "cases": len(scores.cases),
        "levels_right": mean_of(scores, "levels_right"),
        "seed_sd": Nothing("one seed: unknown") if noise is None else noise,
        "steps": scores.steps,
        "converged": scores.ending,
        **{key: _of_fits(scores, key) for key in ("minutes", "ms_per_step", "gpu_mb", "process_mb")},
    }


def _noise(pair: Comparison | None, noise: float | None, rows: Sequence[RowScores]) -> dict[str, Cell]:
    """Return the seed noise of a difference of two rows, and what the difference means beside it."""
    if noise is None:
        return {"noise": Nothing("one seed: unknown"), "reading": Nothing("seed noise unknown")}
    of_difference = noise * (2 / min(len(row.seeds) for row in rows)) ** 0.5
    if pair is None or pair.mean_difference is None:
        return {"noise": of_difference}
    small = abs(pair.mean_difference) < of_difference
    reading = "smaller than seed noise" if small else "larger than seed noise"
    return {
        "noise": of_difference,
        "reading": Nothing(f"no claim: {pair.reason}") if pair.reason else reading,
    }


def _of_fits(scores: RowScores, key: str) -> Cell:
    return spread([fit[key] for fit in scores.fits if fit.get(key) is not None], nothing="not measured")
