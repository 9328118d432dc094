"""Whether a training was long enough for its result to be held against another's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

#: A validation Dice that gained more than this over the last tenth of the budget was still rising.
STILL_RISING = 0.01
#: With fewer validations than this, a tenth of the budget can't be judged.
FEWEST_VALIDATIONS = 10
#: Early stopping that waited for fewer epochs than this without a better validation Dice says nothing.
PATIENCE = 10
UNKNOWN = "convergence unknown"
NOT_OURS = f"not ours: {UNKNOWN}"


@dataclass(frozen=True)
class Convergence:
    """What the validation curve says.

    Attributes:
        converged: False where it still rose; None where that can't be told.
        rise: gain of the validation Dice over the last tenth of the steps, 0 to 1; None where unknown.
        curve: (step, validation Dice) of the last tenth, and the last one before it.
        reason: why it is not converged or not known; empty where it is.
    """

    converged: bool | None
    rise: float | None
    curve: tuple[tuple[int, float], ...]
    reason: str = ""


def judge(journal: Sequence[Mapping[str, Any]]) -> Convergence:
    """Judge a training by its journal.

    The rise over the last tenth of the steps is the larger of two: of the best validation Dice so far, which
    is what the selection rule keeps, and of the Dice itself, from the last validation before to the end. The
    first misses a curve that climbs back to an early peak, the second one that peaks within the tenth.

    It says nothing about a training that was stopped early, whose last tenth is not that of its budget: see
    :func:`doubt`.

    Args:
        journal: rows with ``step`` and ``val_dice``; epochs without a validation have no ``val_dice``.
    """
    curve = [(int(r["step"]), float(r["val_dice"])) for r in journal if r.get("val_dice") not in (None, "")]
    if len(curve) < FEWEST_VALIDATIONS:
        reason = f"{len(curve)} validations are too few to see whether it converged"
        return Convergence(None, None, tuple(curve), reason)
    end = max(step for step, _ in curve)
    before = [(step, dice) for step, dice in curve if step <= 0.9 * end]
    last = [(step, dice) for step, dice in curve if step > 0.9 * end]
    of_best = max(dice for _, dice in last) - max(dice for _, dice in before)
    rise = round(max(0.0, of_best, last[-1][1] - before[-1][1]), 6)  # 0.71 - 0.7 is more than 0.01 in floats
    shown = (before[-1], *last)
    if rise > STILL_RISING:
        reason = f"not converged: validation Dice rose by {100 * rise:.1f} points over the last tenth"
        return Convergence(False, rise, shown, reason)
    return Convergence(True, rise, shown)


def doubt(fits: Sequence[Mapping[str, Any]], patience: int | None = None) -> str:
    """Say why nothing can be claimed from some trainings; empty if something can.

    A training that early stopping ended is not judged by its last tenth, which would be flat by construction.
    That its Dice didn't rise for ``PATIENCE`` epochs is an end of its own, named by :func:`ending`.

    Args:
        fits: what ``fit.json`` says, of each run; none for predictions from outside.
        patience: of early stopping, in epochs; None where it is unknown.
    """
    if not fits:
        return NOT_OURS
    if own := [str(fit["doubt"]) for fit in fits if fit.get("doubt")]:
        return own[0]
    early = [fit for fit in fits if stopped(fit)]
    if early and (patience or 0) < PATIENCE:
        return f"{ending(fits)}, before {PATIENCE} epochs without a rise"
    if rising := [fit for fit in fits if fit["converged"] is False and not stopped(fit)]:
        return f"not converged ({len(rising)} of {len(fits)} runs)"
    return UNKNOWN if any(fit["converged"] is None for fit in fits) else ""


def ending(fits: Sequence[Mapping[str, Any]]) -> str:
    """Say how trainings without a doubt ended: "yes", converged, or stopped early at which step."""
    early = [fit for fit in fits if stopped(fit)]
    if not early:
        return "yes"
    some = "" if len(early) == len(fits) else f" ({len(early)} of {len(fits)} runs)"
    return f"stopped early{some} at step {span(f['steps'] for f in early)} of {early[0]['planned_steps']}"


def stopped(fit: Mapping[str, Any]) -> bool:
    """Whether a training ended before its planned steps were done."""
    return bool(fit.get("steps", 0) < fit.get("planned_steps", 0))


def span(steps: Iterable[int]) -> str:
    """Return ``"500"``, or ``"400 to 500"`` where runs differ."""
    each = sorted({*steps})
    return str(each[0]) if len(each) == 1 else f"{each[0]} to {each[-1]}"
