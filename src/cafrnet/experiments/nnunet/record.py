"""``fit.json`` of a fold: the fields of every other row's, and what nnU-Net planned by itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ... import __version__
from ..convergence import FEWEST_VALIDATIONS, judge

#: What nnU-Net trains unless a shorter trainer is asked for.
FULL_EPOCHS = 1000


def doubt(epochs: int) -> str:
    """Say what a training of so many epochs can't be held against; empty for a full one."""
    if epochs >= FULL_EPOCHS:
        return ""
    if epochs < FEWEST_VALIDATIONS:
        return f"proven, not trained ({epochs} of {FULL_EPOCHS} epochs)"
    return f"truncated ({epochs} of {FULL_EPOCHS} epochs)"


def fit_record(trained: Mapping[str, Any], seconds: float) -> dict[str, Any]:
    """Return what a training took, from the answer of ``inside.py``.

    A full training is judged by the same rule as the other rows, on the moving average of the Dice that
    nnU-Net takes on patches of the validating cases after each epoch. A shorter one is
    never called converged.

    Args:
        trained: the answer.
        seconds: of the last call, planning of threads and nnU-Net's own validation included.
    """
    epochs, iterations, plan = trained["epochs"], trained["iterations"], trained["plan"]
    curve = trained["pseudo_dice"]
    judged = judge([{"step": (n + 1) * iterations, "val_dice": dice} for n, dice in enumerate(curve)])
    short = doubt(epochs)
    training = sum(trained["seconds"])
    return {
        "steps": epochs * iterations,
        "planned_steps": trained["planned_epochs"] * iterations,
        "batch": plan["batch"],
        "minutes": round(training / 60, 3),
        "call_minutes": round(seconds / 60, 3),
        "ms_per_step": round(1000 * training / max(1, epochs * iterations), 2),
        "best_val_dice": max(curve, default=None),
        "converged": None if short else judged.converged,
        "rise": judged.rise,
        "reason": short or judged.reason,
        "doubt": short,
        "val_curve_last_tenth": [list(point) for point in judged.curve],
        "epochs": epochs,
        "full_epochs": FULL_EPOCHS,
        "trainer": trained["trainer"],
        "mirroring": trained["mirroring"],
        "plan": plan,
        "device": trained["gpu"],
        "threads": trained["threads"],
        "process_mb": None,
        "gpu_mb": None,
        "cafrnet": __version__,
    }
