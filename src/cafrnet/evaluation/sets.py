"""Holding a prediction against a truth whose values stand for sets of ids.

A truth voxel of value v stands for the ids of ``sets.values[v]``; the first is its principal id.

- predicted the principal id: both agree on that class;
- predicted another id of the set: the truth doesn't say that this is wrong, nor how far the structure goes.
  The voxel is **ignored**: it leaves the truth's and the prediction's masks for every metric;
- predicted an id outside the set: wrong, and the truth counts as its principal id;
- the value stands for unknown (255): always ignored.

Why not simply let the truth become whatever was predicted within its set? Because then a class that nobody
marked (S in spider-space, where 0 stands for background or S) would score a free Dice of 1 wherever it is
predicted. For the same reason a class is scored only if the dataset marks it everywhere, see
:func:`annotated`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..labels import TABLE, UNKNOWN, ValueSets

#: Ids that the headline is about: the sacrum, bodies and discs.
HEADLINE = TABLE.of_kind("sacrum", "body", "disc")
#: Ids that are reported apart from it.
APART = TABLE.of_kind("canal", "posterior")


def annotated(sets: ValueSets) -> tuple[int, ...]:
    """Return the ids that can be scored against a truth with these values, in the order of the ids.

    An id is annotated if it is the principal of some value and hides in no other: where a value stands for
    several ids, those behind its principal were not marked apart, so nothing says where they end.
    """
    principal = {ids[0] for ids in sets.values.values()}
    hidden = {i for ids in sets.values.values() for i in ids[1:]}
    return tuple(i for i in HEADLINE + APART if i in principal - hidden)


@dataclass(frozen=True, eq=False)
class Resolved:
    """A truth and a prediction that can be compared voxel by voxel.

    Attributes:
        truth: uint8 ids; 0 where ignored.
        pred: uint8 ids, same shape; 0 where ignored or unknown.
        ignored: boolean, same shape.
        principal: uint8, the truth's principal ids before anything was ignored; 255 where unknown.
        marked: ids that the truth held before anything was ignored: none of them is ever "absent".
    """

    truth: np.ndarray
    pred: np.ndarray
    ignored: np.ndarray
    principal: np.ndarray
    marked: frozenset[int]


def resolve(truth: np.ndarray, pred: np.ndarray, sets: ValueSets) -> Resolved:
    """Resolve the sets of a truth against a prediction, as the module's text says.

    Args:
        truth: integers, the dataset's own values.
        pred: ids of the label table (255 counts as background), same shape.
        sets: what the truth's values stand for.

    Raises:
        InputError: a truth value that ``sets`` doesn't know.
    """
    principal = sets.principal(truth, "the truth")
    pred = np.where(pred == UNKNOWN, 0, pred).astype(np.uint8)
    passes = np.zeros((max(sets.values) + 1, UNKNOWN + 1), bool)
    for value, ids in sets.values.items():
        passes[value, list(ids[1:])] = True
        passes[value] |= ids[0] == UNKNOWN
    open_values = np.flatnonzero(passes.any(axis=1))
    maybe = np.isin(truth, open_values)
    ignored = np.zeros(truth.shape, bool)
    ignored[maybe] = passes[truth[maybe], pred[maybe]]
    marked = frozenset(np.flatnonzero(np.bincount(principal.ravel(), minlength=1)).tolist()) - {0, UNKNOWN}
    pred[ignored] = 0
    return Resolved(np.where(ignored, np.uint8(0), principal), pred, ignored, principal, marked)
