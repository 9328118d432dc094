"""From trials to a calibration: the Dice line, the known ranges, the thresholds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from scipy.special import expit, logit

from ...inference.calibration import Calibration, Thresholds
from ...inference.plausibility import MEASURES
from ...inference.triage import on_line
from .trials import Trial

#: Share of wrong columns among those that pass.
MOST_WRONG = 0.01
#: Thresholds for the least sure name that are looked at: lowest first.
CANDIDATES = tuple(1 - 10 ** -np.linspace(0.7, 4.0, 67))
#: A threshold that mistakes pushed up is set this much further, in nats: the next case may bring a surer one.
MARGIN_NATS = 0.5
#: Measures of the network's own answer: too good on cases that it was trained on to take their range there.
OWN_ANSWER = ("entropy", "order")
#: How far below the usual predicted Dice a scan may lie and pass, and the bounds of that threshold.
DICE_SLACK, DICE_BOUNDS = 0.05, (0.60, 0.85)
#: Outlines worse than this say nothing about a line.
LEAST_PAIRS = 10


def dice_line(trials: Sequence[Trial]) -> tuple[float, float]:
    """Fit true Dice = slope * soft Dice + offset over all structures, whatever their names.

    Least absolute deviations by repeated weighting, so that a structure that fell apart does not tilt the
    line for all others; the slope is never negative.
    """
    pairs = np.array([pair for t in trials for pair in t.outline.values()])
    if len(pairs) < LEAST_PAIRS or np.ptp(pairs[:, 0]) < 1e-3:
        return 1.0, 0.0
    soft, true = pairs.T
    weight = np.ones(len(soft))
    slope, offset = 1.0, 0.0
    for _ in range(30):
        slope, offset = np.polyfit(soft, true, 1, w=np.sqrt(weight))
        weight = 1 / np.maximum(np.abs(true - slope * soft - offset), 0.01)
    if slope <= 0:
        return 0.0, round(float(np.median(true)), 4)
    return round(float(slope), 4), round(float(offset), 4)


def known_ranges(known: Sequence[Trial], unseen: Sequence[Trial]) -> dict[str, tuple[float, float]]:
    """Return the range of every measure over scans whose names came out right.

    Args:
        known: cases that the model was trained on, and phantoms.
        unseen: validation cases, as they are and cropped.
    """
    ranges = {}
    for name in MEASURES:
        trials = [*unseen] if name in OWN_ANSWER else [*known, *unseen]
        values = [t.triage.measures[name] for t in trials if name in t.triage.measures and not t.wrong]
        if len(values) > 1:
            ranges[name] = (float(min(values)), float(max(values)))
    return ranges


def thresholds(trials: Sequence[Trial], fitted: Calibration) -> Thresholds:
    """Fit the threshold of the least sure name, and that of the outlines' mean predicted Dice.

    Args:
        trials: validation cases as they are and cropped.
        fitted: everything else; supplies the thresholds that are not fitted, and the lowest for the names.

    The lowest threshold is taken at which at most :data:`MOST_WRONG` of the passed hold a wrong level, and
    never one below that of ``fitted``: few cases can't prove that a low one is safe. Where mistakes pushed it
    up, it is set :data:`MARGIN_NATS` further. 1 where no threshold holds: nothing passes then.
    """
    start = fitted.thresholds
    outlines = [list(on_line(t.triage.outline_dice, fitted).values()) for t in trials if not t.wrong]
    means = [float(np.mean(o)) for o in outlines if o]
    dice = float(np.clip(np.quantile(means, 0.05) - DICE_SLACK, *DICE_BOUNDS)) if means else start.dice_pass
    lines = replace(start, dice_pass=round(dice, 3), level_pass=0.0)
    others = [t for t in trials if t.judged_with(replace(fitted, thresholds=lines)).triage.verdict == "pass"]
    for least in sorted({start.level_pass, *(c for c in CANDIDATES if c > start.level_pass)}):
        passed = [t for t in others if t.triage.sureness >= least]
        if sum(bool(t.wrong) for t in passed) <= MOST_WRONG * len(passed):
            pushed = least if least == start.level_pass else expit(logit(least) + MARGIN_NATS)
            return replace(lines, level_pass=round(float(pushed), 5))
    return replace(lines, level_pass=1.0)


def passes(trials: Sequence[Trial]) -> dict[str, float | int | None]:
    """Count what triage let through: scans, share passed, share of the passed with a wrong level."""
    passed = [t for t in trials if t.triage.verdict == "pass"]
    wrong = sum(bool(t.wrong) for t in passed)
    return {
        "scans": len(trials),
        "wrong": sum(bool(t.wrong) for t in trials),
        "passed": round(len(passed) / len(trials), 4) if trials else None,
        "wrong_among_passed": round(wrong / len(passed), 4) if passed else None,
    }


def predicted_dice_error(trials: Sequence[Trial]) -> dict[str, float | int | None]:
    """Hold predicted against true Dice per structure: mean absolute error, correlation, how many."""
    pairs = np.array(
        [(t.triage.predicted_dice[n], d) for t in trials for n, d in t.dice.items()], float
    ).reshape(-1, 2)
    if len(pairs) < 2:
        return {"structures": len(pairs), "mae": None, "r": None}
    spread = pairs.std(axis=0).min() > 1e-9
    return {
        "structures": len(pairs),
        "mae": round(float(np.abs(pairs[:, 0] - pairs[:, 1]).mean()), 4),
        "r": round(float(np.corrcoef(pairs.T)[0, 1]), 4) if spread else None,
    }


def with_fit(start: Calibration, trials: Sequence[Trial], known: Sequence[Trial]) -> Calibration:
    """Return a calibration with Dice line and ranges from trials that were judged with ``start``."""
    slope, offset = dice_line(trials)
    unseen = [t for t in trials if t.variant != "degraded"]
    return replace(start, dice_slope=slope, dice_offset=offset, ranges=known_ranges(known, unseen))
