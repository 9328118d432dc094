"""A plain folder: ``images/`` and ``labels/`` with the same names, and perhaps ``patients.csv``.

A label map's name may end in ``_seg``, ``_msk`` or ``_mask``, or begin with ``mask_`` or ``seg_``.
"""

from __future__ import annotations

from pathlib import Path

from ..files import stem
from ..labels import ValueSets
from .case import Case, Dataset
from .description import Description, describe
from .layout import keyed, natural_key, pair_key, patients_of, volumes

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
    patients = patients_of(root, {k: stem(p) for k, p in images.items()})
    cases = tuple(
        Case(
            stem(images[k]), images[k], masks.get(k), patient=patients[k], sets=about.sets, dataset=about.name
        )
        for k in sorted(images, key=natural_key)
    )
    return Dataset.of(root, about, cases, [masks[k] for k in masks if k not in images])
