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
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np
from scipy.special import softmax

from .emissions import LOWEST, emissions, weight
from .instances import Instance
from .kinds import ROW
from .prices import NamingModel, Prices

#: How many structures in a row may be no part of the column.
SKIPPED_AT_ONCE = 3
#: Distance of two bodies where too few were found to measure it.
USUAL_PITCH_MM, PITCH_RANGE_MM = 36.0, (18.0, 55.0)
#: Shifts that are looked at, in levels, either way.
FARTHEST = len(ROW["body"]) - 1
#: A column whose lowest structure lies nearer to the picture's end than so many pitches may be cut there.
CUT_PITCHES = 0.75
#: How far the middle of L5/S lies above the upper end of the sacrum, in pitches: they overlap, as the disc is
#: steep. In 27 pictures of 7 patients -0.19 to 0.15 (mean 0.0, SD 0.09), in 14 phantoms -0.01 to 0.15.
DISC_ABOVE_SACRUM = 0.05
#: A sacrum of this volume counts half.
HALF_SACRUM_MM3 = 1500.0
#: What a body has where none is whole.
USUAL_BODY_MM3 = 15_000.0
#: No distance is more unlikely than this, in nats: collapsed bodies and scoliosis exist.
FARTHEST_OFF = 12.0
#: How many levels the network may call all structures too high, and each further one is so much rarer.
CALLED, RARER = range(-3, 4), 0.4
#: How many levels a patient's shapes may look too high.
LOOKED = range(-1, 2)
#: Both together, and the place of none.
OFFSETS = [(called, looked) for called in CALLED for looked in LOOKED]
NONE = OFFSETS.index((0, 0))


@dataclass(frozen=True, eq=False)
class Posterior:
    """What the model says about one column.

    Attributes:
        places: [n] the best path; None where a structure is no part of the column.
        shifts: whole-column shift in levels -> probability, with the steps of the best path held fixed.
        marginals: [n, p] probability of each place of each structure; a row sums to less than 1 where the
            structure may be no part of the column.
        emissions: [n, p] log-likelihoods, for flags.
    """

    places: tuple[int | None, ...]
    shifts: dict[int, float]
    marginals: np.ndarray
    emissions: np.ndarray

    def confidence(self, n: int) -> float:
        """Return the probability of what the best path says about a structure.

        Of a place: given that it is part of the column at all. That a structure may be none makes its name no
        more wrong.
        """
        place, part = self.places[n], float(self.marginals[n].sum())
        if place is None:
            return float(np.clip(1 - part, 0, 1))
        return float(self.marginals[n, place - LOWEST] / max(part, 1e-12))


def infer(
    instances: Sequence[Instance],
    model: NamingModel | None = None,
    not_trained: Collection[int] = (),
    below_mm: float = 0.0,
) -> Posterior:
    """Return names and probabilities of a column.

    Args:
        instances: ordered from below; at least one.
        model: what was fitted.
        not_trained: ids that the network can't say.
        below_mm: how far the picture goes on below the lowest structure.
    """
    model = model or NamingModel()
    prices = model.prices
    fits = emissions(instances, model, not_trained, OFFSETS)
    body_mm3 = body_volume_of(instances)
    skip = np.array([_price_of_none(i, prices, body_mm3) for i in instances])
    pitch_mm = pitch_of(instances)
    start = _start(below_mm / pitch_mm, fits.shape[2], prices)
    prior = offset_prior(prices, cut=below_mm < CUT_PITCHES * pitch_mm)
    odd = [int(i.kind != "disc") for i in instances]  # each kind has every second place only
    own = np.stack([fits[:, n, k::2] for n, k in enumerate(odd)], axis=1)
    moves = {
        (a, b): steps(instances[a], instances[b], pitch_mm, fits.shape[2], prices)[odd[a] :: 2, odd[b] :: 2]
        - skip[a + 1 : b].sum()
        for b in range(len(instances))
        for a in range(max(0, b - SKIPPED_AT_ONCE - 1), b)
    }
    before = np.concatenate([[0.0], np.cumsum(skip)])
    begin = np.array([start[k::2] - before[n] for n, k in enumerate(odd)])
    after = before[-1] - before[1:]
    shares, weights = _marginals(own, moves, begin, after, prior)
    marginals = np.zeros(fits.shape[1:])
    for row, share, k in zip(marginals, shares, odd, strict=True):
        row[k::2] = share
    best = _best(own[weights.argmax()], moves, begin, after)
    places = tuple(None if p is None else 2 * p + k + LOWEST for p, k in zip(best, odd, strict=True))
    return Posterior(*_likeliest(fits, places, skip, prior, start), marginals, fits[NONE])


def _price_of_none(one: Instance, prices: Prices, body_mm3: float) -> float:
    """Return the price of a structure being no part of the column.

    A sliver of a sacrum is cheap, and so is a piece at the picture's end that is smaller than a body: a part
    of L5 may look like it.
    """
    if one.kind != "sacrum":
        return prices.spurious * weight(one)
    share = one.volume_mm3 / (one.volume_mm3 + HALF_SACRUM_MM3)
    return prices.sacrum * share * (min(1.0, one.volume_mm3 / body_mm3) ** 2 if one.cut else 1.0)


def body_volume_of(instances: Sequence[Instance]) -> float:
    """Return the volume of a body in mm3: the median over those that the picture does not cut."""
    whole = [i.volume_mm3 for i in instances if i.kind == "body" and not i.cut]
    return float(np.median(whole)) if whole else USUAL_BODY_MM3


def _start(below: float, count: int, prices: Prices) -> np.ndarray:
    """Return the log-likelihood of a column that begins at each place: [p].

    Where the picture goes on below the lowest structure, whatever should be there was missed.

    Args:
        below: how far it goes on, in pitches, of which each holds a disc and a body.
        count: of places.
        prices: of what was missed, up to that of a sacrum: below a column that ends in sight lies the sacrum.
    """
    visible = int(2 * max(min(below, 10.0), 0.0))
    missed = np.clip(np.arange(count) + LOWEST, 0, visible)
    return -np.minimum(prices.missed * missed, prices.sacrum)


def _likeliest(
    fits: np.ndarray,
    places: tuple[int | None, ...],
    skip: np.ndarray,
    prior: np.ndarray,
    start: np.ndarray,
) -> tuple[tuple[int | None, ...], dict[int, float]]:
    """Move the best path to the most probable whole-column shift; return it with the shifts from there.

    The best path is that under the likeliest offset of the network; summed over all offsets another shift may
    win.
    """
    found = shifts(fits, places, skip, prior, start)
    by = max(found, key=lambda k: (found[k], -abs(k)), default=0)
    if not by:
        return places, found
    places = tuple(_moved(place, 2 * by) for place in places)
    return places, shifts(fits, places, skip, prior, start)


def offset_prior(prices: Prices, cut: bool = True) -> np.ndarray:
    """Return the log-probability of each of :data:`OFFSETS`.

    Args:
        prices: of both offsets.
        cut: whether the picture ends at the lowest structure.
    """
    offset = prices.offset if cut else prices.offset_whole
    called, looked = np.abs(np.array(OFFSETS)).T
    rare = sum(RARER ** (abs(k) - 1.0) for k in CALLED if k)
    called = np.where(called, offset / rare * RARER ** (called - 1.0), 1 - offset)
    return np.log(called * np.where(looked, prices.shape_offset / 2, 1 - prices.shape_offset))


def _moved(place: int | None, by: int) -> int | None:
    """Return a place moved up or down; the sacrum stays, and so does what would go below it."""
    return place if place is None or place + by < LOWEST or place == -1 else place + by


def steps(low: Instance, high: Instance, pitch_mm: float, count: int, prices: Prices) -> np.ndarray:
    """Return the log-likelihood of going from each place to each place: [p, p].

    A disc lies half a pitch from the middle of its bodies. Two structures at one place are one that was found
    twice.
    """
    if low.kind == "sacrum":
        return _from_sacrum(low, high, pitch_mm, count, prices)
    rise = np.arange(count)
    distance = (high.at_mm - low.at_mm) / pitch_mm
    price = _rising(distance, rise / 2, rise, prices)
    price[0] = -((distance / prices.spacing_sd) ** 2) / 2 - prices.twice if low.kind == high.kind else -np.inf
    return np.append(price, -np.inf)[_rises(count)]


def _from_sacrum(low: Instance, high: Instance, pitch_mm: float, count: int, prices: Prices) -> np.ndarray:
    """Return the same from the sacrum, whose upper end is what counts.

    The middle of its disc lies at :data:`DISC_ABOVE_SACRUM`. What reaches no higher than it does may be a
    piece of it that was taken for a body or a disc: then it is called sacrum, too.
    """
    distance = (high.at_mm - low.high_mm) / pitch_mm
    rise = np.arange(count) + LOWEST + 1
    price = _rising(distance - DISC_ABOVE_SACRUM, (rise - 1) / 2, rise, prices)
    price[rise <= 0] = -((max(distance, 0.0) / prices.spacing_sd) ** 2) / 2
    price[rise < 0] += prices.below  # the disc of a sacral body: one mistake, not two
    out = np.full((count, count), -np.inf)
    out[-1 - LOWEST] = price
    return out


def _rising(distance: float, expected: np.ndarray, rise: np.ndarray, prices: Prices) -> np.ndarray:
    """Return the log-likelihood of each rise: of its distance, in pitches, and of what was missed."""
    spread = prices.spacing_sd * np.sqrt(np.maximum(rise, 1))
    off = ((distance - expected) / spread) ** 2 / 2
    return -np.minimum(off, FARTHEST_OFF) - prices.missed * np.maximum(rise - 1, 0)


@lru_cache(maxsize=8)
def _rises(count: int) -> np.ndarray:
    """Return by how much the place rises from each place to each place, [p, p]; ``count`` where it falls."""
    rise = np.arange(count)[None] - np.arange(count)[:, None]
    return np.where(rise < 0, count, rise)


def _log_sum(values: np.ndarray, axis: int) -> np.ndarray:
    """Return log(sum(exp(values))); minus infinity where all are. Faster than SciPy's on small arrays."""
    top = values.max(axis=axis, keepdims=True)
    top = np.where(np.isfinite(top), top, 0.0)
    with np.errstate(divide="ignore"):
        return np.squeeze(top, axis) + np.log(np.exp(values - top).sum(axis=axis))


def pitch_of(instances: Sequence[Instance]) -> float:
    """Return the distance of two neighbouring bodies in mm: the median over neighbours of this column."""
    column = [i for i in instances if i.kind != "sacrum"]
    seen = [(b.at_mm - a.at_mm) * (1 if a.kind == b.kind else 2) for a, b in pairwise(column)]
    believed = [d for d in seen if PITCH_RANGE_MM[0] <= d <= PITCH_RANGE_MM[1]]
    return float(np.median([*believed, *([USUAL_PITCH_MM] if len(believed) < 3 else [])]))


def shifts(
    fits: np.ndarray,
    places: Sequence[int | None],
    skip: np.ndarray,
    prior: np.ndarray,
    start: np.ndarray,
) -> dict[int, float]:
    """Return the probability of each whole-column shift, the steps between structures held fixed.

    A sacrum does not move: where the others do, it is none, at its price.

    Args:
        fits: [offset, n, p] from :func:`cafrnet.anatomy.emissions.emissions`.
        places: of the best path.
        skip: [n] prices of being no part of the column.
        prior: [offset] log-probabilities.
        start: [p] log-likelihood of beginning at a place.
    """
    kept = [(n, place) for n, place in enumerate(places) if place is not None]
    if not kept:
        return {}
    sums = {}
    for k in range(-FARTHEST, FARTHEST + 1):
        total = prior.copy()
        for n, place in kept:
            to = place + 2 * k - LOWEST
            sacrum = place == -1 and np.isfinite(fits[0, n]).sum() == 1
            if sacrum and k:
                total = total - skip[n]
            else:
                total = total + (fits[:, n, to] if 0 <= to < fits.shape[2] else -np.inf)
        first = kept[0][1] + 2 * k - LOWEST
        total = total + (start[first] if 0 <= first < len(start) else 0.0)
        sums[k] = float(_log_sum(total, axis=0))
    shares = softmax(np.array(list(sums.values())))
    return {k: float(p) for k, p in zip(sums, shares, strict=True)}


def _best(
    fits: np.ndarray, moves: dict[tuple[int, int], np.ndarray], begin: np.ndarray, after: np.ndarray
) -> tuple[int | None, ...]:
    """Return the most probable path (Viterbi)."""
    n, count = fits.shape
    score = np.empty_like(fits)
    came: list[np.ndarray] = []
    for b in range(n):
        best, source = begin[b].copy(), np.full((count, 2), -1)
        for a in range(max(0, b - SKIPPED_AT_ONCE - 1), b):
            reach = score[a][:, None] + moves[a, b]
            top = reach.max(axis=0)
            better = top > best
            best[better] = top[better]
            source[better] = np.stack([np.full(count, a), reach.argmax(axis=0)], axis=1)[better]
        score[b] = fits[b] + best
        came.append(source)
    ends = score.max(axis=1) - after
    places: list[int | None] = [None] * n
    b = int(ends.argmax())
    p = int(score[b].argmax())
    while b >= 0:
        places[b] = p
        b, p = map(int, came[b][p])
    return tuple(places)


def _marginals(
    fits: np.ndarray,
    moves: dict[tuple[int, int], np.ndarray],
    begin: np.ndarray,
    after: np.ndarray,
    prior: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the probability of each place of each structure, [n, p], and of each offset.

    Forward and backward sums; every structure has its own kind's places only.
    """
    count, n, _ = fits.shape
    ahead, back = np.empty_like(fits), np.empty_like(fits)
    with np.errstate(divide="ignore", invalid="ignore"):
        for b in range(n):
            ways = [np.repeat(begin[b][None], count, axis=0)]
            for a in range(max(0, b - SKIPPED_AT_ONCE - 1), b):
                ways.append(_log_sum(ahead[:, a, :, None] + moves[a, b], axis=1))
            ahead[:, b] = fits[:, b] + _log_sum(np.array(ways), axis=0)
        for a in reversed(range(n)):
            ways = [np.full_like(fits[:, 0], -after[a])]
            for b in range(a + 1, min(n, a + SKIPPED_AT_ONCE + 2)):
                ways.append(_log_sum(moves[a, b] + (fits[:, b] + back[:, b])[:, None], axis=2))
            back[:, a] = _log_sum(np.array(ways), axis=0)
        totals = _log_sum((ahead - after[:, None]).reshape(count, -1), axis=1)
        shares = np.exp(ahead + back - totals[:, None, None])
    weights = softmax(totals + prior)
    return np.tensordot(weights, shares, axes=1), weights
