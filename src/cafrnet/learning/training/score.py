"""Validation Dice: the evaluator's case score, on the model grid and without distances."""

from __future__ import annotations

import numpy as np

from ...evaluation.classes import status
from ...evaluation.levels import confusion
from ...evaluation.overlap import Overlap
from ...evaluation.sets import HEADLINE, annotated, resolve
from ...labels import ValueSets


def case_dice(truth: np.ndarray, predicted: np.ndarray, sets: ValueSets) -> float | None:
    """Return the mean Dice over the case's scored classes among ids 1-19.

    Args:
        truth: [s, H, W] values.
        predicted: [s, H, W] ids.
        sets: what the truth's values stand for.

    Returns:
        0 to 1, or None when the case has no scored class. Sets, missed and invented structures and those
        beyond the labelled range count as in :func:`cafrnet.evaluate` (tested).
    """
    pair = resolve(truth, predicted, sets)
    counts = confusion(pair.truth, pair.pred)
    scores = []
    for i in annotated(sets):
        found = Overlap(int(counts[i].sum()), int(counts[:, i].sum()), int(counts[i, i]))
        if i in HEADLINE and status(i, found, pair, counts) not in (None, "beyond"):
            scores.append(found.dsc or 0.0)
    return float(np.mean(scores)) if scores else None
