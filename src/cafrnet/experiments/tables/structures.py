"""Structure by structure, region by region; over-segmentation and fragmentation as numbers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np

from ...evaluation.regions import NAMED, REGIONS
from ...evaluation.sets import APART, HEADLINE
from ...labels import TABLE
from ..pairs import against
from ..rows import REFERENCE, Row
from ..scores import RowScores
from .comparison import MISSED_MORE, mean_of, missed_more, pair_cells
from .context import Context, missing_notes
from .table import Cell, Column, Nothing, Table, spread

#: A structure that fewer than this share of the cases hold is rare.
RARE = 0.5
#: What a cell says of a structure that the network has no class for.
NO_OUTPUT = "no output"


def by_structure(rows: Sequence[Row], scores: Mapping[str, RowScores], context: Context) -> Table:
    """Return the DSC of each structure for each row; rare ones stand apart, at the end."""
    there = [row for row in rows if row.name in scores]
    values = {row.name: _of_structures(scores[row.name]) for row in there}
    held = _held([scores[row.name] for row in there])
    cases = max((len(scores[row.name].cases) for row in there), default=0)
    lines = []
    for identity in (*HEADLINE, *APART):
        count = held.get(identity, 0)
        line: dict[str, Cell] = {"structure": TABLE[identity].name, "in_truth": count}
        line["group"] = _group(identity, count, cases)
        for row in there:
            found = values[row.name].get(identity, [])
            line[row.name] = _structure(scores[row.name], identity, found if count else None)
        lines.append(line)
    lines.sort(key=lambda line: _GROUPS.index(str(line["group"])))
    columns = (
        Column("structure", "structure"),
        Column("in_truth", "cases with it"),
        Column("group", "group"),
        *(Column(row.name, row.label, 1, 100.0) for row in there),
    )
    caption = (
        f"{context.caption()} DSC in % per structure, mean ± standard deviation over the cases in which it "
        "is found, missed or invented (0 for the last two); seeds averaged per case first. Rare: in fewer "
        f"than {100 * RARE:.0f} % of the cases. A structure that no truth holds has no score; rows that "
        "invent one are named below. 'no output': the network has no class for it."
    )
    notes = [n for row in there for n in _inventions(scores[row.name], held)]
    notes = missing_notes([scores[row.name] for row in there]) + notes
    return Table("structures", "Structure by structure", caption, columns, tuple(lines), tuple(notes))


def _structure(row: RowScores, identity: int, dsc: Sequence[float] | None) -> Cell:
    """Return the cell of a structure; ``dsc`` has a value per case, None where no truth holds it."""
    if dsc is None:
        return Nothing("in no truth")
    return spread(dsc, nothing="nothing to score") if row.draws(identity) else Nothing(NO_OUTPUT)


def _inventions(row: RowScores, held: Mapping[int, int]) -> list[str]:
    """Name the structures that a row invents and no truth holds."""
    cases: dict[int, set[str]] = defaultdict(set)
    for run in row.used:
        for line in run.structures:
            if line["status"] == "invented" and not held.get(line["id"]):
                cases[line["id"]].add(line["case"])
    return [
        f"{row.label}: invents {TABLE[identity].name}, which no truth holds, in {len(found)} cases."
        for identity, found in sorted(cases.items())
    ]


_GROUPS = ("common", "rare", "apart", "in no truth")


def _group(identity: int, count: int, cases: int) -> str:
    if not count:
        return "in no truth"
    if identity in APART:
        return "apart"
    return "rare" if count < RARE * cases else "common"


def _held(rows: Sequence[RowScores]) -> dict[int, int]:
    """Return id -> number of cases whose truth holds it, over all rows' cases."""
    cases: dict[int, set[str]] = defaultdict(set)
    for row in rows:
        for run in row.used:
            for line in run.structures:
                if line["status"] in ("found", "missed"):
                    cases[line["id"]].add(line["case"])
    return {identity: len(found) for identity, found in cases.items()}


def _of_structures(row: RowScores) -> dict[int, list[float]]:
    """Return id -> DSC per case, seeds averaged."""
    values: dict[tuple[int, str], list[float]] = defaultdict(list)
    for run in row.used:
        for line in run.structures:
            if line.get("dsc") is not None:
                values[line["id"], line["case"]].append(line["dsc"])
    found: dict[int, list[float]] = defaultdict(list)
    for (identity, _), scores in values.items():
        found[identity].append(float(np.mean(scores)))
    return found


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
    return Table(name, f"Regions{_of(name)}", caption, columns, tuple(lines), notes)


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
    title = f"Regions: every comparison{_of(name)}"
    return Table(name, title, caption, REGION_PAIR_COLUMNS, tuple(lines), tuple(notes))


def _of(name: str) -> str:
    """Return which rows a table is about, for its title."""
    return " (ablation)" if name.startswith("table4") else ""


SHAPE_COLUMNS = (
    Column("method", "method"),
    Column("over_segmentation", "false positives / truth (%)", 2, 100.0),
    Column("components", "pieces per structure found", 3),
    Column("extra_components", "more pieces than the truth", 3),
    Column("invented_structures", "invented structures per case", 2),
    Column("missed_rate", "missed (%)", 2, 100.0),
)


def shapes(
    rows: Sequence[Row], scores: Mapping[str, RowScores], context: Context, name: str = "shapes"
) -> Table:
    """Return over-segmentation and fragmentation."""
    there = [row for row in rows if row.name in scores]
    lines = [
        {
            "method": row.label,
            **{c.key: mean_of(scores[row.name], c.key) for c in SHAPE_COLUMNS[1:]},
        }
        for row in there
    ]
    caption = (
        f"{context.caption()} Ids 1-19, mean ± standard deviation over cases, seeds averaged per case first. "
        "False positives of all structures together over their true volume; pieces are counted with 26 "
        "neighbours, over structures found."
    )
    notes = tuple(missing_notes([scores[row.name] for row in there]))
    return Table(
        name, f"Over-segmentation and fragmentation{_of(name)}", caption, SHAPE_COLUMNS, tuple(lines), notes
    )
