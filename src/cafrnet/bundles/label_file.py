"""``labels.yaml`` of a bundle: the ids and names that its outputs stand for, in plain sight."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

import yaml

from ..errors import InputError
from ..files import write_text
from ..labels import TABLE
from .layout import read_yaml


def write_labels_file(path: Path, num_classes: int, not_trained: Collection[str]) -> None:
    """Write version, and for each output its id, its name and whether it was trained."""
    text = yaml.safe_dump(_stated(num_classes, not_trained), sort_keys=False)
    write_text(path, text)


def labels_differ(path: Path, num_classes: int, not_trained: Collection[str]) -> bool:
    """Whether a file that :func:`check_labels` accepts says something else than the model of its bundle."""
    return bool(read_yaml(path) != _stated(num_classes, not_trained))


def _stated(num_classes: int, not_trained: Collection[str]) -> dict[str, Any]:
    rows = [
        {"id": label.id, "name": label.name, "trained": label.name not in not_trained}
        for label in TABLE
        if label.id < num_classes
    ]
    return {"version": TABLE.version, "labels": rows}


def check_labels(path: Path) -> None:
    """Raise InputError unless the file is of this label table: same version, same name for each id."""
    try:
        raw = read_yaml(path)
        version, names = raw["version"], {row["id"]: row["name"] for row in raw["labels"]}
    except (OSError, UnicodeDecodeError, yaml.YAMLError, KeyError, TypeError) as error:
        raise InputError(f"{path} can't be read as a label table ({error}); get the bundle again") from error
    if version != TABLE.version:
        raise InputError(
            f"{path} is label table version {version!r}, this cafrnet has version {TABLE.version}; use the "
            "cafrnet version that the bundle was made with, or a newer bundle"
        )
    known = {label.id: label.name for label in TABLE}
    if wrong := [i for i, name in names.items() if known.get(i) != name]:
        raise InputError(f"{path} gives the ids {wrong} other names than label table version {version}")
