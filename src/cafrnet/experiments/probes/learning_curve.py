"""Scores against the number of training cases: the paper's claim for scarce labels."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ...datasets import Split
from ...errors import UsageError
from ...evaluation.statistics import bootstrap_interval
from ...evaluation.tables import write_csv
from ..layout import RunFolder
from .tables import read_csv

logger = logging.getLogger(__name__)

#: Training cases that the issue of the claim asks for.
SIZES = (3, 6, 12, 25)
COLUMNS = ("row", "train_cases", "cases", "dsc", "dsc_sd", "low", "high", "runs", "reason")


@dataclass(frozen=True)
class SmallSplit:
    """A split with fewer training cases; validation and test cases are those of the whole one.

    Attributes:
        train_cases: how many.
        fold: of the whole split that it comes from; None for a holdout.
        split: a holdout, ready to be saved for ``train``.
    """

    train_cases: int
    fold: int | None
    split: Split


def small_splits(
    split: Split, fold: int | None = None, *, sizes: Sequence[int] = SIZES, seed: int = 0
) -> list[SmallSplit]:
    """Cut the training part down to nested subsets: each holds all cases of the smaller ones.

    Args:
        split: the whole one.
        fold: the test fold of a split into folds.
        sizes: training cases wanted. What the split does not have is left out with a warning; all of its
            training cases are then the largest size.
        seed: of the order in which cases are taken.

    Returns:
        Splits by rising size. Whoever trains them gives each the same number of steps.

    Raises:
        UsageError: a size below one, or a fold that there isn't.
    """
    if not sizes or min(sizes) < 1:
        raise UsageError(f"{list(sizes)} training cases came; whole numbers from 1 were expected")
    parts = split.parts(fold)
    order = [parts["train"][i] for i in np.random.default_rng(seed).permutation(len(parts["train"]))]
    fitting = sorted({n for n in sizes if n <= len(order)})
    if gone := sorted(set(sizes) - set(fitting)):
        logger.warning(
            "the split has %d training cases: %s are left out, all %d are the largest size",
            len(order),
            ", ".join(map(str, gone)),
            len(order),
        )
        fitting = sorted({*fitting, len(order)})
    return [SmallSplit(n, fold, _holdout(split, parts, order[:n], seed)) for n in fitting]


def _holdout(split: Split, parts: Mapping[str, list[str]], train: Sequence[str], seed: int) -> Split:
    return replace(
        split,
        seed=seed,
        kind="holdout",
        fractions=(),
        folds=(),
        train=tuple(sorted(train, key=parts["train"].index)),
        val=tuple(parts["val"]),
        test=tuple(parts["test"]),
        labels_per_part={},
    )


def learning_curve(runs: Mapping[tuple[str, int], Sequence[RunFolder]], out: Path, *, seed: int = 0) -> Path:
    """Write the table of a learning curve.

    Args:
        runs: (row, training cases) -> its finished runs (folds and seeds).
        out: folder for ``learning_curve.csv``.
        seed: of the intervals.

    Returns:
        The path of the table: mean DSC over cases and its bootstrap interval; seeds of a case are averaged
        first. ``reason`` says why an interval is missing.

    Raises:
        UsageError: no runs. InputError: scores that can't be read.
    """
    if not runs:
        raise UsageError("no runs came; train some on fewer cases first")
    rng = np.random.default_rng(seed)
    rows = [_point(row, size, runs[row, size], rng) for row, size in sorted(runs)]
    write_csv(out / "learning_curve.csv", COLUMNS, rows)
    return out / "learning_curve.csv"


def _point(row: str, size: int, runs: Sequence[RunFolder], rng: np.random.Generator) -> dict[str, Any]:
    scores = case_scores([run.cases for run in runs])
    values = np.array(list(scores.values()))
    interval = bootstrap_interval(values, rng)
    return {
        "row": row,
        "train_cases": size,
        "cases": len(values),
        "dsc": float(values.mean()) if len(values) else None,
        "dsc_sd": float(values.std(ddof=1)) if len(values) > 1 else None,
        "low": interval.low,
        "high": interval.high,
        "runs": len(runs),
        "reason": interval.reason,
    }


def case_scores(tables: Sequence[Path], metric: str = "dsc") -> dict[str, float]:
    """Return case -> mean of a metric over its scored structures 1 to 19, seeds averaged.

    Args:
        tables: ``cases.csv`` of several runs.
        metric: a column.

    Raises:
        InputError: a table that can't be read.
    """
    found: dict[str, list[float]] = {}
    for path in tables:
        own: dict[str, list[float]] = {}
        for line in read_csv(path, ("case", "id", "status", metric)):
            if line["id"] is not None and line["id"] <= 19 and line[metric] is not None:
                own.setdefault(line["case"], []).append(line[metric])
        for case, values in own.items():
            found.setdefault(case, []).append(float(np.mean(values)))
    return {case: float(np.mean(values)) for case, values in found.items()}
