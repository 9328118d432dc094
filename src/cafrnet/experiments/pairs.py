"""A reference against other rows, paired over cases: tested only where a test means something."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

import numpy as np

from ..evaluation.statistics import Comparison, Interval, compare, holm
from .scores import RowScores, common_cases

Key = TypeVar("Key")

#: Of all bootstrap intervals.
SEED = 0
#: Rates that differ by less do so by rounding.
ROUNDING = 1e-9
OWN_TRAINING = "own training"
NO_COMMON = "no common case"


def against(reference: RowScores, others: Sequence[RowScores], metric: str) -> dict[str, Comparison]:
    """Compare a reference with other rows, Holm-corrected over those that were tested.

    Args:
        reference: first of each pair.
        others: second ones.
        metric: of the cases.

    Returns:
        Row name -> comparison; ``reason`` says why there is no p.
    """
    return corrected({other.name: pair(reference, other, metric) for other in others})


def corrected(family: Mapping[Key, Comparison]) -> dict[Key, Comparison]:
    """Correct the comparisons of a family by Holm, over those that were tested."""
    p_values = holm([c.p for c in family.values()])
    return {key: replace(c, p_holm=p) for (key, c), p in zip(family.items(), p_values, strict=True)}


def pair(reference: RowScores, other: RowScores, metric: str) -> Comparison:
    """Compare two rows, before any correction.

    Seeds are averaged per case first; the cases that both rows have are the pairs. Where a training did not
    converge, the difference stands there without interval and p: it says more about the budget than about
    the models. A row with a training of its own has the interval, but no p: two things differ there.

    Args:
        reference: first of the pair. other: second.
        metric: of the cases.
    """
    first, second = reference.per_case(metric), other.per_case(metric)
    both = sorted(set(first) & set(second))
    rng = np.random.default_rng(SEED)
    if not both:
        return Comparison(0, None, Interval(None, None, 0.95, NO_COMMON), None, None, None, NO_COMMON)
    found = compare({c: first[c] for c in both}, {c: second[c] for c in both}, rng)
    doubt = (reference.doubt and f"{reference.label}: {reference.doubt}") or other.doubt
    if doubt:
        none = Interval(None, None, 0.95, doubt)
        return replace(found, interval=none, p=None, effect=None, reason=doubt)
    if reference.own or other.own:
        return replace(found, p=None, effect=None, reason=OWN_TRAINING)
    return found


def missed(rows: Sequence[RowScores]) -> list[float | None]:
    """Return the mean rate of missed structures of each row, 0 to 1, over the cases that all of them have.

    What is measured over structures found (a distance, a number of pieces) flatters who finds few: it is read
    beside this. None where no case has a structure to find.
    """
    cases = common_cases(rows)
    found = [[v for case, v in row.per_case("missed_rate").items() if case in cases] for row in rows]
    return [float(np.mean(values)) if values else None for values in found]


def seed_noise(rows: Sequence[RowScores], metric: str) -> float | None:
    """Return the standard deviation of a row's mean score from seed to seed, pooled over rows.

    Returns:
        None where no row has two seeds: the noise is unknown then, not zero.
    """
    squares, freedom = 0.0, 0
    for row in rows:
        means = list(row.per_seed(metric).values())
        if len(means) > 1:
            squares += float(np.var(means, ddof=1)) * (len(means) - 1)
            freedom += len(means) - 1
    return (squares / freedom) ** 0.5 if freedom else None
