"""Fig 3: training and validation Dice over the steps, and the gap between them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...errors import InputError, UsageError
from ...evaluation.tables import write_csv
from ..layout import RunFolder
from ..probes.tables import read_csv
from .drawing import Drawn, canvas, save

#: The gap is the mean over this last share of a journal, since single epochs jump.
LAST_SHARE = 0.1
COLUMNS = ("row", "fold", "seed", "epochs", "steps", "train_dice", "val_dice", "gap", "best_val_dice")


@dataclass(frozen=True, eq=False)
class Curve:
    """What a journal says.

    Attributes:
        steps, train, val: one value per epoch; Dice 0 to 1.
    """

    steps: np.ndarray
    train: np.ndarray
    val: np.ndarray

    @property
    def last(self) -> slice:
        """The epochs of the last tenth, at least one."""
        return slice(-max(1, round(LAST_SHARE * len(self.steps))), None)

    @property
    def gap(self) -> float:
        """Training minus validation Dice, mean of the last tenth."""
        return float((self.train - self.val)[self.last].mean())


def read_curve(journal: Path) -> Curve:
    """Read ``journal.csv``; an epoch without both Dice values is left out.

    Raises:
        InputError: not a journal, or no epoch has both.
    """
    rows = read_csv(journal, ("step", "train_dice", "val_dice"))
    kept = [r for r in rows if r["train_dice"] is not None and r["val_dice"] is not None]
    if not kept:
        raise InputError(f"{journal} has no epoch with a training and a validation Dice; train longer")
    return Curve(*(np.array([r[c] for r in kept], float) for c in ("step", "train_dice", "val_dice")))


def training_curves(rows: Mapping[str, Sequence[RunFolder]], path: Path) -> Drawn:
    """Draw one panel per model: each run thin, the mean over runs thick where all of them still train.

    Args:
        rows: model -> its runs (folds and seeds).
        path: of the PNG; beside it a CSV of the same name with every run's gap.

    Raises:
        UsageError: no runs. InputError: a journal that can't be read.
    """
    if not any(rows.values()):
        raise UsageError("no trained runs came; there are no curves to draw")
    curves = {row: [(run, read_curve(run.journal)) for run in runs] for row, runs in rows.items() if runs}
    across = min(4, len(curves))
    down = -(-len(curves) // across)
    figure = canvas(3.2 * across, 2.6 * down)
    grid = figure.subplots(down, across, squeeze=False, sharey=True)
    for axes in grid.flat[len(curves) :]:
        axes.set_axis_off()
    for axes, (row, own) in zip(grid.flat, curves.items(), strict=False):
        _panel(axes, [curve for _, curve in own])
        gap = float(np.mean([curve.gap for _, curve in own]))
        axes.set_title(f"{row}: gap {100 * gap:+.1f} points", fontsize=9)
    grid[0, 0].legend(fontsize=7, loc="lower right")
    for axes in grid[:, 0]:
        axes.set_ylabel("Dice")
    figure.supxlabel("optimiser steps", fontsize=9)
    write_csv(path.with_suffix(".csv"), COLUMNS, [_line(run, c) for own in curves.values() for run, c in own])
    return save(figure, path, _caption(curves))


def _panel(axes, curves: Sequence[Curve]) -> None:
    shared = min(len(curve.steps) for curve in curves)
    for name, colour, values in (
        ("training", "#0072b2", [c.train for c in curves]),
        ("validation", "#e69f00", [c.val for c in curves]),
    ):
        for curve, one in zip(curves, values, strict=True):
            axes.plot(curve.steps, one, color=colour, linewidth=0.6, alpha=0.5)
        mean = np.mean([v[:shared] for v in values], axis=0)
        axes.plot(curves[0].steps[:shared], mean, color=colour, linewidth=2, label=name)
    axes.set_ylim(0, 1)
    axes.grid(alpha=0.3)


def _line(run: RunFolder, curve: Curve) -> dict[str, object]:
    return {
        **{"row": run.row, "fold": run.fold, "seed": run.seed, "epochs": len(curve.steps)},
        "steps": int(curve.steps[-1]),
        "train_dice": float(curve.train[curve.last].mean()),
        "val_dice": float(curve.val[curve.last].mean()),
        "gap": curve.gap,
        "best_val_dice": float(curve.val.max()),
    }


def _caption(curves: Mapping[str, Sequence[tuple[RunFolder, Curve]]]) -> str:
    runs = "; ".join(
        f"{row}: {len(own)} runs, {int(own[0][1].steps[-1])} steps" for row, own in curves.items()
    )
    return (
        "Training and validation Dice over the optimiser steps, each run thin, their mean thick. The gap is "
        "training minus validation, mean of the last tenth of the epochs. The two are not the same measure: "
        "training is the class mean over augmented slices with dropout, validation the case mean in 3D over "
        f"structures 1-19; so a gap of zero is not the same as no overfitting. {runs}."
    )
