"""The numbers of the model that names a column; they travel with the network that they were fitted for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from ..errors import InputError, UsageError, nearest
from .shapes import Shapes


@dataclass(frozen=True)
class Prices:
    """Numbers of the model, all in nats unless said otherwise; fitted on validation cases.

    Attributes:
        evidence: how many independent looks one large structure is worth: neighbouring voxels, and
            neighbouring structures too, err together, so it is small. It is the temperature of the posterior.
        offset: probability that the network, deceived by where the picture is cut, calls all structures some
            levels too high or too low, however sure it is of each; where the picture ends at the lowest one.
        offset_whole: the same where the picture goes on below the column.
        floor: probability that the network's names say nothing, spread evenly.
        spacing_sd: spread of the distance from one place to the next, in pitches.
        missed: of each structure that was not found between two others.
        twice: of finding one structure as two.
        spurious: of a large structure that is no part of the column.
        outside: of each structure above the table, so far as the network's names go.
        below: of each structure that was taken for a lumbar one and belongs to the sacrum; once for
            a disc and its body where the sacrum was seen.
        sacrum: of a sacrum that is none.
        shape: what the shape of a structure is worth, as a share of what it would be if sizes and tilts were
            independent of each other.
        shape_offset: probability that a patient's shapes are, on the whole, those of a level higher or lower.
    """

    evidence: float = 0.3
    offset: float = 0.2
    offset_whole: float = 0.1
    floor: float = 0.02
    spacing_sd: float = 0.15
    missed: float = 3.0
    twice: float = 4.0
    spurious: float = 8.0
    outside: float = 1.0
    below: float = 3.0
    sacrum: float = 5.0
    shape: float = 0.6
    shape_offset: float = 0.15

    def __post_init__(self) -> None:
        for f in fields(self):
            value = getattr(self, f.name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e3:
                raise UsageError(f"{f.name} {value!r} came, a number from 0 to 1000 was expected")
        if (
            not all(0 < p < 1 for p in (self.floor, self.offset, self.offset_whole, self.shape_offset))
            or not self.spacing_sd > 0
        ):
            raise UsageError("floor and offsets must lie between 0 and 1, spacing_sd must be positive")

    @classmethod
    def from_dict(cls, raw: dict[str, Any], source: str = "naming") -> Prices:
        """Build from plain values.

        Raises:
            UsageError: a key that does not exist (the nearest is named) or a value out of range.
        """
        known = [f.name for f in fields(cls)]
        for key in raw:
            if key not in known:
                raise UsageError(f"{source}: unknown key {key!r}{nearest(key, known)}")
        return cls(**raw)

    def to_dict(self) -> dict[str, float]:
        """Return plain values, ready for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class NamingModel:
    """All that was fitted for naming the columns of one network.

    Attributes:
        prices: of the sequence.
        shapes: sizes and tilts of each level in the training cases; empty: shapes say nothing.
        fitted_on: data, split, cases and what came out; for the reader.
    """

    prices: Prices = field(default_factory=Prices)
    shapes: Shapes = field(default_factory=Shapes)
    fitted_on: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def from_dict(cls, raw: Any, source: str = "naming") -> NamingModel:
        """Build from plain values, as a model file or a naming.json holds them.

        Raises:
            InputError: not a table, a key that does not exist (the nearest is named), a value out of range.
        """
        known = [f.name for f in fields(cls)]
        try:
            for key in raw:
                if key not in known:
                    raise UsageError(f"unknown key {key!r}{nearest(key, known)}")
            prices = Prices.from_dict(raw.get("prices", {}), "prices")
            shapes = Shapes.from_dict(raw.get("shapes", {}), "shapes")
            return cls(prices, shapes, dict(raw.get("fitted_on", {})))
        except (UsageError, KeyError, TypeError, ValueError, AttributeError) as error:
            raise InputError(
                f"{source}: what it says about naming can't be used ({error}); calibrate the model again"
            ) from error

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, ready for JSON."""
        return {
            "prices": self.prices.to_dict(),
            "shapes": self.shapes.to_dict(),
            "fitted_on": dict(self.fitted_on),
        }
