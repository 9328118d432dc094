"""Whether an export finds what its source finds; without that it is not written.

Axes: s = slice, y, x = model grid. Everything is compared on the model grid, before any post-processing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ...errors import InputError
from ...inference import Model
from ...inference.answers import checked_logits
from ...labels import TABLE
from ..training.score import case_dice
from .examples import Example
from .source import Source, batches

#: A structure of more voxels than this counts; it must agree at least this well in fp32 and fp16.
MORE_VOXELS, LEAST_DICE = 50, 0.995
#: Dice against truth, in points, that int8 may lose; on scans that the source knows at all, by its own Dice.
MOST_LOST, KNOWN_DICE = 0.2, 0.5
#: Slices per call of the export: more than one, and not a divisor of most scans, so that batches end ragged.
SLICES_AT_ONCE = 5


@dataclass
class Comparison:
    """Export and source on one set of scans.

    Attributes:
        scans: how many.
        dice: name of each structure of more than 50 voxels in the source's labels -> Dice of the two.
        source_dice, export_dice: mean over scans of Dice against truth; None where no scan could be scored.
        varied: whether the source's labels are not one and the same everywhere.
    """

    scans: int
    dice: dict[str, float]
    source_dice: float | None
    export_dice: float | None
    varied: bool

    @property
    def lost(self) -> float | None:
        """Points of Dice against truth that the export loses; None where the scans are unknown to it."""
        if self.source_dice is None or self.export_dice is None or self.source_dice < KNOWN_DICE:
            return None
        return 100 * (self.source_dice - self.export_dice)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, ready for JSON."""
        rounded = {name: round(value, 5) for name, value in self.dice.items()}
        truth = {
            key: None if value is None else round(value, 5)
            for key, value in (("source", self.source_dice), ("export", self.export_dice))
        }
        lowest = min(rounded.values()) if rounded else None
        return {"scans": self.scans, "lowest": lowest, "dice": rounded, "dice_against_truth": truth}


@dataclass
class _Tally:
    both: np.ndarray = field(default_factory=lambda: np.zeros(len(TABLE), np.int64))
    ours: np.ndarray = field(default_factory=lambda: np.zeros(len(TABLE), np.int64))
    theirs: np.ndarray = field(default_factory=lambda: np.zeros(len(TABLE), np.int64))
    scores: list[tuple[float, float]] = field(default_factory=list)
    scans: int = 0


def compare(source: Source, export: Model, examples: Iterable[Example]) -> Comparison:
    """Run export and source over scans with truth."""
    tally, classes = _Tally(), export.num_classes
    for example in examples:
        ours = source.labels(example.images)
        theirs = export_labels(export, example.images)
        tally.scans += 1
        tally.ours += np.bincount(ours.ravel(), minlength=len(TABLE))
        tally.theirs += np.bincount(theirs.ravel(), minlength=len(TABLE))
        tally.both += np.bincount(ours[ours == theirs], minlength=len(TABLE))
        sets = example.sets.within(classes)
        pair = (case_dice(example.truth, labels, sets) for labels in (ours, theirs))
        a, b = pair
        if a is not None and b is not None:
            tally.scores.append((a, b))
    return _conclude(tally)


def _conclude(tally: _Tally) -> Comparison:
    counted = [i for i in range(1, len(TABLE)) if tally.ours[i] > MORE_VOXELS]
    dice = {TABLE[i].name: float(2 * tally.both[i] / (tally.ours[i] + tally.theirs[i])) for i in counted}
    a, b = (
        (float(np.mean(column)) for column in zip(*tally.scores, strict=True))
        if tally.scores
        else (None, None)
    )
    return Comparison(tally.scans, dice, a, b, varied=int((tally.ours > MORE_VOXELS).sum()) > 1)


def export_labels(export: Model, images: np.ndarray) -> np.ndarray:
    """Return the labels [s, y, x] uint8 that an export finds in images [s, y, x]."""
    parts = [checked_logits(export, part).argmax(axis=1) for part in batches(images, SLICES_AT_ONCE)]
    return np.concatenate(parts).astype(np.uint8)


def judge(precision: str, found: Mapping[str, Comparison]) -> None:
    """Refuse an export that does not agree.

    Args:
        precision: ``"fp32"``, ``"fp16"`` or ``"int8"``.
        found: name of each set of scans -> comparison.

    Raises:
        InputError: it differs too much, or nothing could be shown: the source finds one and the same class
            everywhere, or no structure of more than 50 voxels; for int8, it knows none of the scans.
    """
    if not any(c.dice and c.varied for c in found.values()):
        raise InputError(
            f"the source finds no structure of more than {MORE_VOXELS} voxels on {' and '.join(found)} (or "
            "one and the same everywhere), so nothing shows that an export agrees with it; is it trained? "
            "If so, name labelled scans that it knows with --fixtures DIR. Nothing was written"
        )
    (_judge_int8 if precision == "int8" else _judge_labels)(found)


def _judge_labels(found: Mapping[str, Comparison]) -> None:
    low = [
        f"{name} {value:.4f} on {where}"
        for where, comparison in found.items()
        for name, value in comparison.dice.items()
        if not value >= LEAST_DICE
    ]
    if low:
        raise InputError(
            f"the export differs from its source: Dice {', '.join(low)}; at least {LEAST_DICE} was expected. "
            "Nothing was written"
        )


def _judge_int8(found: Mapping[str, Comparison]) -> None:
    lost = {where: c.lost for where, c in found.items() if c.lost is not None}
    if not lost:
        scores = ", ".join(f"{100 * (c.source_dice or 0):.1f} % on {where}" for where, c in found.items())
        raise InputError(
            f"the source's own Dice is {scores}: too low to tell what int8 loses; name labelled scans "
            f"that it knows (Dice from {100 * KNOWN_DICE:.0f} %) with --fixtures DIR. Nothing was written"
        )
    if worse := {where: value for where, value in lost.items() if not value <= MOST_LOST}:
        shown = ", ".join(f"{value:.2f} points on {where}" for where, value in worse.items())
        raise InputError(
            f"int8 loses {shown} of Dice against truth; at most {MOST_LOST} was expected. Nothing was "
            "written; calibrate on more training scans (--calibrate DIR), or take --precision fp16"
        )


#: What makes a set of scans, fresh each time it is gone through.
Scans = Callable[[], Iterable[Example]]
