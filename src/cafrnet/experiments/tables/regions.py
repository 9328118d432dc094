"""Errors within the regions that the paper makes claims about, and every comparison there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ...evaluation.regions import NAMED, REGIONS
from ...labels import TABLE
from ..pairs import against
from ..rows import REFERENCE, Row
from ..scores import RowScores
from .comparison import MISSED_MORE, missed_more, pair_cells
from .context import Context, missing_notes, of_rows
from .structures import NO_OUTPUT
from .table import Cell, Column, Nothing, Table, spread

#: Measure -> label, digits, scale.
REGION_MEASURES = {
    "error_rate": ("wrong voxels (%)", 2, 100.0),
    "truth_to_pred_mean_mm": ("truth to prediction, mean (mm)", 2, 1.0),
    "truth_to_pred_p95_mm": ("truth to prediction, 95th (mm)", 2, 1.0),
    "truth_to_pred_max_mm": ("truth to prediction, max (mm)", 2, 1.0),
    "pred_to_truth_mean_mm": ("prediction to truth, mean (mm)", 2, 1.0),
    "pred_to_truth_max_mm": ("prediction to truth, max (mm)", 2, 1.0),
    "truth_to_pred_penalised_mm": ("truth to prediction with penalty (mm)", 2, 1.0),
}


def by_region(
    rows: Sequence[Row], scores: Mapping[str, RowScores], context: Context, name: str = "regions"
) -> Table:
    """Return errors within the regions that the paper makes claims about."""
    there = [row for row in rows if row.name in scores]
    lines: list[dict[str, Cell]] = []
    for region in REGIONS:
        for row in there:
            cases = len(scores[row.name].per_case(f"{region}: voxels"))
            line: dict[str, Cell] = {"region": region, "method": row.label, "cases": cases}
            for measure in REGION_MEASURES:
                line[measure] = _in_region(scores[row.name], region, measure, cases)
            lines.append(line)
    columns = (
        Column("region", "region"),
        Column("method", "method"),
        Column("cases", "cases"),
        *(Column(key, *about) for key, about in REGION_MEASURES.items()),
    )
    caption = (
        f"{context.caption()} Bands around outlines, given by truth and image alone (thresholds pooled over "
        "the whole dataset); mean ± standard deviation over cases, seeds averaged per case first. Distances "
        "are over structures found; the last column gives missed ones the diagonal of the volume. 'no "
        "output': the network has no class for the structure that the region is about."
    )
    notes = tuple(missing_notes([scores[row.name] for row in there]))
    return Table(name, f"Regions{of_rows(name)}", caption, columns, tuple(lines), notes)


#: The structure that a region is about, for those that are about one.
ABOUT = {**{name: TABLE[name].id for name in NAMED}, "canal wall": TABLE.of_kind("canal")[0]}


def _in_region(row: RowScores, region: str, measure: str, cases: int) -> Cell:
    if cases and not _draws(row, region):
        return Nothing(NO_OUTPUT)
    known = row.per_case(f"{region}: {measure}").values()
    return spread(known, cases, "no distance" if cases else "no case has it")


def _draws(row: RowScores, region: str) -> bool:
    """Whether the network has an output for the structure of a region."""
    return region not in ABOUT or row.draws(ABOUT[region])


#: What is tested in a region, and the structures of the paper's claim about low contrast.
TESTED = (*(f"{r}: {m}" for r in REGIONS for m in ("error_rate", "truth_to_pred_max_mm")), "dsc_low")
REGION_PAIR_COLUMNS = (
    Column("method", "the other"),
    Column("metric", "metric"),
    Column("pairs", "cases"),
    Column("difference", "first minus it", 4),
    Column("p_holm", "p (Wilcoxon, Holm)", 4),
    Column("effect", "rank-biserial", 2),
    MISSED_MORE,
)


def region_pairs(
    rows: Sequence[Row], scores: Mapping[str, RowScores], context: Context, name: str = "regions_pairs"
) -> Table:
    """Return CAFR-Net against each other row within the regions, paired over cases."""
    there = [scores[row.name] for row in rows if row.name in scores]
    others = [row for row in there if row.name != REFERENCE]
    label = {row.name: row.label for row in rows}
    lines: list[dict[str, Cell]] = []
    for metric in TESTED if REFERENCE in scores else ():
        region = metric.partition(":")[0]
        if not _draws(scores[REFERENCE], region):
            continue
        found = against(scores[REFERENCE], [row for row in others if _draws(row, region)], metric)
        for other, pair in found.items():
            lines.append({"method": label[other], "metric": metric, "pairs": pair.pairs, **pair_cells(pair)})
            lines[-1]["missed"] = missed_more(scores[REFERENCE], scores[other])
    caption = (
        f"{context.caption()} The full CAFR-Net minus the other row. error_rate: share of the band's "
        "voxels that are wrong; truth_to_pred_max_mm: largest distance from the truth's outline in the "
        "region to the predicted surface, over structures found, so it is read beside what more or less "
        "the first misses; dsc_low: mean DSC of S, L5 and L4 where they are marked. "
        "Two-sided Wilcoxon over cases, corrected by Holm over the rows, for each metric on its own."
    )
    notes = missing_notes(there)
    for region in REGIONS:
        without = [row.label for row in there if not _draws(row, region)]
        if without and any(row.per_case(f"{region}: voxels") for row in there):
            notes.append(f"{region}: not tested for {', '.join(without)}: no output for it.")
    title = f"Regions: every comparison{of_rows(name)}"
    return Table(name, title, caption, REGION_PAIR_COLUMNS, tuple(lines), tuple(notes))
