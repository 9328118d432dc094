"""What makes rows comparable: one budget, one selection rule, one evaluator for all of them.

Every row of a reproduction trains for the same number of steps with the same batch, augmentation, sampling,
optimiser and schedule (those of ``recipes/cafr_net.yaml``), keeps the weights of the epoch with the best
validation Dice, predicts the test cases of its fold with ``model.onnx`` and no post-processing, and is scored
by :func:`cafrnet.evaluate` on the native grid. A row is what a recipe says beyond that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ..errors import UsageError, nearest

#: Folds of every reproduction: fold k is tested, the next one validates, the others train.
FOLDS = 5
#: Key of a recipe, which may be shortened to it.
PATIENCE = "patience"
#: Steps of an epoch on any data (design).
STEPS_PER_EPOCH = 95


@dataclass(frozen=True)
class Budget:
    """How much is spent on each row; the same for all.

    Attributes:
        name: of the budget.
        steps: optimiser steps of each training.
        batch: slices per step.
        patience: epochs without a better validation Dice before stopping; 0 never stops.
        folds: that are tested, of ``FOLDS``.
        seeds: each row is trained once with each.
        points: of each sensitivity; None for all.
        sizes: of the three networks whose published size misses the paper's cost: ``"published"`` or
            ``"paper"``.
        strengths: of each disturbance in ``robustness``.
        disturbed: test cases of each run in ``robustness``; None for all.
    """

    name: str
    steps: int
    batch: int
    patience: int
    folds: tuple[int, ...]
    seeds: tuple[int, ...]
    points: int | None
    sizes: str
    strengths: tuple[int, ...] = (1, 2, 3, 4, 5)
    disturbed: int | None = None

    @property
    def epochs(self) -> int:
        """Number of validations: steps over about ``STEPS_PER_EPOCH``, at least 10 if there are 100 steps."""
        if self.steps < 100:
            return 1 if self.steps < 10 else 2
        wanted = max(10, round(self.steps / STEPS_PER_EPOCH))
        near = sorted(range(1, self.steps + 1), key=lambda n: (abs(n - wanted), n))
        return next((n for n in near[: wanted + 10] if self.steps % n == 0 and n >= 10), wanted)

    @property
    def steps_per_epoch(self) -> int:
        """Steps of an epoch; ``epochs`` times this is the whole budget, or up to one epoch less."""
        return self.steps // self.epochs

    def words(self) -> list[str]:
        """Return the budget as changes of a recipe."""
        return [
            f"training.epochs={self.epochs}",
            f"training.steps_per_epoch={self.steps_per_epoch}",
            f"training.batch={self.batch}",
            f"training.patience={self.patience}",
            "training.validate_every=1",
            "training.select=best",
        ]


#: The three budgets of ``cafrnet reproduce``.
BUDGETS = {
    "smoke": Budget("smoke", 4, 4, 0, (0,), (0,), 2, "paper", (3,), 1),
    "small": Budget("small", 2000, 16, 0, (0, 1, 2, 3, 4), (0,), None, "published"),
    "full": Budget("full", 500 * STEPS_PER_EPOCH, 16, 10, (0, 1, 2, 3, 4), (0, 1, 2), None, "published"),
}


def budget(
    name: str,
    *,
    steps: int | None = None,
    folds: tuple[int, ...] | None = None,
    seeds: tuple[int, ...] | None = None,
) -> Budget:
    """Return a budget, with what the user wants otherwise.

    Raises:
        UsageError: an unknown name, no positive number of steps, or a fold that there isn't.
    """
    if name not in BUDGETS:
        raise UsageError(f"no budget {name!r}{nearest(name, BUDGETS)}")
    found = BUDGETS[name]
    if steps is not None:
        if steps < 1:
            raise UsageError(f"steps={steps} came; at least 1 is needed")
        found = replace(found, steps=steps)
    if folds is not None:
        if not folds or wrong_folds(folds):
            raise UsageError(f"folds {folds} came; numbers from 0 to {FOLDS - 1}, each once, were expected")
        found = replace(found, folds=folds)
    if seeds is not None:
        if not seeds or len(set(seeds)) < len(seeds) or min(seeds) < 0:
            raise UsageError(f"seeds {seeds} came; numbers from 0, each once, were expected")
        found = replace(found, seeds=seeds)
    return found


def planned(steps: int, name: str, changes: Sequence[str]) -> str:
    """Return steps as captions have them: "at most", where early stopping may end a training before.

    Args:
        steps: of each training.
        name: of the budget, whose patience holds unless a change says otherwise.
        changes: words that change all rows alike.
    """
    patience = [BUDGETS[name].patience]
    patience += [int(w.partition("=")[2]) for w in changes if w.partition("=")[0].endswith(PATIENCE)]
    return f"at most {steps}" if patience[-1] else str(steps)


def wrong_folds(folds: tuple[int, ...]) -> bool:
    """Whether a fold comes twice or is none of ``FOLDS``."""
    return len(set(folds)) < len(folds) or not set(folds) <= set(range(FOLDS))
