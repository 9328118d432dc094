"""A plain folder: ``images/`` and ``labels/`` with the same names, and perhaps ``patients.csv``.

A label map's name may end in ``_seg``, ``_msk`` or ``_mask``, or begin with ``mask_`` or ``seg_``.
"""

from __future__ import annotations

import csv
from pathlib import Path

from ..errors import UsageError
from ..files import stem
from ..labels import ValueSets
from .case import Case, Dataset
from .description import Description, describe
from .layout import keyed, natural_key, pair_key, volumes

LAYOUT = "plain (images/ and labels/ with the same names; patients.csv with case,patient if one has several)"


def matches(root: Path) -> bool:
    """Whether the folder has this layout."""
    return (root / "labels").is_dir() and bool(volumes(root / "images"))


def open(root: Path) -> Dataset:
    """List the cases. Each is its own patient unless ``patients.csv`` says otherwise.

    Raises:
        UsageError: two files of one name, a ``patients.csv`` without the two columns or without some case,
            or an unusable ``dataset.yaml``.
    """
    about = describe(root, Description(root.resolve().name, ValueSets.identity()))
    images = keyed(volumes(root / "images"), pair_key)
    masks = keyed((p for p in volumes(root / "labels") if p.is_file()), pair_key)
    patients = _patients(root / "patients.csv", {k: stem(p) for k, p in images.items()})
    cases = tuple(
        Case(
            stem(images[k]), images[k], masks.get(k), patient=patients[k], sets=about.sets, dataset=about.name
        )
        for k in sorted(images, key=natural_key)
    )
    return Dataset.of(root, about, cases, [masks[k] for k in masks if k not in images])


def _patients(path: Path, stems: dict[str, str]) -> dict[str, str]:
    """Return case key -> patient, from the file if there is one."""
    if not path.is_file():
        return stems
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = csv.DictReader(file)
        if not {"case", "patient"} <= set(rows.fieldnames or ()):
            raise UsageError(f"{path} has the columns {rows.fieldnames}; 'case' and 'patient' were expected")
        found = {pair_key(row["case"]): row["patient"].strip() for row in rows}
    if missing := [name for key, name in stems.items() if not found.get(key)]:
        raise UsageError(f"{path} gives no patient for {', '.join(missing)}; add a row for each case")
    return {key: found[key] for key in stems}
