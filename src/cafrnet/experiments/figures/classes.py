"""Fig 2: in how many slices each structure occurs, the cumulative share, and where it reaches 80 %."""

from __future__ import annotations

from pathlib import Path

from ...datasets import Dataset
from ...datasets.class_figure import THRESHOLD_PERCENT, draw
from ...datasets.statistics import Statistics, statistics
from .drawing import Drawn, write_caption


def class_counts(dataset: Dataset, path: Path) -> Drawn:
    """Count a dataset and draw it as ``cafrnet data stats`` does.

    Raises:
        UsageError: no case could be read. MissingExtraError: matplotlib is not installed.
    """
    found = statistics(dataset)
    draw(found, path)
    return write_caption(path, caption(found))


def caption(found: Statistics) -> str:
    """Say what is counted, and which structures lie above the mark."""
    rows = sorted((c for c in found.classes if c.slices), key=lambda c: (c.slices, c.id))
    total, below, rare = sum(c.slices for c in rows), 0, 0
    for row in rows:
        below += row.slices
        rare += 100 * below <= THRESHOLD_PERCENT * total
    failed = f" {len(found.failed)} cases could not be read and are not counted." if found.failed else ""
    return (
        f"{found.dataset}, {sum(g.labelled for g in found.geometry)} cases, {found.labelled_slices} sagittal "
        "slices: how many hold each structure, in rising order (bars), and the cumulative share (line). The "
        f"{rare} rarest of {len(rows)} structures stay below the mark at {THRESHOLD_PERCENT} % (dashed)."
        f"{failed}"
    )
