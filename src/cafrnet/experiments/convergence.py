"""Whether a training was long enough for its result to be held against another's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

#: A validation Dice that gained more than this over the last tenth of the budget was still rising.
STILL_RISING = 0.01
#: With fewer validations than this, a tenth of the budget can't be judged.
FEWEST_VALIDATIONS = 10


@dataclass(frozen=True)
class Convergence:
    """What the validation curve says.

    Attributes:
        converged: False where it still rose; None where that can't be told.
        rise: gain of the best validation Dice over the last tenth of the steps, 0 to 1; None where unknown.
        curve: (step, validation Dice) of the last tenth, and the last one before it.
        reason: why it is not converged or not known; empty where it is.
    """

    converged: bool | None
    rise: float | None
    curve: tuple[tuple[int, float], ...]
    reason: str = ""


def judge(journal: Sequence[Mapping[str, Any]]) -> Convergence:
    """Judge a training by its journal.

    The rise is the best validation Dice of all minus the best until nine tenths of the steps were done: the
    same weights that the selection rule would have kept then and keeps now.

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
    rise = max(0.0, max(dice for _, dice in last) - max(dice for _, dice in before))
    shown = (before[-1], *last)
    if rise > STILL_RISING:
        reason = f"not converged: validation Dice rose by {100 * rise:.1f} points over the last tenth"
        return Convergence(False, round(rise, 6), shown, reason)
    return Convergence(True, round(rise, 6), shown)
