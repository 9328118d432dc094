"""What a model knows about its own reliability: a small table that travels inside ``model.onnx``.

``cafrnet calibrate`` fits it on validation cases (:mod:`cafrnet.learning.calibration`) and stores it in the
model file's metadata under ``cafrnet.calibration``, so that every copy, export and bundle keeps it and the
model's hash covers it. A model without it still segments; but nothing that it says passes triage.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from ..anatomy.kinds import KINDS
from ..errors import InputError, nearest

VERSION = 1


@dataclass(frozen=True)
class Thresholds:
    """Where triage draws its lines. Values, not code: fitted per model, kept with it.

    Attributes:
        level_pass: least probability of the least sure name for ``pass``; with 1 nothing passes.
        dice_pass: least predicted Dice, averaged over the structures of the column, for ``pass``.
        dice_structure: a structure whose predicted Dice is below this is named in the reasons and reviewed.
        range_margin: how far a measure may lie outside the range of the training data, as a share of that
            range's width, before the scan is reviewed.
        range_fail: the same for ``fail``, by measures that are grave.
        least_bodies: fewer vertebral bodies than this are no spine: ``fail``.
    """

    level_pass: float = 0.95
    dice_pass: float = 0.80
    dice_structure: float = 0.50
    range_margin: float = 0.25
    range_fail: float = 1.5
    least_bodies: int = 2


@dataclass(frozen=True)
class Calibration:
    """A model's temperatures, its Dice line, its known ranges and its thresholds.

    Attributes:
        temperature: logits are divided by it before the softmax over classes.
        kind_temperature: the same where only the kind counts (body, disc ...), names left aside.
        offsets: kind -> what is added to the logits of its classes before anything else is done with them;
            moves the borders of that kind (:mod:`cafrnet.learning.calibration.offsets`).
        dice_slope, dice_offset: true Dice = slope * soft Dice + offset, clipped to [0, 1].
        ranges: measure -> (low, high) over scans that the model knows; see :mod:`.plausibility`.
        thresholds: of triage.
        fitted_on: data, split hash, cases, seed and what was found; for the reader.
        version: of this record.
    """

    temperature: float = 1.0
    kind_temperature: float = 1.0
    dice_slope: float = 1.0
    dice_offset: float = 0.0
    ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    thresholds: Thresholds = field(default_factory=Thresholds)
    fitted_on: Mapping[str, Any] = field(default_factory=dict)
    offsets: Mapping[str, float] = field(default_factory=dict)
    version: int = VERSION

    @classmethod
    def from_dict(cls, raw: object, source: str = "calibration") -> Calibration:
        """Build from plain values.

        Raises:
            InputError: not a table, an unknown key, another version, or a value that makes no sense.
        """
        known = _table(raw, cls, source)
        if known.get("version") != VERSION:
            raise InputError(
                f"{source}: calibration version {known.get('version')} came, {VERSION} was expected; "
                "calibrate the model again with 'cafrnet calibrate'"
            )
        try:
            known["ranges"] = {str(k): _range(v) for k, v in dict(known.get("ranges", {})).items()}
            known["thresholds"] = Thresholds(
                **_table(known.get("thresholds", {}), Thresholds, f"{source}: thresholds")
            )
            known["offsets"] = {_kind(k): _offset(v) for k, v in dict(known.get("offsets", {})).items()}
            made = cls(**known)
            numbers = (made.temperature, made.kind_temperature)
            if not all(0.01 <= float(t) <= 100 for t in numbers):
                raise ValueError(f"temperatures {numbers}")
        except (TypeError, ValueError) as error:
            raise InputError(f"{source} is damaged ({error}); calibrate the model again") from error
        return made

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, ready for JSON."""
        ranges = {k: list(v) for k, v in self.ranges.items()}
        return {**asdict(self), "ranges": ranges, "offsets": dict(self.offsets)}


def joint(calibrations: Sequence[Calibration | None]) -> Calibration | None:
    """Return the calibration of several models that answer together; None unless each of them has one.

    Temperatures, offsets and Dice lines are averaged; of ranges the narrower part is kept and of thresholds
    the stricter, so that nothing passes together that one of them alone would not let pass for its look. Of
    ranges that don't meet only their middle is left, which next to nothing keeps to.
    """
    known = [c for c in calibrations if c is not None]
    if not known or len(known) < len(calibrations):
        return None

    def mean(name: str) -> float:
        return float(sum(getattr(c, name) for c in known) / len(known))

    shared = set.intersection(*(set(c.ranges) for c in known))
    ranges = {k: _narrower([c.ranges[k] for c in known]) for k in sorted(shared)}
    lines = [c.thresholds for c in known]
    strict = Thresholds(
        level_pass=max(t.level_pass for t in lines),
        dice_pass=max(t.dice_pass for t in lines),
        dice_structure=max(t.dice_structure for t in lines),
        range_margin=min(t.range_margin for t in lines),
        range_fail=min(t.range_fail for t in lines),
        least_bodies=max(t.least_bodies for t in lines),
    )
    return Calibration(
        mean("temperature"),
        mean("kind_temperature"),
        mean("dice_slope"),
        mean("dice_offset"),
        ranges,
        strict,
        {"members": [dict(c.fitted_on) for c in known]},
        {
            kind: float(sum(c.offsets.get(kind, 0.0) for c in known) / len(known))
            for kind in sorted({kind for c in known for kind in c.offsets})
        },
    )


def _narrower(ranges: Sequence[tuple[float, float]]) -> tuple[float, float]:
    low, high = max(r[0] for r in ranges), min(r[1] for r in ranges)
    return (low, high) if low <= high else ((low + high) / 2, (low + high) / 2)


def _table(raw: object, cls: type, source: str) -> dict[str, Any]:
    """Return ``raw`` as a dictionary whose keys are fields of ``cls``."""
    if not isinstance(raw, Mapping):
        raise InputError(f"{source} holds a {type(raw).__name__}, a table was expected; calibrate again")
    names = [f.name for f in fields(cls)]
    for key in raw:
        if key not in names:
            raise InputError(f"{source}: unknown key {key!r}{nearest(str(key), names)}")
    return dict(raw)


def _kind(name: object) -> str:
    if name not in KINDS[1:]:
        raise ValueError(f"offset of {name!r}")
    return str(name)


def _offset(value: Any) -> float:
    if not abs(float(value)) <= 20:
        raise ValueError(f"offset {value}")
    return float(value)


def _range(pair: Any) -> tuple[float, float]:
    low, high = map(float, pair)
    if not low <= high:
        raise ValueError(f"range {low} to {high}")
    return low, high
