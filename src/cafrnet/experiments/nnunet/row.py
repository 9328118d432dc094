"""The real nnU-Net as a row of Table 3, marked for what it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ...errors import CAFRNetError
from ..cost import Cost
from ..engines import Clock
from ..layout import RunFolder
from ..rows import Row
from ..scores import RowScores, RunScores, check_split, read_run
from .bridge import ROW, Bridge
from .raw import CLASSES
from .record import FULL_EPOCHS

#: Said below every table with this row.
NOT_EQUAL = (
    "the nnunetv2 package end to end, not under this protocol: its own plan, patches, augmentation, "
    "optimiser, number of steps, last weights and mirrored predictions; the same cases, classes 0-19 and "
    "evaluator"
)
#: What of its training is its own, which is why there is no p-value.
OWN = ("plan", "patches", "augmentation", "optimiser", "steps", "last weights")


@dataclass(frozen=True)
class RealRow:
    """The row and what is known of it.

    Attributes:
        row: of Table 3.
        scores: None where no fold is finished.
        cost: parameters and multiply-accumulates of the planned network; None where unknown.
        problems: folds that failed, and why.
        missing: folds that were not started.
    """

    row: Row
    scores: RowScores | None
    cost: Cost | None
    problems: tuple[str, ...]
    missing: tuple[int, ...] = ()


def real_row(bridge: Bridge, folds: Sequence[int], clock: Clock, *, train: bool = True) -> RealRow:
    """Run nnU-Net on some folds, or read what is there.

    A fold that fails is named and stops no other. What is trained has no claim unless it had nnU-Net's 1000
    epochs.

    Args:
        bridge: the pipeline.
        folds: that are tested.
        clock: after which no fold is started.
        train: whether anything is run at all.

    Raises:
        Interrupted: Ctrl-C; the same call goes on.
    """
    runs: list[RunScores] = []
    problems: list[str] = []
    missing: list[int] = []
    for fold in folds:
        try:
            run = bridge.checked(fold)
            if train and not clock.over:
                bridge.do(fold)
            if not run.score.is_file():
                missing.append(fold)
                continue
            runs.append(_read(bridge, run))
        except CAFRNetError as error:
            problems.append(f"{ROW}, fold {fold}: {error}")
    fits = [run.fit for run in runs]
    row = Row(ROW, _label(bridge.settings.configuration, fits), ROW)
    if not runs:
        return RealRow(row, None, None, tuple(problems), tuple(missing))
    notes = tuple(dict.fromkeys([NOT_EQUAL, *(_plan(f) for f in fits), *(n for r in runs for n in r.notes)]))
    scores = RowScores(ROW, row.label, tuple(runs), len(folds), notes, outputs=CLASSES, own=OWN)
    return RealRow(row, scores, _cost(fits[0]), tuple(problems), tuple(missing))


def _read(bridge: Bridge, run: RunFolder) -> RunScores:
    scores = read_run(run)
    check_split(run, scores, bridge.split)
    return scores


def _label(configuration: str, fits: Sequence[Mapping[str, Any]]) -> str:
    if not fits:
        return f"nnU-Net v2 (package, {configuration})"
    epochs = sorted({int(fit["epochs"]) for fit in fits})
    return f"nnU-Net v2 (package, {configuration}, {'/'.join(map(str, epochs))} of {FULL_EPOCHS} epochs)"


def _plan(fit: Mapping[str, Any]) -> str:
    plan = fit["plan"]
    patch = " x ".join(map(str, plan["patch_size"]))
    return (
        f"its plan is {patch} voxels, batch {plan['batch']}, {plan['stages']} stages, "
        f"{plan['params'] / 1e6:.2f} M parameters, {plan['gmacs_patch']:.2f} GMACs per patch "
        f"({fit['steps']} steps by {fit['trainer']}, nnunetv2 {fit['versions']['nnunetv2']}, "
        f"on {fit['device']})"
    )


def _cost(fit: Mapping[str, Any]) -> Cost | None:
    """Return the cost at 256 x 256 pixels, as in every row; None for a network that takes no such slice."""
    gmacs = fit["plan"]["gmacs_256"]
    return None if gmacs is None else Cost(int(fit["plan"]["params"]), float(gmacs))
