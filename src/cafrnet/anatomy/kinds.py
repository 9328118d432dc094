"""From classes to kinds: what a pixel is (background, sacrum, body, disc ...) apart from which level it is.

A network that is unsure of a level splits a body's probability over two names, and the argmax over classes
then gives one body two names, or none. Summed over its names, "body" wins, and the name is decided for the
whole structure (:mod:`cafrnet.anatomy.sequence`).

Axes: n = slice of a batch, k = class or kind, y, x = model grid.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..labels import TABLE

#: What a pixel can be, in the order of the kinds' axis.
KINDS = ("background", "sacrum", "body", "disc", "canal", "posterior")
BODY, DISC, SACRUM = KINDS.index("body"), KINDS.index("disc"), KINDS.index("sacrum")
#: Names of a kind, from below.
ROW = {kind: tuple(i for i in TABLE.column if TABLE[i].kind == kind) for kind in ("body", "disc")}
#: Smallest probability that is told from 0.
TINY = 1e-6


@dataclass(frozen=True, eq=False)
class Voxels:
    """Voxels of the sacrum, bodies and discs, and what the network thinks of their names.

    Attributes:
        at: [v, 3] int16, (slice, y, x) on the model grid.
        kind: [v] uint8, :data:`SACRUM`, :data:`BODY` or :data:`DISC`.
        names: [v, 9] float16, log-probability of each name given the kind, from below; 0 for the sacrum.
        other: [v] float16, probability of a disc in a body, of a body elsewhere.
    """

    at: np.ndarray
    kind: np.ndarray
    names: np.ndarray
    other: np.ndarray

    @classmethod
    def together(cls, parts: list[Voxels]) -> Voxels:
        """Join the voxels of several batches."""
        return cls(
            *(np.concatenate([getattr(p, f) for p in parts]) for f in ("at", "kind", "names", "other"))
        )


def by_kind(logits: np.ndarray) -> np.ndarray:
    """Sum the probabilities of the names of each kind.

    Args:
        logits: [n, k, y, x] of ids 0 to 19 or 0 to 21.

    Returns:
        [n, 4 or 6, y, x] float32: the kinds' logits, in the order of :data:`KINDS`. A constant per pixel is
        left in, as it is in ``logits``: no argmax and no interpolated argmax changes by it.
    """
    groups = [[label.id for label in TABLE if label.kind == kind] for kind in KINDS]
    groups = [g for g in groups if g[0] < logits.shape[1]]
    out = np.empty((len(logits), len(groups), *logits.shape[2:]), np.float32)
    for k, ids in enumerate(groups):
        part = logits[:, ids[0] : ids[-1] + 1]
        out[:, k] = part[:, 0] if len(ids) == 1 else _log_sum(part)
    return out


def _log_sum(part: np.ndarray) -> np.ndarray:
    """Return log(sum(exp(part))) over axis 1, without overflow."""
    top = part.max(axis=1)
    return top + np.log(np.exp(part - top[:, None]).sum(axis=1))


def voxels_of(logits: np.ndarray, kinds: np.ndarray, first_slice: int) -> Voxels:
    """Take the voxels of the column out of a batch, with the evidence for their names.

    Args:
        logits: [n, k, y, x].
        kinds: [n, 4 or 6, y, x] from :func:`by_kind`.
        first_slice: number of the batch's first slice.
    """
    what = kinds.argmax(axis=1).astype(np.uint8)
    n, y, x = np.nonzero((what == BODY) | (what == DISC) | (what == SACRUM))
    kind = what[n, y, x]
    all_kinds = kinds[n, :, y, x]
    total = _log_sum(all_kinds)
    other = np.exp(np.where(kind == BODY, all_kinds[:, DISC], all_kinds[:, BODY]) - total)
    names = np.zeros((len(n), len(ROW["body"])), np.float32)
    for value, ids in ((BODY, ROW["body"]), (DISC, ROW["disc"])):
        own = np.flatnonzero(kind == value)
        part = logits[n[own], min(ids) : max(ids) + 1, y[own], x[own]]
        names[own] = part - all_kinds[own, value, None]
    at = np.stack([n + first_slice, y, x], axis=1).astype(np.int16)
    return Voxels(at, kind, np.maximum(names, np.log(TINY)).astype(np.float16), other.astype(np.float16))
