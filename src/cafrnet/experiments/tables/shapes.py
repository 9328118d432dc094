"""Over-segmentation and fragmentation as numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..rows import Row
from ..scores import RowScores
from .comparison import mean_of
from .context import Context, missing_notes, of_rows
from .table import Column, Table

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
        name,
        f"Over-segmentation and fragmentation{of_rows(name)}",
        caption,
        SHAPE_COLUMNS,
        tuple(lines),
        notes,
    )
