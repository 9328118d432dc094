"""Names as a sequence: a small probabilistic model over the whole column.

Places count along the column: 0 is the disc L5/S, 1 the body L5, 2 the disc L4/L5, ... 17 the body T9. Discs
have even places, bodies odd ones. The sacrum has place -1; so has a sacral body that was taken for a lumbar
one, and -2 the disc below it. Places above 17 have no name in the table.

A hidden Markov model walks up the structures that were found. Each stands at a place, the places rise, and
every structure says how well a place suits it (:func:`emissions`). From one to the next the place rises by
one, or by more where something was missed, at a price and as the distance allows (:func:`steps`). A structure
may be no part of the column, at a price. Forward and backward sums give the probability of each place of each
structure; the best single path gives the names.

Axes: n = structure from below, p = place, first :data:`LOWEST`.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, fields
from itertools import pairwise
from typing import Any

import numpy as np
from scipy.special import logsumexp, softmax

from ..errors import UsageError, nearest
from ..labels import TABLE
from .instances import Instance
from .kinds import ROW

#: The lowest place, and the highest that has a name.
LOWEST, HIGHEST = -2, len(TABLE.column) - 2
#: How many structures in a row may be no part of the column.
SKIPPED_AT_ONCE = 3
#: Distance of two bodies where too few were found to measure it.
USUAL_PITCH_MM, PITCH_RANGE_MM = 36.0, (18.0, 55.0)
#: Shifts that are looked at, in levels, either way.
FARTHEST = len(ROW["body"]) - 1
#: A structure of this volume gives half the evidence of a large one.
HALF_EVIDENCE_MM3 = 500.0
#: No distance is more unlikely than this, in nats: collapsed bodies and scoliosis exist.
FARTHEST_OFF = 12.0


@dataclass(frozen=True)
class Prices:
    """Numbers of the model, all in nats unless said otherwise; fitted on validation cases.

    Attributes:
        evidence: how many independent looks one large structure is worth: neighbouring voxels, and
            neighbouring structures too, err together, so it is small. It is the temperature of the posterior.
        floor: probability that the network's names say nothing, spread evenly.
        spacing_sd: spread of the distance from one place to the next, in pitches.
        missed: of each structure that was not found between two others.
        twice: of finding one structure as two.
        spurious: of a large structure that is no part of the column.
        outside: of each structure beyond the table's ends.
        sacrum: of a sacrum that is none.
    """

    evidence: float = 0.6
    floor: float = 0.02
    spacing_sd: float = 0.12
    missed: float = 3.0
    twice: float = 4.0
    spurious: float = 8.0
    outside: float = 1.5
    sacrum: float = 5.0

    def __post_init__(self) -> None:
        for f in fields(self):
            value = getattr(self, f.name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e3:
                raise UsageError(f"{f.name} {value!r} came, a number from 0 to 1000 was expected")
        if not 0 < self.floor < 1 or not self.spacing_sd > 0:
            raise UsageError("floor must lie between 0 and 1, spacing_sd must be positive")

    @classmethod
    def from_dict(cls, raw: dict[str, Any], source: str = "naming") -> Prices:
        """Build from plain values.

        Raises:
            UsageError: a key that does not exist (the nearest is named) or a value out of range.
        """
        known = [f.name for f in fields(cls)]
        for key in raw:
            if key not in known:
                raise UsageError(f"{source}: unknown key {key!r}{nearest(key, known)}")
        return cls(**raw)

    def to_dict(self) -> dict[str, float]:
        """Return plain values, ready for JSON."""
        return asdict(self)


@dataclass(frozen=True, eq=False)
class Posterior:
    """What the model says about one column.

    Attributes:
        places: [n] the best path; None where a structure is no part of the column.
        marginals: [n, p] probability of each place of each structure; a row sums to less than 1 where the
            structure may be no part of the column.
        shifts: whole-column shift in levels -> probability, with the steps of the best path held fixed.
        emissions: [n, p] log-likelihoods, for flags.
    """

    places: tuple[int | None, ...]
    marginals: np.ndarray
    shifts: dict[int, float]
    emissions: np.ndarray

    def confidence(self, n: int) -> float:
        """Return the probability of what the best path says about a structure."""
        place = self.places[n]
        if place is None:
            return float(np.clip(1 - self.marginals[n].sum(), 0, 1))
        return float(self.marginals[n, place - LOWEST])


def infer(instances: Sequence[Instance], prices: Prices, not_trained: Collection[int] = ()) -> Posterior:
    """Return names and probabilities of a column.

    Args:
        instances: ordered from below; at least one.
        prices: of the model.
        not_trained: ids that the network can't say.
    """
    fits = emissions(instances, prices, not_trained)
    skip = np.array(
        [prices.sacrum if i.kind == "sacrum" else prices.spurious * _weight(i) for i in instances]
    )
    pitch_mm = pitch_of(instances)
    moves = {
        (a, b): steps(instances[a], instances[b], pitch_mm, fits.shape[1], prices) - skip[a + 1 : b].sum()
        for b in range(len(instances))
        for a in range(max(0, b - SKIPPED_AT_ONCE - 1), b)
    }
    before = np.concatenate([[0.0], np.cumsum(skip)])
    places = _best(fits, moves, before)
    return Posterior(places, _marginals(fits, moves, before), shifts(fits, places, skip), fits)


def emissions(instances: Sequence[Instance], prices: Prices, not_trained: Collection[int] = ()) -> np.ndarray:
    """Return how well each place suits each structure: log-likelihoods [n, p]; minus infinity: never.

    A name that the network can't say suits as well as the better of its neighbours, less the price of a name
    beyond the table.
    """
    above = 2 * max(3, sum(i.kind == "body" for i in instances))
    out = np.full((len(instances), HIGHEST - LOWEST + 1 + above), -np.inf)
    for row, one in zip(out, instances, strict=True):
        if one.kind == "sacrum":
            row[-1 - LOWEST] = 0.0
            continue
        share = softmax(one.evidence.astype(np.float64))
        fit = prices.evidence * _weight(one) * np.log((1 - prices.floor) * share + prices.floor / len(share))
        fit = _unsaid(fit, [i in not_trained for i in ROW[one.kind]], prices.outside)
        first = 0 if one.kind == "disc" else 1
        row[first % 2 :: 2] = fit[-2:].max() - prices.outside  # like the two uppermost names, or ...
        row[: first - LOWEST] = -np.inf
        row[first - 2 - LOWEST] = fit[:2].max() - prices.outside  # ... the two lowest ones
        row[first - LOWEST : first - LOWEST + 2 * len(fit) : 2] = fit
    return out


def _unsaid(fit: np.ndarray, missing: Sequence[bool], price: float) -> np.ndarray:
    """Fill in the names that were not trained."""
    if not any(missing) or all(missing):
        return fit
    said = np.where(missing, -np.inf, fit)
    beside = np.maximum(np.append(said[1:], -np.inf), np.append(-np.inf, said[:-1])) - price
    return np.where(missing, np.where(np.isfinite(beside), beside, said[np.isfinite(said)].min()), fit)


def _weight(one: Instance) -> float:
    return one.volume_mm3 / (one.volume_mm3 + HALF_EVIDENCE_MM3)


def steps(low: Instance, high: Instance, pitch_mm: float, count: int, prices: Prices) -> np.ndarray:
    """Return the log-likelihood of going from each place to each place: [p, p].

    A disc lies half a pitch from the middle of its bodies, the sacrum's upper end a fifth below its disc. Two
    structures at one place are one that was found twice.
    """
    rise = np.arange(count)
    expected = (rise - 0.7) / 2 if low.kind == "sacrum" else rise / 2
    begins = low.high_mm if low.kind == "sacrum" else low.at_mm
    distance = (high.at_mm - begins) / pitch_mm
    off = ((distance - expected) / (prices.spacing_sd * np.sqrt(np.maximum(rise, 1)))) ** 2 / 2
    price = -np.minimum(off, FARTHEST_OFF) - prices.missed * np.maximum(rise - 1, 0)
    price[0] = -off[0] - prices.twice if low.kind == high.kind != "sacrum" else -np.inf
    table = np.full((count, count), -np.inf)
    for k, value in enumerate(price):
        table[rise[: count - k], rise[k:]] = value
    return table


def pitch_of(instances: Sequence[Instance]) -> float:
    """Return the distance of two neighbouring bodies in mm: the median over neighbours of this column."""
    column = [i for i in instances if i.kind != "sacrum"]
    seen = [(b.at_mm - a.at_mm) * (1 if a.kind == b.kind else 2) for a, b in pairwise(column)]
    believed = [d for d in seen if PITCH_RANGE_MM[0] <= d <= PITCH_RANGE_MM[1]]
    return float(np.median([*believed, *([USUAL_PITCH_MM] if len(believed) < 3 else [])]))


def shifts(fits: np.ndarray, places: Sequence[int | None], skip: np.ndarray) -> dict[int, float]:
    """Return the probability of each whole-column shift, the steps between structures held fixed.

    A sacrum does not move: where the others do, it is none, at its price.

    Args:
        fits: [n, p] from :func:`emissions`.
        places: of the best path.
        skip: [n] prices of being no part of the column.
    """
    kept = [(n, place) for n, place in enumerate(places) if place is not None]
    if not kept:
        return {}
    sums = {}
    for k in range(-FARTHEST, FARTHEST + 1):
        total = 0.0
        for n, place in kept:
            to = place + 2 * k - LOWEST
            fit = fits[n, to] if 0 <= to < fits.shape[1] else -np.inf
            still = place == -1 and np.isfinite(fits[n]).sum() == 1  # the sacrum
            total += -skip[n] if still and k else fit
        sums[k] = total
    shares = softmax(np.array(list(sums.values())))
    return {k: float(p) for k, p in zip(sums, shares, strict=True)}


def _best(
    fits: np.ndarray, moves: dict[tuple[int, int], np.ndarray], before: np.ndarray
) -> tuple[int | None, ...]:
    """Return the most probable path (Viterbi)."""
    n, count = fits.shape
    score = np.empty_like(fits)
    came: list[np.ndarray] = []
    for b in range(n):
        best, source = np.full(count, -before[b]), np.full((count, 2), -1)
        for a in range(max(0, b - SKIPPED_AT_ONCE - 1), b):
            reach = score[a][:, None] + moves[a, b]
            top = reach.max(axis=0)
            better = top > best
            best[better] = top[better]
            source[better] = np.stack([np.full(count, a), reach.argmax(axis=0)], axis=1)[better]
        score[b] = fits[b] + best
        came.append(source)
    ends = score.max(axis=1) - (before[-1] - before[1:])
    places: list[int | None] = [None] * n
    b = int(ends.argmax())
    p = int(score[b].argmax())
    while b >= 0:
        places[b] = p + LOWEST
        b, p = map(int, came[b][p])
    return tuple(places)


def _marginals(fits: np.ndarray, moves: dict[tuple[int, int], np.ndarray], before: np.ndarray) -> np.ndarray:
    """Return the probability of each place of each structure (forward and backward sums)."""
    n, count = fits.shape
    after = before[-1] - before[1:]
    ahead, back = np.empty_like(fits), np.empty_like(fits)
    with np.errstate(divide="ignore", invalid="ignore"):
        for b in range(n):
            ways = [np.full(count, -before[b])]
            ways += [
                logsumexp(ahead[a][:, None] + moves[a, b], axis=0)
                for a in range(max(0, b - SKIPPED_AT_ONCE - 1), b)
            ]
            ahead[b] = fits[b] + logsumexp(ways, axis=0)
        for a in reversed(range(n)):
            ways = [np.full(count, -after[a])]
            ways += [
                logsumexp(moves[a, b] + (fits[b] + back[b])[None], axis=1)
                for b in range(a + 1, min(n, a + SKIPPED_AT_ONCE + 2))
            ]
            back[a] = logsumexp(ways, axis=0)
    total = logsumexp(ahead - after[:, None])
    return np.exp(ahead + back - total)
