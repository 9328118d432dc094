"""The label table: id, name, kind, part, neighbours and colour of every structure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from importlib import resources
from typing import Any

import yaml

from ..errors import UsageError, nearest


@dataclass(frozen=True)
class Label:
    """One structure.

    Attributes:
        id: value in cafrnet's label maps.
        name: anatomical name: ``"L5"`` for a body, ``"L4/L5"`` for the disc between two bodies.
        kind: background, sacrum, body, disc, canal or posterior.
        part: ``"body"`` or ``"whole"``: what the id covers of a vertebra; ``"-"`` where that does not arise.
        neighbours: ids that touch it along the column, lower one first.
        colour: red, green, blue, each 0 to 255.
    """

    id: int
    name: str
    kind: str
    part: str
    neighbours: tuple[int, ...]
    colour: tuple[int, int, int]


@dataclass(frozen=True)
class LabelTable:
    """All labels of one version of the table, indexed by id or by name."""

    version: int
    unknown: int
    labels: tuple[Label, ...]

    def __iter__(self) -> Iterator[Label]:
        return iter(self.labels)

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, key: int | str) -> Label:
        """Return the label with this id or name.

        Raises:
            UsageError: no such label.
        """
        index = self._by_name.get(key) if isinstance(key, str) else self._by_id.get(int(key))
        if index is None:
            raise UsageError(
                f"no label {key!r} in table version {self.version}{nearest(str(key), self.names)}"
            )
        return index

    @cached_property
    def _by_id(self) -> dict[int, Label]:
        return {label.id: label for label in self.labels}

    @cached_property
    def _by_name(self) -> dict[str, Label]:
        return {label.name: label for label in self.labels}

    @property
    def names(self) -> tuple[str, ...]:
        """All names, in the order of the ids."""
        return tuple(label.name for label in self.labels)

    def of_kind(self, *kinds: str) -> tuple[int, ...]:
        """Return the ids of the given kinds, in the order of the ids."""
        return tuple(label.id for label in self.labels if label.kind in kinds)

    @cached_property
    def column(self) -> tuple[int, ...]:
        """The ids along the column from the sacrum upwards: S, L5/S, L5, L4/L5, L4 ... T9."""
        order = [self.of_kind("sacrum")[0]]
        while True:
            onward = [n for n in self[order[-1]].neighbours if n not in order]
            if not onward:
                return tuple(order)
            order.append(onward[-1])


def _load() -> LabelTable:
    raw: dict[str, Any] = yaml.safe_load(resources.files(__package__).joinpath("table.yaml").read_text())
    labels = tuple(
        Label(
            **{
                **entry,
                "part": str(entry["part"]),
                "neighbours": tuple(entry["neighbours"]),
                "colour": tuple(entry["colour"]),
            }
        )
        for entry in raw["labels"]
    )
    return LabelTable(version=raw["version"], unknown=raw["unknown"], labels=labels)


#: The table that ships with this version of cafrnet.
TABLE = _load()
#: Value of a voxel about which nothing is known. Never background, never scored.
UNKNOWN = TABLE.unknown
