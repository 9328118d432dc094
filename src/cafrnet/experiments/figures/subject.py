"""What figures are made of: the folder of a reproduction and which of its rows are meant."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from ...datasets import Dataset, open_dataset
from ...errors import UsageError
from ...evaluation.signal import Thresholds
from ..layout import Folder, RunFolder
from ..probes.tables import read_csv
from ..tables.table import Column, Nothing, Table
from .drawing import Drawn


@dataclass(frozen=True)
class Made:
    """What one maker gave.

    Attributes:
        figures: with their captions.
        tables: of the numbers behind them.
    """

    figures: list[Drawn] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)


@dataclass(frozen=True)
class Subject:
    """What figures are made of.

    Attributes:
        folder: of the reproduction.
        data: the dataset that it was trained on.
        comparison: names of the rows of Table 3, in their order.
        ablation: names of the rows of Table 4, in their order.
        reference: the row that the others are held against.
        folds: that count.
        curve: model -> rows with fewer training cases, and how many they have; the model's own row has all.
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
    folds: tuple[int, ...] = (0, 1, 2, 3, 4)
    curve: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
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
        """Return the finished runs of a row on the folds that count."""
        return [run for run in self.folder.runs(row) if run.fold in self.folds]

    def rows(self, names: Sequence[str]) -> dict[str, list[RunFolder]]:
        """Return name -> finished runs, for the rows that have some on every fold that any of them has.

        Rows that are not finished everywhere are left out: side by side, all stand for the same cases.

        Raises:
            UsageError: none has a finished run.
        """
        found = {name: self.runs(name) for name in names}
        folds = {run.fold for runs in found.values() for run in runs}
        whole = {name: runs for name, runs in found.items() if runs and {r.fold for r in runs} == folds}
        if not whole:
            raise UsageError(f"none of {', '.join(names)} has a finished run on every fold; finish one first")
        return whole

    def picture(self, name: str) -> Path:
        """Return where a figure goes."""
        return self.folder.figures / f"{name}.png"


def as_table(path: Path, name: str, title: str, caption: str) -> Table:
    """Turn a probe's CSV file into a table of the page; an empty cell has its reason in that column."""
    lines = read_csv(path, ())
    columns = tuple(Column(key, key.replace("_", " "), 3) for key in (lines[0] if lines else {}))
    rows = [{k: Nothing() if v is None else _whole(v) for k, v in line.items()} for line in lines]
    return Table(name, title, caption, columns, tuple(rows))


def _whole(value: float | str) -> float | int | str:
    return int(value) if isinstance(value, float) and value.is_integer() else value
