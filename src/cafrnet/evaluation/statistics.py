"""Is one model better than another, and by how much: paired over cases, corrected, with intervals.

A case is the unit: several seeds of one model are averaged per case first. Below eight pairs no test is made,
whatever p would be.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import stats

from ..errors import InputError

#: Fewer pairs than this are not tested.
FEWEST_PAIRS = 8
TOO_FEW = "too few cases"
#: Resamples of a bootstrap.
RESAMPLES = 9999


@dataclass(frozen=True)
class Interval:
    """A bootstrap interval of a mean.

    Attributes:
        low: lower end; None where undefined.
        high: upper end; None where undefined.
        level: confidence, for example 0.95.
        reason: why it is undefined; empty where it is not.
    """

    low: float | None
    high: float | None
    level: float
    reason: str = ""


def bootstrap_interval(
    values: Sequence[float] | np.ndarray,
    rng: np.random.Generator,
    *,
    level: float = 0.95,
    resamples: int = RESAMPLES,
) -> Interval:
    """Return the percentile bootstrap interval of the mean.

    The percentile form is taken because it is defined for any values, equal ones included.

    Args:
        values: one per case.
        rng: source of chance; it is used up by the same amount whatever the values are.
        level: confidence, between 0 and 1.
        resamples: number of resamples.
    """
    data = np.asarray(values, float)
    if len(data) < 2:
        return Interval(None, None, level, TOO_FEW)
    found = stats.bootstrap(
        (data,), np.mean, confidence_level=level, n_resamples=resamples, method="percentile", rng=rng
    ).confidence_interval
    return Interval(float(found.low), float(found.high), level)


@dataclass(frozen=True)
class Comparison:
    """Paired comparison of two models on the same cases.

    Attributes:
        pairs: number of cases.
        mean_difference: mean of (first minus second); None without pairs.
        interval: bootstrap interval of it.
        p: two-sided Wilcoxon signed-rank; None where not tested.
        p_holm: the same after Holm's correction over a family; None before it, or where not tested.
        effect: matched-pairs rank-biserial correlation, -1 to 1, positive where the first is larger; None
            where not tested.
        reason: why it was not tested; empty where it was.
    """

    pairs: int
    mean_difference: float | None
    interval: Interval
    p: float | None
    p_holm: float | None
    effect: float | None
    reason: str = ""


def average_seeds(runs: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Average several runs of one model per case.

    Args:
        runs: one mapping case -> score for each seed.

    Raises:
        InputError: no runs, or runs with different cases.
    """
    if not runs or any(set(run) != set(runs[0]) for run in runs):
        raise InputError(f"{len(runs)} runs with different cases came; the same cases were expected in each")
    return {case: float(np.mean([run[case] for run in runs])) for case in runs[0]}


def compare(first: Mapping[str, float], second: Mapping[str, float], rng: np.random.Generator) -> Comparison:
    """Compare two models over their cases.

    Cases without any difference are left out of the ranks (Wilcoxon's own rule), in p and in the effect.

    Args:
        first: case -> score.
        second: likewise, the same cases.
        rng: for the bootstrap interval.

    Raises:
        InputError: the cases differ.
    """
    if set(first) != set(second):
        odd = sorted(set(first) ^ set(second))
        raise InputError(f"the cases {', '.join(odd[:5])} have only one of two scores; pairs were expected")
    difference = np.array([first[case] - second[case] for case in sorted(first)])
    # scores are quotients of counts: what differs by rounding alone does not differ
    difference[np.abs(difference) < 1e-12] = 0.0
    mean = float(difference.mean()) if len(difference) else None
    untested = Comparison(len(difference), mean, bootstrap_interval(difference, rng), None, None, None)
    if len(difference) < FEWEST_PAIRS:
        return replace(untested, reason=TOO_FEW)
    if not difference.any():
        return replace(untested, reason="no case differs")
    p = float(stats.wilcoxon(difference, zero_method="wilcox", alternative="two-sided").pvalue)
    return replace(untested, p=p, effect=rank_biserial(difference))


def rank_biserial(difference: np.ndarray) -> float:
    """Matched-pairs rank-biserial correlation: ``(W+ - W-) / (W+ + W-)``.

    W+ and W- are the sums of the ranks of the absolute differences above and below zero; zeros are left out.

    Args:
        difference: first minus second, one per case, not all zero.

    Reference: Kerby, The simple difference formula, Comprehensive Psychology 3 (2014).
    """
    kept = difference[difference != 0]
    ranks = stats.rankdata(np.abs(kept))
    return float(ranks @ np.sign(kept) / ranks.sum())


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Correct a family of p-values by Holm's step-down procedure.

    The k-th smallest of m is multiplied by ``m - k + 1``, made at least as large as those before it, and at
    most 1. None (not tested) stays None and is not counted.

    Reference: Holm, A simple sequentially rejective multiple test procedure, Scand. J. Statist. 6 (1979).
    """
    known = sorted((p, i) for i, p in enumerate(p_values) if p is not None)
    adjusted: list[float | None] = [None] * len(p_values)
    largest = 0.0
    for k, (p, i) in enumerate(known):
        largest = max(largest, min(1.0, p * (len(known) - k)))
        adjusted[i] = largest
    return adjusted


def compare_all(
    scores: Mapping[str, Mapping[str, float]], reference: str, rng: np.random.Generator
) -> dict[str, Comparison]:
    """Compare a reference model with each of the others, Holm-corrected over them.

    Args:
        scores: model -> case -> score.
        reference: name of the model that is the first of each pair.
        rng: for the bootstrap intervals.

    Raises:
        InputError: the cases differ between models.
    """
    others = [name for name in scores if name != reference]
    found = [compare(scores[reference], scores[name], rng) for name in others]
    corrected = holm([c.p for c in found])
    return {n: replace(c, p_holm=p) for n, c, p in zip(others, found, corrected, strict=True)}
