"""Pass, review or fail, and why: whether a person has to look at a scan's labels before they are used.

- ``pass``: the level names are sure, the outlines are expected to be good, and scan and column look like
  those that the model knows.
- ``review``: one of these does not hold; the reasons say which, with numbers.
- ``fail``: there is no spine here, or nothing like one that the model knows; the labels should not be used.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..anatomy import Naming
from ..labels import TABLE
from .calibration import Calibration, Thresholds
from .plausibility import outside, unmeasured
from .watch import Watch

#: Flags that describe a scan without casting doubt on its names.
HARMLESS = ("sacrum", "unnamed", "field of view")
#: What no real scan at hand marks: nothing tells how good its outline is, so a poor one is no reason.
UNSCORED = frozenset(TABLE[i].name for i in TABLE.of_kind("sacrum"))
#: A mean predicted Dice below this share of what passes is a failure.
HOPELESS = 0.5


@dataclass(frozen=True)
class Triage:
    """The verdict on one scan.

    Attributes:
        verdict: ``"pass"``, ``"review"`` or ``"fail"``.
        reasons: one sentence each, the gravest first; empty for ``pass``.
        predicted_dice: name of each structure of the column -> expected Dice, 0 to 1: that of its outline
            times the probability of its name, since a structure with the wrong name scores 0.
        outline_dice: name -> soft Dice of its outline, before it is put on the fitted line.
        measures: of scan and column, see :data:`cafrnet.inference.plausibility.MEASURES`.
        sureness: the probability of the least sure name.
    """

    verdict: str
    reasons: tuple[str, ...] = ()
    predicted_dice: Mapping[str, float] = field(default_factory=dict)
    outline_dice: Mapping[str, float] = field(default_factory=dict)
    measures: Mapping[str, float] = field(default_factory=dict)
    sureness: float = 0.0

    def record(self) -> dict[str, Any]:
        """Return the keys ``triage``, ``reasons``, ``predicted_dice`` and ``measures`` of a scan's JSON."""
        return {
            "triage": self.verdict,
            "reasons": list(self.reasons),
            "predicted_dice": {name: round(d, 4) for name, d in self.predicted_dice.items()},
            "measures": dict(self.measures),
        }


#: Without post-processing nothing is said about names.
UNNAMED = Triage("review", ("post-processing is off: the level names were not checked",))


def judge(
    naming: Naming,
    outlines: Mapping[str, float],
    measures: Mapping[str, float],
    calibration: Calibration | None,
    off: Sequence[str] = (),
) -> Triage:
    """Judge one scan.

    Args:
        naming: of its column.
        outlines: from :func:`outline_dice`.
        measures: from :func:`.plausibility.measure`.
        calibration: of the model; without one nothing passes.
        off: steps of post-processing that were not taken; calibration is of all of them, so nothing passes.
    """
    known = calibration or Calibration()
    lines = known.thresholds
    expected = on_line(outlines, known)
    confidence = {e.name: e.confidence for e in naming.elements}
    dice = {name: d * confidence[name] for name, d in expected.items()}
    sure = sureness(naming)
    bodies = sum(e.kind == "body" for e in naming.elements)
    if bodies < lines.least_bodies:
        why = f"no spine: vertebral bodies found: {bodies}, expected: {lines.least_bodies} or more"
        return Triage("fail", (why,), dice, outlines, measures, sure)
    strange = sorted(outside(measures, known.ranges, lines.range_margin), key=lambda found: -found[1])
    graver = [why for why, off, grave in strange if grave and off > lines.range_fail]
    graver += _hopeless(expected, lines)
    doubts = [why for why, *_ in strange] + unmeasured(measures, known.ranges)
    doubts += [*_levels(naming, sure, lines), *_dice(expected, lines)]
    doubts += [flag.message for flag in naming.flags if flag.kind not in HARMLESS]
    if off:
        doubts.append(f"steps of post-processing are off ({', '.join(off)}): the calibration is not of this")
    if calibration is None:
        doubts.append("the model was never calibrated: how far it can be trusted is not known")
    verdict = "fail" if graver else "review" if doubts else "pass"
    reasons = tuple(dict.fromkeys([*graver, *doubts]))
    return Triage(verdict, reasons, dice, outlines, measures, sure)


def sureness(naming: Naming) -> float:
    """Return the probability of the least sure name, or of the whole column where that is less."""
    return float(min([naming.shift_posterior.get(0, 0.0), *naming.levels.values()]))


def on_line(outlines: Mapping[str, float], calibration: Calibration) -> dict[str, float]:
    """Return the Dice expected of outlines: soft Dice put on the line that was fitted on validation cases."""
    slope, offset = calibration.dice_slope, calibration.dice_offset
    return {name: float(np.clip(slope * d + offset, 0, 1)) for name, d in outlines.items()}


def outline_dice(naming: Naming, watch: Watch) -> dict[str, float]:
    """Return the soft Dice of each named structure's outline, whatever its name.

    It is that of the names that the network itself gave to the structure's voxels
    (:attr:`.watch.Watch.soft_dice`), weighted by how much it saw each.
    """
    soft, found = watch.soft_dice, {}
    for e in naming.elements:
        if e.id not in TABLE.column:
            continue
        ids = [i for i in TABLE.column if TABLE[i].kind == e.kind]
        weight = np.exp(np.array(e.evidence) - max(e.evidence)) if e.evidence else np.ones(1)
        found[e.name] = float((weight * soft[ids]).sum() / weight.sum())
    return found


def _levels(naming: Naming, sure: float, lines: Thresholds) -> list[str]:
    if lines.level_pass >= 1:
        return [f"this model's level names were never sure enough on validation cases (here {sure:.3f})"]
    if sure >= lines.level_pass:
        return []
    other = [(p, k) for k, p in naming.shift_posterior.items() if k]
    text = f"the least sure level name has a probability of {sure:.3f}, {lines.level_pass:.3f} is asked for"
    if other and max(other)[0] >= 0.01:
        p, k = max(other)
        text += f"; all one higher or lower ({k:+d}) has {p:.3f}" if abs(k) == 1 else f"; {k:+d} has {p:.3f}"
    return [text]


def _dice(dice: Mapping[str, float], lines: Thresholds) -> list[str]:
    reasons = []
    mean = float(np.mean(list(dice.values()))) if dice else 0.0
    if mean < lines.dice_pass:
        reasons.append(
            f"the mean predicted Dice of the outlines is {mean:.2f}, {lines.dice_pass:.2f} is asked for"
        )
    low = [f"{name} {d:.2f}" for name, d in dice.items() if d < lines.dice_structure and name not in UNSCORED]
    if low:
        reasons.append(f"outlines with a predicted Dice below {lines.dice_structure:.2f}: {', '.join(low)}")
    return reasons


def _hopeless(dice: Mapping[str, float], lines: Thresholds) -> list[str]:
    mean = float(np.mean(list(dice.values()))) if dice else 0.0
    if mean >= HOPELESS * lines.dice_pass:
        return []
    return [f"the mean predicted Dice of the outlines is only {mean:.2f}"]
