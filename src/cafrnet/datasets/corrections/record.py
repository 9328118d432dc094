"""What a dataset of corrected label maps says of itself: ``dataset.yaml`` and ``patients.csv``."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from ...errors import UsageError
from ...files import write_text
from ...labels import TABLE, Scheme, ValueSets
from ..description import FILE_NAME, Description, describe
from ..layout import pair_key, volumes
from ..spinemri import number as case_number

HEADER = "# Scans with label maps that a person corrected, put together by `cafrnet data add-corrections`.\n"


@dataclass(frozen=True)
class Row:
    """One case: its number, its patient, and the name of the scan that it was made from."""

    number: int
    patient: str
    name: str


def value_sets(scheme: Scheme, unmarked: Sequence[str]) -> ValueSets:
    """Return what the values stand for: those of a scheme, with background open for unmarked structures.

    Raises:
        UsageError: a name that is not in the label table.
    """
    more = [TABLE[name].id for name in unmarked]
    background = tuple(dict.fromkeys([*scheme.sets.values.get(0, (0,)), *more]))
    return ValueSets({**scheme.sets.values, 0: background})


def dataset_text(name: str, scheme: Scheme, sets: ValueSets) -> str:
    """Return ``dataset.yaml``: the scheme of the values, and what background stands for."""
    about: dict[str, object] = {"name": name, "source": "corrected label maps", "licence": "", "citation": ""}
    about |= {"scheme": scheme.name, "values": {0: list(sets.values[0])}}
    return HEADER + yaml.safe_dump(about, sort_keys=False, default_flow_style=None)


def read_rows(out: Path, sets: ValueSets) -> dict[str, Row]:
    """Return scan key -> row of what a dataset holds; empty for one that is still to be made.

    Raises:
        UsageError: the folder holds something else, or a dataset whose values stand for other sets.
    """
    if not out.exists() or not any(out.iterdir()):
        return {}
    if not (out / FILE_NAME).is_file() or not (out / "train").is_dir():
        raise UsageError(
            f"{out} is not empty and holds no dataset with train/ and {FILE_NAME}; name another folder"
        )
    if describe(out, Description("", ValueSets.identity())).sets != sets:
        raise UsageError(
            f"the values in {out / FILE_NAME} stand for other structures than these label maps' "
            "(--labels, --unmarked); use the same options, or another folder"
        )
    rows: dict[str, Row] = {}
    path = out / "patients.csv"
    if path.is_file():
        with path.open(encoding="utf-8-sig", newline="") as file:
            for entry in csv.DictReader(file):
                number = case_number(Path(entry["case"]))
                if number:
                    name = entry.get("scan") or entry["case"]
                    rows[pair_key(name)] = Row(int(number), entry["patient"], name)
    known = {row.number for row in rows.values()}
    for image in volumes(out / "train" / "MR"):  # cases that stood here before
        number = case_number(image)
        if number and int(number) not in known:
            rows[f"case{number}"] = Row(int(number), number, f"case{number}")
    return rows


def write_rows(out: Path, rows: dict[str, Row], scheme: Scheme, sets: ValueSets) -> None:
    """Write ``patients.csv``, and ``dataset.yaml`` if there is none yet."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["case", "patient", "scan"])
    for row in sorted(rows.values(), key=lambda r: r.number):
        table.writerow([f"Case{row.number}", row.patient, row.name])
    if not (out / FILE_NAME).is_file():
        write_text(out / FILE_NAME, dataset_text(out.resolve().name, scheme, sets))
    write_text(out / "patients.csv", text.getvalue())
