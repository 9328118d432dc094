"""``dataset.yaml``: what a dataset says of itself, and what its label values stand for."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from ..errors import UsageError, nearest
from ..labels import ValueSets, get_scheme

logger = logging.getLogger(__name__)

FILE_NAME = "dataset.yaml"
KEYS = ("name", "source", "licence", "citation", "scheme", "values")


@dataclass(frozen=True)
class Description:
    """A dataset in its own words; an adapter starts from a default one.

    Attributes:
        name: short name.
        licence: terms, in the owner's words; empty when unknown.
        citation: what to cite; empty when unknown.
        sets: what the truth's values stand for.
    """

    name: str
    sets: ValueSets = field(repr=False)
    licence: str = ""
    citation: str = ""


def describe(root: Path, default: Description) -> Description:
    """Return the default with what ``root/dataset.yaml`` says instead; the default if there is no such file.

    ``values`` names what single label values stand for; **a value that it does not name stands for itself**
    (the adapter's default is not mixed in). ``scheme`` takes one of the known schemes as the starting point
    instead. With neither, the adapter's value sets stay. A dataset that gives itself another name does not
    inherit the adapter's licence and citation.

    Raises:
        UsageError: not a readable YAML mapping, an unknown scheme, or sets that make no sense.
    """
    path = root / FILE_NAME
    if not path.is_file():
        return default
    raw = _load(path)
    for key in raw:
        if key not in KEYS:
            logger.warning("%s: the key %r is not used%s", path, key, nearest(str(key), KEYS))
    try:
        sets = _sets(raw, default.sets)
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from None
    name = str(raw.get("name", default.name))
    same = name == default.name  # another dataset in the same layout has its own terms
    return Description(
        name=name,
        sets=sets,
        licence=str(raw.get("licence", default.licence if same else "") or ""),
        citation=str(raw.get("citation", default.citation if same else "") or ""),
    )


def _load(path: Path) -> dict[str, Any]:
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UsageError(f"{path} can't be read as YAML: {error}") from error
    if raw is None:
        return {}
    if not isinstance(raw, dict):
        raise UsageError(f"{path}: a {type(raw).__name__} came, 'key: value' lines were expected")
    return raw


def _sets(raw: dict[str, Any], default: ValueSets) -> ValueSets:
    values = raw.get("values")
    if values is None:
        return get_scheme(str(raw["scheme"])).sets if "scheme" in raw else default
    if not isinstance(values, dict):
        raise UsageError(f"values: {values!r} came, 'value: [id, ...]' lines were expected")
    start = get_scheme(str(raw["scheme"])).sets if "scheme" in raw else ValueSets.identity()
    return ValueSets({**start.values, **values})
