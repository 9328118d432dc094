"""Robustness curves: the score against the strength of each artefact."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ...errors import UsageError
from ..probes.artefacts import ARTEFACTS
from ..probes.robustness_summary import CLEAN
from ..probes.robustness_summary import SUMMARY as ROBUSTNESS_COLUMNS
from ..probes.tables import read_csv
from .drawing import Drawn, canvas, colour_of, save


def robustness_curves(summary: Path, path: Path, *, metric: str = "dsc") -> Drawn:
    """Draw one panel per artefact, one line per model, from the clean scan to the strongest.

    Args:
        summary: ``robustness_summary.csv``.
        path: of the PNG.
        metric: ``dsc``, ``dsc_after_shift`` or ``levels_right``.

    Raises:
        UsageError: another metric, or no artefact in the table. InputError: the table can't be read.
    """
    names = {"dsc": "DSC", "dsc_after_shift": "DSC after the best shift", "levels_right": "levels right"}
    if metric not in names:
        raise UsageError(f"metric {metric!r} came; {', '.join(names)} were expected")
    lines = read_csv(summary, ROBUSTNESS_COLUMNS)
    kinds = [k for k in dict.fromkeys(line["kind"] for line in lines) if k != CLEAN]
    if not kinds:
        raise UsageError(f"{summary} holds no artefact; run 'cafrnet reproduce robustness' first")
    rows = list(dict.fromkeys(line["row"] for line in lines))
    across = min(4, len(kinds))
    down = -(-len(kinds) // across)
    figure = canvas(3 * across, 2.9 * down)
    grid = figure.subplots(down, across, squeeze=False, sharey=True)
    for axes in grid.flat[len(kinds) :]:
        axes.set_axis_off()
    for axes, kind in zip(grid.flat, kinds, strict=False):
        for k, row in enumerate(rows):
            own = [x for x in lines if x["row"] == row and x["kind"] in (CLEAN, kind)]
            _line(axes, own, metric, color=colour_of(k), marker="o", markersize=3, label=row)
            if metric == "dsc" and ARTEFACTS[kind].removes:
                _line(axes, own, "clean_dsc", color=colour_of(k), linestyle="--", linewidth=0.8)
        strengths = ARTEFACTS[kind].strengths
        axes.set_xticks(range(6), ["clean", *(f"{s:g}" for s in strengths)], fontsize=7)
        axes.set_title(f"{ARTEFACTS[kind].title} ({ARTEFACTS[kind].unit})", fontsize=8)
        axes.set_ylim(0, 100)
        axes.grid(alpha=0.3)
    for axes in grid[:, 0]:
        axes.set_ylabel(f"{names[metric]} in %")
    grid[0, 0].legend(fontsize=7)
    return save(figure, path, _caption(names[metric], lines))


def _line(axes, lines: Sequence[Mapping[str, Any]], metric: str, **style: Any) -> None:
    """Draw a metric over the strengths of one artefact; where it has no value there is no point."""
    known = sorted((x for x in lines if x[metric] is not None), key=lambda x: x["level"])
    axes.plot([x["level"] for x in known], [100 * x[metric] for x in known], **style)


def _caption(metric: str, lines: Sequence[Mapping[str, Any]]) -> str:
    cases = sorted({int(line["cases"]) for line in lines if line["kind"] == CLEAN})
    failed, left = (sum(int(line[key] or 0) for line in lines) for key in ("failed", "nothing_left"))
    return (
        f"{metric} on test scans that were degraded alike for all models; mean over "
        f"{' or '.join(map(str, cases))} cases. Where the field of view is cut, structures that lose more "
        "than half of themselves are left out: of the cut scan, and of the clean one that a change is held "
        "against (the DSC's dashed line). Scans that could not be segmented: "
        f"{failed}; with no structure left to score: {left}."
    )
