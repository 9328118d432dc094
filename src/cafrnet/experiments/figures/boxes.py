"""Box plots of a score per structure, one box per model; rare levels apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ...errors import UsageError, nearest
from ...evaluation.scores import METRICS, OVERLAPS, PENALISED
from ...labels import TABLE
from ..layout import RunFolder
from ..probes.tables import read_csv
from ..tables.structures import RARE
from .drawing import Drawn, NothingToShow, canvas, colour_of, save

#: model -> structure's id -> case -> score, seeds averaged.
Scores = Mapping[str, Mapping[int, Mapping[str, float]]]


def per_class_boxes(rows: Mapping[str, Sequence[RunFolder]], path: Path, *, metric: str = "dsc") -> Drawn:
    """Draw the boxes.

    Args:
        rows: model -> finished runs (their ``cases.csv`` is read); seeds of a case are averaged.
        path: of the PNG.
        metric: a column of ``cases.csv``; distances are over structures found.

    Raises:
        UsageError: an unknown metric, or no scores. InputError: a table that can't be read.
    """
    if metric not in METRICS:
        raise UsageError(f"no metric {metric!r}{nearest(metric, METRICS)}")
    scores = {row: class_scores([run.cases for run in runs], metric) for row, runs in rows.items() if runs}
    if not any(scores.values()):
        raise NothingToShow(f"no structure of any case has {metric}; were the models trained long enough?")
    there = Truth.of([run.cases for runs in rows.values() for run in runs])
    common, rare = split_by_frequency(scores, there)
    sides = [(title, ids) for title, ids in (("common structures", common), ("rare structures", rare)) if ids]
    figure = canvas(2 + 0.22 * len(scores) * (len(common) + len(rare)) + 1.2 * len(sides), 4)
    grid = figure.subplots(
        1, len(sides), squeeze=False, sharey=True, width_ratios=[max(2, len(ids)) for _, ids in sides]
    )[0]
    for axes, (title, ids) in zip(grid, sides, strict=True):
        _panel(axes, scores, ids, there)
        axes.set_title(title, fontsize=9)
    if metric in OVERLAPS:
        grid[0].set_ylim(-0.03, 1.03)
    grid[0].set_ylabel(metric if metric.endswith("_mm") else metric.upper().replace("_", " "))
    handles = [
        grid[0].plot([], color=colour_of(k), linewidth=6, label=row)[0] for k, row in enumerate(scores)
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=min(7, len(scores)), fontsize=8)
    return save(figure, path, _caption(scores, metric, rare, there))


@dataclass(frozen=True)
class Truth:
    """What the truths of the test cases hold, as the evaluator's tables tell it.

    Attributes:
        cases: ids of all.
        holding: structure's id -> cases whose truth holds it: those in which it was found or missed.
    """

    cases: frozenset[str]
    holding: Mapping[int, frozenset[str]]

    @classmethod
    def of(cls, tables: Sequence[Path]) -> Truth:
        """Read ``cases.csv`` of several runs."""
        lines = [line for path in tables for line in read_csv(path, ("case", "id", "status"))]
        held: dict[int, set[str]] = {}
        for line in lines:
            if line["status"] in ("found", "missed"):
                held.setdefault(int(line["id"]), set()).add(line["case"])
        return cls(
            frozenset(line["case"] for line in lines), {i: frozenset(cases) for i, cases in held.items()}
        )

    def count(self, identity: int) -> int:
        """Return how many truths hold a structure."""
        return len(self.holding.get(identity, ()))


def class_scores(tables: Sequence[Path], metric: str) -> dict[int, dict[str, float]]:
    """Return structure's id -> case -> score of structures 1-19, seeds averaged; undefined ones left out."""
    found: dict[int, dict[str, list[float]]] = {}
    for path in tables:
        for line in read_csv(path, ("case", "id", metric)):
            if line["id"] is not None and line["id"] <= 19 and line[metric] is not None:
                cases = found.setdefault(int(line["id"]), {})
                cases.setdefault(line["case"], []).append(line[metric])
    return {i: {case: sum(v) / len(v) for case, v in cases.items()} for i, cases in sorted(found.items())}


def split_by_frequency(scores: Scores, truth: Truth) -> tuple[list[int], list[int]]:
    """Return the ids of common and of rare structures with scores, each along the column from below.

    Rare: fewer than half of the truths hold it. Its box says little, so it stands apart.
    """
    ids = [i for i in TABLE.column if any(i in own for own in scores.values())]
    rare = [i for i in ids if truth.count(i) < RARE * len(truth.cases)]
    return [i for i in ids if i not in rare], rare


def _panel(axes, scores: Scores, ids: Sequence[int], truth: Truth) -> None:
    width = 0.8 / len(scores)
    for k, own in enumerate(scores.values()):
        at = [n for n, i in enumerate(ids) if own.get(i)]
        places = [n - 0.4 + (k + 0.5) * width for n in at]
        values = [list(own[ids[n]].values()) for n in at]
        if not values:
            continue
        drawn = axes.boxplot(
            values, positions=places, widths=0.85 * width, patch_artist=True, manage_ticks=False,
            medianprops={"color": "black"}, flierprops={"markersize": 2}, boxprops={"linewidth": 0.5},
        )  # fmt: skip
        for box in drawn["boxes"]:
            box.set_facecolor(colour_of(k))
    axes.set_xticks(range(len(ids)), [f"{TABLE[i].name}\nn={truth.count(i)}" for i in ids], fontsize=7)
    axes.set_xlim(-0.6, len(ids) - 0.4)
    axes.grid(axis="y", alpha=0.3)


def _caption(scores: Scores, metric: str, rare: Sequence[int], truth: Truth) -> str:
    apart = ", ".join(TABLE[i].name for i in rare) or "none"
    over = "found, missed or invented (0 for the last two)" if metric in OVERLAPS else "found"
    if metric in PENALISED:
        over = "found, missed or invented (the volume's diagonal for the last two)"
    return (
        f"{metric} per structure over {len(truth.cases)} test cases (seeds averaged), {', '.join(scores)}. "
        f"Box: quartiles of the cases in which the structure is {over}; whiskers: the farthest values within "
        "1.5 times the box. n: cases whose truth holds it. Rare structures, which fewer than half of the "
        f"truths hold, stand apart: {apart}."
    )
