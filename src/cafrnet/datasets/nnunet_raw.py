"""nnU-Net's raw layout: ``imagesTr/<case>_0000.nii.gz``, ``labelsTr/<case>.nii.gz``, ``dataset.json``.

The label names of ``dataset.json`` are matched to cafrnet's label table; where they can't be, a
``dataset.yaml`` beside it says what the values stand for.
"""

from __future__ import annotations

import json
import logging
import re
from pathlib import Path
from typing import Any

from ..errors import UsageError
from ..files import stem
from ..labels import TABLE, ValueSets, id_of_name
from .case import Case, Dataset
from .description import FILE_NAME, Description, describe
from .layout import keyed, natural_key, volumes

logger = logging.getLogger(__name__)

LAYOUT = "nnU-Net raw (dataset.json, imagesTr/<case>_0000.nii.gz, labelsTr/<case>.nii.gz)"

_CHANNEL = re.compile(r"^(.+)_(\d{4})$")


def matches(root: Path) -> bool:
    """Whether the folder has this layout."""
    return (root / "imagesTr").is_dir() and (root / "dataset.json").is_file()


def open(root: Path) -> Dataset:
    """List the training cases; each case is its own patient.

    Raises:
        UsageError: an unreadable ``dataset.json``, or label names that are not in the label table and no
            ``dataset.yaml`` that gives the values.
    """
    raw = _read(root / "dataset.json")
    about = describe(root, _description(root, raw))
    images = keyed(volumes(root / "imagesTr"), _first_channel)
    masks = keyed((p for p in volumes(root / "labelsTr") if p.is_file()), lambda p: stem(p))
    channels = {c.group(2) for p in volumes(root / "imagesTr") if (c := _CHANNEL.match(stem(p)))}
    if len(channels) > 1:
        logger.warning("%s has %d channels; only the first, _0000, is used", root, len(channels))
    cases = tuple(
        Case(k, images[k], masks.get(k), patient=k, sets=about.sets, dataset=about.name)
        for k in sorted(images, key=natural_key)
    )
    return Dataset.of(root, about, cases, [masks[k] for k in masks if k not in images])


def _first_channel(path: Path) -> str | None:
    found = _CHANNEL.match(stem(path))
    return found.group(1) if found and found.group(2) == "0000" else None


def _read(path: Path) -> dict[str, Any]:
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} can't be read as JSON: {error}") from error
    if not isinstance(raw, dict) or not isinstance(raw.get("labels"), dict):
        raise UsageError(f"{path}: no 'labels' in it; nnU-Net's dataset.json was expected")
    return raw


def _description(root: Path, raw: dict[str, Any]) -> Description:
    """Describe the dataset by its ``dataset.json``; names it can't place are left to a ``dataset.yaml``."""
    values, strange = _values(raw["labels"], root / "dataset.json")
    if strange and not (root / FILE_NAME).is_file():
        raise UsageError(
            f"{root / 'dataset.json'} names the labels {', '.join(map(repr, strange))}, which are not in the "
            f"label table ({', '.join(TABLE.names)}); write {root / FILE_NAME} with 'values: {{value: [id]}}'"
        )
    return Description(
        name=str(raw.get("name") or root.name),
        sets=ValueSets(values),
        licence=str(raw.get("licence", raw.get("license", ""))),
        citation=str(raw.get("reference", "")),
    )


def _values(labels: dict[str, Any], source: Path) -> tuple[dict[int, tuple[int, ...]], list[str]]:
    """Return value -> ids, and the names that are not in the table.

    Version 2 of the file has name -> value, version 1 has value -> name.
    """
    values: dict[int, tuple[int, ...]] = {}
    strange = []
    for key, entry in labels.items():
        name, value = (entry, key) if str(key).isdigit() and isinstance(entry, str) else (key, entry)
        if isinstance(value, list):
            raise UsageError(f"{source}: {name!r} is a region of several values; one value each was expected")
        identity = id_of_name(str(name))
        if identity is None:
            strange.append(str(name))
        else:
            values[int(value)] = (identity,)
    return values, strange
