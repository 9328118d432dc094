"""The paper's Fig 2: how many slices hold each class, in ascending order, and their cumulative share."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..errors import MissingExtraError
from ..files import whole_file

if TYPE_CHECKING:
    from .statistics import Statistics

#: The line that the paper draws at this share.
THRESHOLD_PERCENT = 80


def need_matplotlib() -> None:
    """Raise MissingExtraError if matplotlib is not installed."""
    if importlib.util.find_spec("matplotlib") is None:
        raise MissingExtraError("the picture of the classes", "plots")


def draw(statistics: Statistics, path: Path) -> None:
    """Draw the distribution of the classes that occur, as PNG, whole or not at all.

    Raises:
        MissingExtraError: matplotlib is not installed.
        InputError: the file could not be written.
    """
    need_matplotlib()
    from matplotlib.figure import Figure

    rows = sorted((c for c in statistics.classes if c.slices), key=lambda c: (c.slices, c.id))
    counts = np.array([c.slices for c in rows])
    share_percent = 100 * counts.cumsum() / max(counts.sum(), 1)
    figure = Figure(figsize=(9, 4.5), layout="constrained")
    axes = figure.add_subplot()
    bars = axes.bar([c.name for c in rows], counts, color="#4878a8")
    axes.bar_label(bars, fontsize=7, padding=2)
    axes.set_ylabel("sagittal slices")
    axes.margins(x=0.01)
    axes.set_ylim(0, 1.12 * max(counts.max(initial=1), 1))
    axes.tick_params("x", rotation=60)
    for tick in axes.get_xticklabels():
        tick.set(ha="right", rotation_mode="anchor")
    right = axes.twinx()
    right.plot(range(len(rows)), share_percent, color="tab:orange", marker="o", markersize=3)
    right.axhline(THRESHOLD_PERCENT, color="grey", linestyle="--", linewidth=1)
    right.set_ylabel("cumulative share in %", color="tab:orange")
    right.set_ylim(0, 112)
    right.set_yticks(range(0, 101, 20))
    labelled = sum(g.labelled for g in statistics.geometry)
    axes.set_title(f"{statistics.dataset}: {labelled} cases, {statistics.labelled_slices} sagittal slices")
    with whole_file(path) as temporary:
        figure.savefig(temporary, dpi=150, format="png")
