"""Offsets of kinds: how much more or less readily a model should draw discs, bodies, the sacrum ...

A network learns the share of each kind from all that it was trained on. Where sources disagree (phantoms
whose discs reach the bone, annotators who leave the endplates out) or are silent (scans whose sacrum nobody
marked) its borders lie where none of them has them. One number per kind, added to the logits, moves them.

Axes: n = slice, k = class, q = kind, y, x = model grid, b = offset.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...anatomy.kinds import KINDS, by_kind
from ...datasets import Case
from ...inference import Model
from ...inference.answers import answers, checked_logits
from ...labels import TABLE, UNKNOWN, ValueSets
from ...phantom import Phantom
from ...preprocessing import prepare, prepare_truth
from ...scan import Scan

#: Offsets that are looked at, in nats.
GRID = np.arange(-2.0, 4.01, 0.25)
#: Most that is added or taken where validation cases can tell.
MOST = 2.0
#: Least gain in mean Dice for which borders are moved.
LEAST_GAIN = 0.002
#: Mean Dice on phantoms that a kind which no validation case marks may lose, to be drawn on real scans.
GIVEN_UP = 0.01


def fit_offsets(
    model: Model, validation: Sequence[Case], phantoms: Sequence[Phantom] = ()
) -> dict[str, float]:
    """Find the offset of each kind.

    Args:
        model: its calibration is left aside.
        validation: labelled cases that it was not trained on.
        phantoms: like those that it was trained on; for kinds that no validation case marks for certain.

    Returns:
        Kind -> offset, of those that are not 0. Where validation cases mark a kind: what gives its best mean
        Dice over cases, levels apart. Where they don't: the largest that costs phantoms at most
        :data:`GIVEN_UP`; without phantoms none.
    """
    real = [_curves(model, scan := case.read(), case.read_truth(scan), case.sets) for case in validation]
    drawn = [_curves(model, one.scan, one.labels, ValueSets.identity()) for one in phantoms]
    found = {}
    for q, kind in enumerate(KINDS[1:], 1):
        if (known := _mean([c[q] for c in real])) is not None:
            found[kind] = _best(known)
        elif (known := _mean([c[q] for c in drawn])) is not None:
            found[kind] = _largest(known)
    return {kind: b for kind, b in found.items() if b}


def _best(dice: np.ndarray) -> float:
    """Return the offset of the best Dice; of several, the smallest move."""
    dice = np.where(np.abs(GRID) <= MOST, dice, -1.0)
    at = min(np.flatnonzero(dice >= dice.max() - 1e-9), key=lambda k: abs(GRID[k]))
    return float(GRID[at]) if dice[at] >= dice[GRID == 0][0] + LEAST_GAIN else 0.0


def _largest(dice: np.ndarray) -> float:
    fine = (dice >= dice.max() - GIVEN_UP) & (GRID >= 0)
    return float(GRID[fine].max()) if fine.any() else 0.0


def _mean(curves: Sequence[np.ndarray | None]) -> np.ndarray | None:
    known = [c for c in curves if c is not None]
    return np.mean(known, axis=0) if known else None


def _curves(model: Model, scan: Scan, truth: np.ndarray, sets: ValueSets) -> list[np.ndarray | None]:
    """Return per kind the Dice [b] of one scan on the model grid; None where the truth has none of it."""
    ready = prepare(scan, model.preprocessing)
    may = _kinds_allowed(sets)[prepare_truth(truth, scan, ready.grid)]
    counts = np.zeros((len(KINDS), 2, len(GRID)))  # of truly positive and negative voxels: predicted with b
    total = np.zeros(len(KINDS))
    for first, logits in answers(model, ready.images, scan.frame.spacing_mm[0], checked_logits):
        own, kinds = slice(first, first + len(logits)), by_kind(logits)
        for q in range(1, kinds.shape[1]):
            lead = kinds[:, q] - np.delete(kinds, q, axis=1).max(axis=1)
            positive = may[own, ..., q] & (may[own].sum(axis=-1) == 1)
            total[q] += positive.sum()
            for row, mask in enumerate((positive, ~may[own, ..., q] & may[own].any(axis=-1))):
                counts[q, row] += len(lead[mask]) - np.searchsorted(np.sort(lead[mask]), -GRID, side="right")
    return [
        2 * counts[q, 0] / (counts[q].sum(axis=0) + total[q]) if total[q] else None for q in range(len(KINDS))
    ]


def _kinds_allowed(sets: ValueSets) -> np.ndarray:
    """Return [value, q] whether a truth value allows a kind; nothing where it says nothing."""
    table = np.zeros((max(sets.values) + 1, len(KINDS)), bool)
    for value, ids in sets.values.items():
        for i in ids:
            if i != UNKNOWN:
                table[value, KINDS.index(TABLE[i].kind)] = True
    return table
