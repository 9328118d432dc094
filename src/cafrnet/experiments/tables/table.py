"""A table that can be written as CSV, Markdown, LaTeX and HTML, with the reason where a number is missing."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev
from typing import TypeAlias

from ...files import write_text


@dataclass(frozen=True)
class Spread:
    """Mean and standard deviation (of a sample) over ``n`` values, of ``of`` where some are undefined."""

    mean: float
    sd: float | None
    n: int
    of: int | None = None


@dataclass(frozen=True)
class Ranged:
    """A value with the interval around it."""

    value: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Nothing:
    """No number, and why."""

    reason: str = ""


#: Keys of columns with p-values, whatever their digits; in a CSV file they are numbers like all others.
P_VALUES = ("p", "p_holm")

Cell: TypeAlias = str | float | int | Spread | Ranged | Nothing


@dataclass(frozen=True)
class Column:
    """One column.

    Attributes:
        key: in the CSV file; with a unit where it has one.
        label: in print.
        digits: behind the point.
        scale: what numbers are multiplied by: 100 for a share that is shown in %.
    """

    key: str
    label: str
    digits: int = 2
    scale: float = 1.0


@dataclass(frozen=True)
class Table:
    """A table with everything a reader needs to judge it.

    Attributes:
        name: of its files.
        title: heading.
        caption: dataset, folds, steps, seeds, and what the columns mean.
        columns: from left to right.
        rows: column key -> cell; a key that is not there is an empty cell.
        notes: below it, a line each.
    """

    name: str
    title: str
    caption: str
    columns: tuple[Column, ...]
    rows: tuple[Mapping[str, Cell], ...]
    notes: tuple[str, ...] = ()

    def texts(self) -> list[list[str]]:
        """Return every cell as it is printed."""
        return [[_text(row.get(c.key, ""), c) for c in self.columns] for row in self.rows]

    def write(self, folder: Path) -> None:
        """Write ``<name>.csv``, ``.md`` and ``.tex``; each is whole or absent.

        Raises:
            InputError: a file could not be written.
        """
        write_text(folder / f"{self.name}.csv", to_csv(self))
        write_text(folder / f"{self.name}.md", to_markdown(self))
        write_text(folder / f"{self.name}.tex", to_latex(self))


def to_csv(table: Table) -> str:
    """Return the table for programs.

    A spread takes the columns ``key``, ``key_sd`` and ``key_n``, an interval ``key``, ``key_low`` and
    ``key_high``; where a number is missing its cell is empty and ``key_note`` says why.
    """
    lines = [{name: _six(cell) for c in table.columns for name, cell in _parts(row, c)} for row in table.rows]
    there = {name for line in lines for name in line}
    names = [f"{c.key}{end}" for c in table.columns for end in _ENDS if end == "" or f"{c.key}{end}" in there]
    text = io.StringIO()
    writer = csv.DictWriter(text, names, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return text.getvalue()


def to_markdown(table: Table) -> str:
    """Return the table for people, with title, caption and notes."""
    head = [c.label for c in table.columns]
    lines = [head, ["---"] * len(head), *table.texts()]
    body = "\n".join("| " + " | ".join(x.replace("|", "\\|") for x in line) + " |" for line in lines)
    notes = "".join(f"- {note}\n" for note in table.notes)
    return f"# {table.title}\n\n{table.caption}\n\n{body}\n" + (f"\n{notes}" if notes else "")


def to_latex(table: Table) -> str:
    """Return a ``table`` environment for papers (needs the package booktabs)."""
    align = "l" + "r" * (len(table.columns) - 1)
    rows = [[c.label for c in table.columns], *table.texts()]
    lines = [" & ".join(_escape(cell) for cell in row) + r" \\" for row in rows]
    caption = _escape(" ".join([f"{table.title}.", table.caption, *table.notes]))
    return "\n".join(
        [
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{caption}}}",
            rf"\label{{tab:{table.name}}}",
            rf"\begin{{tabular}}{{{align}}}",
            r"\toprule",
            lines[0],
            r"\midrule",
            *lines[1:],
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table}",
            "",
        ]
    )


_ENDS = ("", "_sd", "_n", "_low", "_high", "_note")


def _parts(row: Mapping[str, Cell], column: Column) -> list[tuple[str, str | float | int | None]]:
    """Return the CSV cells of one cell, numbers scaled."""
    cell, key, scale = row.get(column.key, ""), column.key, column.scale

    def scaled(value: float | None) -> float | None:
        return None if value is None else value * scale

    if isinstance(cell, Spread):
        return [(key, scaled(cell.mean)), (f"{key}_sd", scaled(cell.sd)), (f"{key}_n", cell.n)]
    if isinstance(cell, Ranged):
        return [
            (key, scaled(cell.value)),
            (f"{key}_low", scaled(cell.low)),
            (f"{key}_high", scaled(cell.high)),
        ]
    if isinstance(cell, Nothing):
        return [(key, None), (f"{key}_note", cell.reason)]
    if isinstance(cell, float):
        return [(key, scaled(cell))]
    return [(key, cell)]


def _six(value: str | float | int | None) -> str:
    if value is None:
        return ""
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _text(cell: Cell, column: Column) -> str:
    def number(value: float) -> str:
        return f"{value * column.scale:.{column.digits}f}"

    if isinstance(cell, Spread):
        some = f" ({cell.n} of {cell.of})" if cell.of is not None and cell.n < cell.of else ""
        return number(cell.mean) + ("" if cell.sd is None else f" ± {number(cell.sd)}") + some
    if isinstance(cell, Ranged):
        value = f"{cell.value * column.scale:+.{column.digits}f}"
        if cell.low is None or cell.high is None:
            return value
        return f"{value} [{number(cell.low)}, {number(cell.high)}]"
    if isinstance(cell, Nothing):
        return cell.reason or "-"
    if column.key in P_VALUES and isinstance(cell, (int, float)):
        return _p(cell)
    return number(cell) if isinstance(cell, float) else str(cell)


def _p(value: float) -> str:
    """Return a p-value; it is never 0, however small it is."""
    return "<0.0001" if value < 0.0001 else f"{value:.4f}"


_LATEX = {
    **{c: f"\\{c}" for c in "&%$#_{}"},
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "±": r"$\pm$",
}


def _escape(text: str) -> str:
    return "".join(_LATEX.get(c, c) for c in text)


def spread(values: Iterable[float], of: int | None = None, nothing: str = "no value") -> Spread | Nothing:
    """Return mean and standard deviation of values, or why there are none.

    Args:
        values: the defined ones.
        of: how many there are with the undefined ones; said where it is more.
        nothing: the reason to state where there are none.
    """
    known = list(values)
    if not known:
        return Nothing(nothing)
    return Spread(fmean(known), stdev(known) if len(known) > 1 else None, len(known), of)
