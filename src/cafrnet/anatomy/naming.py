"""What is said about the level names of one scan: who is who, how sure, and what else it could be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ..labels import TABLE, UNKNOWN
from .checks import Flag

#: Shifts less likely than this are left out of the record.
SMALLEST_SHARE = 5e-4


@dataclass(frozen=True)
class Named:
    """One structure of the column, with its name.

    Attributes:
        id: in the label table; 255 for a body above T9, or the disc between two such.
        kind: ``"sacrum"``, ``"body"`` or ``"disc"``.
        confidence: posterior probability of this name, 0 to 1.
        centre_mm: of gravity, world (x, y, z) in RAS.
        evidence: mean log-probability of each name of its kind over its voxels, from below (L5 ... T9, or
            L5/S ... T9/T10), as the network gave it; empty for the sacrum.
        volume_mm3: of its voxels on the model grid.
        height_mm: its extent along the column.
    """

    id: int
    kind: str
    confidence: float
    centre_mm: tuple[float, float, float]
    evidence: tuple[float, ...] = ()
    volume_mm3: float = 0.0
    height_mm: float = 0.0

    @property
    def name(self) -> str:
        """Its anatomical name, or what it is where it has none."""
        return f"unnamed {self.kind}" if self.id == UNKNOWN else TABLE[self.id].name


@dataclass(frozen=True)
class Naming:
    """The names of one scan's column.

    Attributes:
        elements: from below.
        shift_posterior: whole-column shift in levels -> probability that the column as named has to be moved
            by so many levels upwards to be right; 0 is "as named". Sums to 1. Empty without any structure.
        levels: name of each body and disc that was named -> its confidence.
        flags: what a person should look at.
    """

    elements: tuple[Named, ...] = ()
    shift_posterior: Mapping[int, float] = field(default_factory=dict)
    levels: Mapping[str, float] = field(default_factory=dict)
    flags: tuple[Flag, ...] = ()

    @property
    def unnamed(self) -> tuple[Named, ...]:
        """Structures above T9."""
        return tuple(e for e in self.elements if e.id == UNKNOWN)

    def with_flags(self, more: tuple[Flag, ...]) -> Naming:
        """Return the same names with more flags after their own."""
        return replace(self, flags=(*self.flags, *more))

    def record(self) -> dict[str, Any]:
        """Return the keys ``levels``, ``shift_posterior`` and ``flags`` of the JSON beside a label map."""
        return {
            "levels": {name: round(p, 4) for name, p in self.levels.items()},
            "shift_posterior": {
                f"{k:+d}" if k else "0": round(p, 4)
                for k, p in sorted(self.shift_posterior.items())
                if p >= SMALLEST_SHARE
            },
            "flags": [
                {
                    "kind": flag.kind,
                    "structures": [TABLE[i].name if i != UNKNOWN else "unnamed" for i in flag.ids],
                    "message": flag.message,
                }
                for flag in self.flags
            ],
        }
