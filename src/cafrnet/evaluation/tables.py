"""The CSV tables of an evaluation. Undefined is an empty cell beside a status that says why."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..files import write_text
from ..labels import TABLE
from .case import CaseScore
from .regions import RegionScore
from .scores import METRICS, REASONS, ClassScore

CASE_COLUMNS = (
    *("case", "class", "id", "status", *METRICS),
    *("truth_mm3", "pred_mm3", "over_segmentation", "components", "truth_components"),
    *("level", "carried_by", "reason"),
)
SLICE_COLUMNS = ("case", "slice", "class", "id", "status", *METRICS)
REGION_COLUMNS = ("case", *(f.name for f in fields(RegionScore)))


def case_rows(cases: Iterable[CaseScore], *, after_shift: bool = False) -> Iterator[dict[str, Any]]:
    """Yield the rows of ``cases.csv``: one for each structure, one for each case without any."""
    for case in cases:
        rows = case.rows_after_shift if after_shift else case.rows
        for row in rows:
            yield {"case": case.id, **_cells(row), "reason": _reason(case, row)}
        if not rows:
            status = "failed" if case.failed else "empty"
            yield {"case": case.id, "status": status, "reason": case.failed or REASONS[status]}


def slice_rows(cases: Iterable[CaseScore]) -> Iterator[dict[str, Any]]:
    """Yield the rows of ``slices.csv``: one for each structure of each slice."""
    for case in cases:
        for index, rows in (case.slices or {}).items():
            for row in rows:
                yield {"case": case.id, "slice": index, **_cells(row)}


def region_rows(cases: Iterable[CaseScore]) -> Iterator[dict[str, Any]]:
    """Yield the rows of ``regions.csv``: one for each region of each case."""
    for case in cases:
        for region in case.regions or ():
            yield {"case": case.id, **asdict(region)}


def write_csv(path: Path, columns: Sequence[str], rows: Iterable[dict[str, Any]]) -> None:
    """Write a table, whole or not at all; numbers to six significant digits, None as an empty cell."""
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({k: f"{v:.6g}" if isinstance(v, float) else v for k, v in row.items()})
    write_text(path, text.getvalue())


def remove_csv(path: Path, columns: Sequence[str]) -> None:
    """Remove a table that an earlier evaluation left; a file with other columns is somebody else's and stays.

    Raises:
        InputError: the system refused.
    """
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            ours = file.readline().rstrip("\n") == ",".join(columns)
        if ours:
            path.unlink()
    except FileNotFoundError:
        return
    except OSError as error:
        raise InputError(
            f"{path}, of an earlier evaluation, could not be removed: {error.strerror or error}"
        ) from error


def _cells(row: ClassScore) -> dict[str, Any]:
    carried = TABLE[row.carried_by].name if row.carried_by is not None else None
    return {
        **asdict(row),
        "class": row.name,
        "over_segmentation": row.over_segmentation,
        "carried_by": carried,
    }


def _reason(case: CaseScore, row: ClassScore) -> str:
    return "there is no prediction file" if case.no_prediction else REASONS[row.status]
