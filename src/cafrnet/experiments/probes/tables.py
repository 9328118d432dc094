"""Reading the CSV files that the evaluator and the probes write. An empty cell is None, never 0."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ...errors import InputError


def read_csv(path: Path, needed: Sequence[str]) -> list[dict[str, Any]]:
    """Read a table; numbers become floats, empty cells None, everything else stays text.

    Args:
        path: of the CSV.
        needed: columns that must be there.

    Raises:
        InputError: no such file, not text, or a column is missing.
    """
    try:
        with Path(path).open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            rows = list(reader)
            columns = reader.fieldnames or []
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path} can't be read as CSV: {error}") from error
    if missing := [name for name in needed if name not in columns]:
        raise InputError(
            f"{path} has the columns {', '.join(columns) or 'none'}; {', '.join(missing)} were expected too"
        )
    return [{key: _value(cell) for key, cell in row.items() if key is not None} for row in rows]


def _value(cell: str | None) -> Any:
    if cell is None or cell == "":
        return None
    try:
        return float(cell)
    except ValueError:
        return cell
