"""What the adapters share: natural order, listing, pairing of images with label maps."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterable
from pathlib import Path

from ..errors import UsageError
from ..files import stem
from ..scan import is_scan

_AFFIXES = re.compile(r"^(?:mask_|seg_)|(?:_seg|_msk|_mask)$", re.IGNORECASE)


def natural_key(text: str) -> tuple[tuple[int, int, str], ...]:
    """Return a sort key that puts ``Case9`` before ``Case10``, and is the same on every machine."""
    return tuple(
        (0, int(part), "") if part.isdigit() else (1, 0, part.casefold())
        for part in re.split(r"(\d+)", text)
        if part
    )


def pair_key(path: str | Path) -> str:
    """Return what an image and its label map have in common: the lower-case stem without its affixes.

    ``Case5.nii.gz``, ``mask_case5.nii.gz``, ``seg_case5.nii.gz`` and ``Case5_seg.nii.gz`` all give
    ``"case5"``.
    """
    return _AFFIXES.sub("", stem(path)).casefold()


def is_volume(path: Path) -> bool:
    """Whether this entry may be a scan: a file that some reader takes, or a folder of DICOM files."""
    return not path.name.startswith(".") and (path.is_dir() or is_scan(path))


def volumes(folder: Path) -> list[Path]:
    """Return the scans in a folder, in natural order of their names; none if there is no such folder."""
    if not folder.is_dir():
        return []
    return sorted((p for p in folder.iterdir() if is_volume(p)), key=lambda p: natural_key(p.name))


def keyed(paths: Iterable[Path], key: Callable[[Path], str | None]) -> dict[str, Path]:
    """Index files by a key; files whose key is None are left out.

    Raises:
        UsageError: two files with one key.
    """
    found: dict[str, Path] = {}
    for path in paths:
        name = key(path)
        if name is None:
            continue
        if name in found:
            raise UsageError(f"{path} and {found[name].name} are both case {name!r}; remove one of them")
        found[name] = path
    return found


def patients_of(root: Path, names: dict[str, str]) -> dict[str, str]:
    """Return case key -> patient, from ``patients.csv`` if there is one.

    Args:
        root: the dataset's folder.
        names: case key -> its name; each case is its own patient where there is no such file.

    Raises:
        UsageError: the file lacks a column or a case.
    """
    path = root / "patients.csv"
    if not path.is_file():
        return names
    found = read_patients(path)
    if missing := [name for name in names.values() if not found.get(pair_key(name))]:
        raise UsageError(f"{path} gives no patient for {', '.join(missing)}; add a row for each case")
    return {key: found[pair_key(name)] for key, name in names.items()}


def read_patients(path: Path) -> dict[str, str]:
    """Return :func:`pair_key` of a case -> patient, from a CSV with the columns ``case`` and ``patient``.

    Raises:
        UsageError: the file is missing or lacks a column.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.DictReader(file)
            if not {"case", "patient"} <= set(rows.fieldnames or ()):
                raise UsageError(
                    f"{path} has the columns {rows.fieldnames}; 'case' and 'patient' were expected"
                )
            return {pair_key(row["case"]): (row["patient"] or "").strip() for row in rows}
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} can't be read as CSV: {error}") from error
