"""Structures by the names that people give them: ``disc_L5-S1``, ``vertebra L4``, ``sacrum``."""

from __future__ import annotations

import re

from .table import TABLE, UNKNOWN

#: Words in a label's name that say what kind of thing it is and not which.
_NOISE = re.compile(r"vertebral|vertebrae|vertebra|body|bodies|intervertebral|discs?|disks?|ivd|level|class")
_OTHER_NAMES = {"s1": "s", "sacrum": "s", "canal": "spinalcanal", "ignore": "unknown"}


def id_of_name(name: str) -> int | None:
    """Return the id that a name stands for, 255 for ``unknown`` and ``ignore``; None for a strange name."""
    return _KNOWN.get(_plain(name))


def _plain(name: str) -> str:
    """Reduce a label's name to what tells it from others: ``disc_L5-S1`` and ``L5/S`` give ``l5s``."""
    words = re.sub(r"[^a-z0-9]", "", _NOISE.sub("", name.casefold()))
    return _OTHER_NAMES.get(words, re.sub(r"(?<=l5)s1$", "s", words))


_KNOWN = {_plain(label.name): label.id for label in TABLE} | {"unknown": UNKNOWN}
