"""Level errors, told apart from boundary errors: is each structure called by its own name?

Everything follows from one table of counts: how many voxels of each true structure carry each predicted id.
One level is two places along ``TABLE.column`` (from a body to the next body, from a disc to the next disc).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np

from ..anatomy import shift_levels
from ..labels import TABLE

#: A structure is carried by an id that covers at least this share of it.
CARRIED = 0.5
#: A structure is missing if less than this share of it carries any id of the column.
FOUND = 0.1
#: Largest whole-column shift that is looked for, in levels.
FARTHEST = len(TABLE.of_kind("body")) - 1

_PLACE = {identity: place for place, identity in enumerate(TABLE.column)}
_NUMBERED = TABLE.of_kind("body", "disc")


@dataclass(frozen=True)
class Levels:
    """What became of each true structure of the column.

    Attributes:
        status: id -> one of

            - ``right``: its own id covers at least half of it;
            - ``shift``: not right, and all bodies and discs that an id covers by half are off by the same
              number of levels;
            - ``merge``: the id that covers half of it covers half of another true structure too;
            - ``swap``: the id that covers half of it has changed places with its own;
            - ``wrong``: another id covers half of it, and none of the patterns above explains it;
            - ``split``: no id covers half of it, and two or more cover a tenth each;
            - ``partial``: one id covers between a tenth and half of it;
            - ``missing``: less than a tenth of it carries any id of the column.
        carried_by: id -> the id that covers most of it; None where no id of the column does.
        shift: by how many levels all are off (positive: called too high); 0 if they are not.
        correction: the whole-column shift of the prediction that gives the best mean DSC; 0 if none is
            better than leaving it.
    """

    status: Mapping[int, str]
    carried_by: Mapping[int, int | None]
    shift: int
    correction: int


def confusion(truth: np.ndarray, pred: np.ndarray) -> np.ndarray:
    """Count voxels: (256, 256) integers, true id by predicted id."""
    pairs = truth.ravel().astype(np.intp) * 256 + pred.ravel()
    return np.bincount(pairs, minlength=256 * 256).reshape(256, 256)


def levels(counts: np.ndarray, marked: Collection[int]) -> Levels:
    """Judge the levels of one case.

    Args:
        counts: from :func:`confusion`, after sets were resolved.
        marked: ids that the truth holds, also those of which nothing is left after that (they are missing).
    """
    column = np.array(TABLE.column)
    sizes = counts.sum(axis=1)
    present = [i for i in TABLE.column if i in marked]
    cover = {i: counts[i, column] / max(sizes[i], 1) for i in present}
    by = {i: int(column[c.argmax()]) if c.any() else None for i, c in cover.items()}
    carried = {i: b for i, b in by.items() if b is not None and cover[i].max() >= CARRIED}
    shift = _common_shift(carried)
    status = {i: _status(i, cover[i], carried, shift) for i in present}
    return Levels(status, by, shift, best_correction(counts))


def _common_shift(carried: Mapping[int, int]) -> int:
    """Return the number of levels by which all bodies and discs are off, 0 if there is no such number.

    The sacrum is left out: it is known by its shape, not by counting.
    """
    places = {_PLACE[b] - _PLACE[i] for i, b in carried.items() if i in _NUMBERED}
    only = places.pop() if len(places) == 1 else 0
    return only // 2 if only % 2 == 0 else 0


def _status(identity: int, cover: np.ndarray, carried: Mapping[int, int], shift: int) -> str:
    if cover.sum() < FOUND:
        return "missing"
    if identity not in carried:
        return "split" if (cover >= FOUND).sum() > 1 else "partial"
    by = carried[identity]
    if by == identity:
        return "right"
    if shift and identity in _NUMBERED:
        return "shift"
    if sum(other == by for other in carried.values()) > 1:
        return "merge"
    return "swap" if carried.get(by) == identity else "wrong"


def best_correction(counts: np.ndarray) -> int:
    """Return the whole-column shift of the prediction with the best mean DSC over the true structures.

    The smallest wins among equals, so 0 unless another is better.
    """
    true = [i for i in TABLE.column if counts[i].sum()]
    if not true:
        return 0
    candidates = sorted(range(-FARTHEST, FARTHEST + 1), key=abs)
    return max(candidates, key=lambda k: _mean_dsc(counts, true, _moved(k)))  # the first of equals


def _mean_dsc(counts: np.ndarray, true: list[int], moved: np.ndarray) -> float:
    both, pred = np.zeros(256), np.zeros(256)
    np.add.at(pred, moved, counts.sum(axis=0))
    for i in true:
        both[i] = counts[i, moved == i].sum()
    return float(np.mean([2 * both[i] / (counts[i].sum() + pred[i]) for i in true]))


def move(ids: np.ndarray, by_levels: int) -> np.ndarray:
    """Rename all bodies and discs of a label map by a number of levels (positive: upwards); uint8.

    The rule is that of `relabel`, :func:`cafrnet.anatomy.shift_levels`: what would leave the table becomes
    255, which scores as background.
    """
    return shift_levels(ids, by_levels)[0]


def _moved(by_levels: int) -> np.ndarray:
    """Return the table of :func:`move`: old id -> new id, (256,) uint8."""
    table = np.arange(256, dtype=np.uint8)
    known = np.array([label.id for label in TABLE], np.uint8)
    table[known] = move(known, by_levels)
    return table
