"""What figures are made of: the folder of a reproduction and which of its rows are meant."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from ...datasets import Dataset, open_dataset
from ...errors import UsageError
from ...evaluation.signal import Thresholds
from ..layout import Folder, RunFolder
from ..probes.tables import read_csv
from ..scores import RowScores
from ..tables.context import Context
from ..tables.table import Column, Nothing, Table
from .drawing import Drawn, write_caption


@dataclass(frozen=True)
class Made:
    """What one maker gave.

    Attributes:
        figures: with their captions.
        tables: of the numbers behind them.
        notes: what a reader of both should know, a sentence each: rows that did not converge or are left out.
    """

    figures: list[Drawn] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def under(self, words: str) -> Made:
        """Return the same with these words before every caption, and the notes behind it.

        Args:
            words: what all of it was made with: data, folds, steps, seeds.
        """
        return Made(
            [write_caption(d.path, " ".join([words, d.caption, *self.notes])) for d in self.figures],
            [replace(t, caption=f"{words} {t.caption}", notes=tuple(self.notes)) for t in self.tables],
        )


@dataclass(frozen=True)
class Together:
    """Rows side by side, all on the same test cases.

    Attributes:
        runs: row -> its runs.
        notes: which rows or folds are left out for that, and which rows did not converge.
    """

    runs: Mapping[str, Sequence[RunFolder]]
    notes: list[str]

    @property
    def all_runs(self) -> list[RunFolder]:
        """The runs of all rows."""
        return [run for runs in self.runs.values() for run in runs]


@dataclass(frozen=True)
class Subject:
    """What figures are made of.

    Attributes:
        folder: of the reproduction.
        data: the dataset that it was trained on.
        comparison: names of the rows of Table 3, in their order.
        ablation: names of the rows of Table 4, in their order.
        reference: the row that the others are held against.
        scores: row -> its scores, as the tables have them; rows without any are not in it.
        found: row -> folders of the runs behind these scores.
        context: what all of them share, said in every caption.
        curve: model -> rows with fewer training cases, and how many they have; the model's own row has all.
        sizes_left_out: numbers of training cases that the folds don't have.
        levels: strengths of each artefact, 1 to 5.
        disturbed: test cases of each run that are degraded; None for all.
        thresholds: of the regions, pooled over all test cases.
        threads: of one inference.
        workers: runs that robustness tests at a time.
    """

    folder: Folder
    data: Path
    comparison: tuple[str, ...]
    ablation: tuple[str, ...]
    reference: str
    scores: Mapping[str, RowScores]
    found: Mapping[str, Sequence[RunFolder]]
    context: Context
    curve: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    sizes_left_out: tuple[int, ...] = ()
    levels: tuple[int, ...] = (1, 2, 3, 4, 5)
    disturbed: int | None = None
    thresholds: Thresholds | None = None
    threads: int | None = None
    workers: int = 1

    @cached_property
    def dataset(self) -> Dataset:
        """The dataset, opened once."""
        return open_dataset(self.data)

    def runs(self, row: str) -> list[RunFolder]:
        """Return the runs of a row that count."""
        return list(self.found.get(row, ()))

    def together(self, names: Sequence[str]) -> Together:
        """Return rows on the folds that all of them share.

        A row without a run is left out; so are those that lack the fold which most rows have, since no fold
        would be left with them. The notes name them, and the folds that not all rows have.

        Raises:
            UsageError: no row has a run.
        """
        folds = {name: {run.fold for run in runs} for name in names if (runs := self.runs(name))}
        if not folds:
            meant = ", ".join(names) or "the rows that belong here"
            raise UsageError(f"none of {meant} has a finished run; finish one first")
        every = sorted(set.union(*folds.values()))
        most = max(every, key=lambda fold: sum(fold in own for own in folds.values()))  # the first of equals
        shared = set.intersection(*(own for own in folds.values() if most in own))
        there = {n: [r for r in self.runs(n) if r.fold in shared] for n in folds if most in folds[n]}
        gone = [f"{name} (no run)" for name in names if name not in folds]
        gone += [f"{name} (no run on fold {most})" for name in folds if name not in there]
        gone += [f"fold {fold} (not run for all rows)" for fold in every if fold not in shared]
        left_out = [f"Left out: {', '.join(gone)}."] if gone else []
        return Together(there, left_out + self.doubts(there))

    def doubts(self, names: Iterable[str]) -> list[str]:
        """Say of which rows nothing can be claimed, and why, in the words of the tables."""
        return doubts([self.scores[name] for name in names])

    def picture(self, name: str) -> Path:
        """Return where a figure goes."""
        return self.folder.figures / f"{name}.png"


def doubts(rows: Iterable[RowScores]) -> list[str]:
    """Say of which rows nothing can be claimed, and why, in the words of the tables."""
    return [f"{row.label}: {row.doubt}; no claim." for row in rows if row.doubt]


def as_table(path: Path, name: str, title: str, caption: str) -> Table:
    """Turn a probe's CSV file into a table of the page; an empty cell has its reason in that column."""
    lines = read_csv(path, ())
    columns = tuple(Column(key, key.replace("_", " "), 3) for key in (lines[0] if lines else {}))
    rows = [{k: Nothing() if v is None else _whole(v) for k, v in line.items()} for line in lines]
    return Table(name, title, caption, columns, tuple(rows))


def _whole(value: float | str) -> float | int | str:
    return int(value) if isinstance(value, float) and value.is_integer() else value
