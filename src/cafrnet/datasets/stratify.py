"""Dealing patients into parts so that rare classes are spread, by iterative stratification.

Sechidis, Tsoumakas, Vlahavas, "On the Stratification of Multi-Label Data", ECML PKDD 2011: the label with
the fewest patients left is dealt first, each patient to the part that is shortest of that label.

Differs from the paper: quotas are whole numbers, and a label that has enough patients gets at least one in
every part (with fewer, the parts are served in a given order); a part that is full takes no more; the pass is
made several times, since chance decides ties, the best deal is taken, and where a label is still missing in a
part, exchanges of two patients bring it there.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

#: Passes made at most, while some label is missing in a part.
MOST_PASSES = 20


def quotas(total: int, fractions: np.ndarray, order: Sequence[int]) -> np.ndarray:
    """Split ``total`` things into whole numbers near ``fractions``, with at least 1 each where possible.

    Args:
        total: how many things there are.
        fractions: shares of the parts, summing to 1.
        order: the parts by precedence: who gets the first ones, and the odd one of two equal shares.

    Returns:
        One whole number per part, summing to ``total``.
    """
    share = np.zeros(len(fractions), int)
    for part in list(order)[:total]:
        share[part] = 1
    for _ in range(total - int(share.sum())):
        share[max(order, key=lambda p: fractions[p] * total - share[p])] += 1
    return share


@dataclass
class _Deal:
    """Who has to be dealt, and what each part should get."""

    marks: np.ndarray  # patients x labels: number of the patient's cases that have the label
    wanted: np.ndarray  # parts x labels
    sizes: np.ndarray  # cases per patient
    wanted_sizes: np.ndarray  # per part

    def cost(self, part: np.ndarray) -> tuple[int, int, float, float]:
        """Return what is wrong with a deal, the worst first.

        Parts without a label that enough patients have for all; parts without a label that they should have;
        uneven sizes; uneven labels.
        """
        held = np.stack([self.marks[part == p].sum(axis=0) for p in range(len(self.wanted))])
        size = np.bincount(part, self.sizes, len(self.wanted))
        missing = (held == 0) & (self.wanted > 0)
        for_all = (self.wanted > 0).all(axis=0)
        spread = np.square(held - self.wanted) / np.maximum(self.wanted, 1)
        return (
            int(missing[:, for_all].sum()),
            int(missing.sum()),
            float(np.abs(size - self.wanted_sizes).sum()),
            float(spread.sum()),
        )


def stratify(
    marks: np.ndarray,
    sizes: np.ndarray,
    fractions: Sequence[float],
    rng: np.random.Generator,
    *,
    order: Sequence[int] | None = None,
) -> np.ndarray:
    """Deal patients into parts.

    Args:
        marks: patients x labels, the number of the patient's cases that have the label.
        sizes: patients, the number of cases of each.
        fractions: share of each part, summing to 1.
        rng: decides between what is equally good; the same generator state gives the same deal.
        order: the parts in the order in which they get a label that too few patients have.

    Returns:
        The part of each patient.
    """
    share = np.asarray(fractions, float)
    order = range(len(share)) if order is None else order
    patients_with = (marks > 0).sum(axis=0)
    # A quota counts patients where labels are rare; patients and cases differ only in multi-series datasets.
    wanted = np.stack([quotas(int(n), share, order) for n in patients_with], axis=1).astype(float)
    wanted *= marks.sum(axis=0) / np.maximum(patients_with, 1)
    deal = _Deal(marks, wanted, sizes, quotas(int(sizes.sum()), share, order))
    best = _repair(deal, _greedy(deal, rng))
    for _ in range(MOST_PASSES - 1):
        if deal.cost(best)[1] == 0:
            break
        best = min(best, _repair(deal, _greedy(deal, rng)), key=deal.cost)
    return best


def _greedy(deal: _Deal, rng: np.random.Generator) -> np.ndarray:
    """Deal the rarest label first, each patient to the part that lacks it most; return the parts."""
    part = np.full(len(deal.marks), -1)
    need, room = deal.wanted.copy(), deal.wanted_sizes.astype(float)
    turn = rng.permutation(len(part))
    while (left := turn[part[turn] < 0]).size:
        counts = (deal.marks[left] > 0).sum(axis=0)
        present = np.flatnonzero(counts)
        label = present[np.argmin(counts[present])] if present.size else None
        chosen = left if label is None else left[deal.marks[left, label] > 0]
        for patient in chosen:
            open_parts = room >= deal.sizes[patient]
            allowed = open_parts if open_parts.any() else room == room.max()
            lack = need[:, label] if label is not None else room
            keys = np.stack([rng.random(len(room)), room, lack, allowed])
            best = int(np.lexsort(keys)[-1])
            part[patient] = best
            need[best] -= deal.marks[patient]
            room[best] -= deal.sizes[patient]
    return part


def _repair(deal: _Deal, part: np.ndarray) -> np.ndarray:
    """Exchange two patients of different parts while that brings a missing label into its part."""
    cost = deal.cost(part)
    while cost[1]:
        exchanged = [(deal.cost(other), n, other) for n, other in enumerate(_exchanges(deal, part))]
        best = min(exchanged, default=(cost, 0, part))
        if best[0] >= cost:
            break
        cost, _, part = best
    return part


def _exchanges(deal: _Deal, part: np.ndarray) -> Iterator[np.ndarray]:
    """Yield the deals in which someone with a missing label has changed places with someone of that part."""
    for p, wanted in enumerate(deal.wanted):
        missing = (deal.marks[part == p].sum(axis=0) == 0) & (wanted > 0)
        for a in np.flatnonzero(deal.marks[:, missing].any(axis=1)):
            for b in np.flatnonzero(part == p):
                other = part.copy()
                other[a], other[b] = part[b], part[a]
                yield other
