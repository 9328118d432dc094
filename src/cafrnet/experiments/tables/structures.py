"""Structure by structure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np

from ...evaluation.sets import APART, HEADLINE
from ...labels import TABLE
from ..rows import Row
from ..scores import RowScores
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
