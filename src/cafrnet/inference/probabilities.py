"""From logits to probabilities, as they come and calibrated.

A calibrated probability is a product, ``p(class) = p(kind) * p(name | kind)``, and each factor has a
temperature of its own: how sure a network is that a voxel is a disc says little about which disc.

Axes: n = slice, k = class, y, x = model grid, v = voxel, q = kind. Voxels come last, so that sums over
classes run along memory.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from ..labels import TABLE

#: Smallest probability whose logarithm is taken.
TINY = 1e-20
#: The kinds, in the order of their axis.
KINDS = ("background", "sacrum", "body", "disc", "canal", "posterior")


def softmax(logits: np.ndarray, temperature: float = 1.0, axis: int = 1) -> np.ndarray:
    """Return the probabilities of logits over an axis, float32, each logit divided by the temperature.

    A temperature above 1 makes them less sure, below 1 surer; the most probable class stays.
    """
    p = logits - logits.max(axis=axis, keepdims=True)
    if temperature != 1.0:
        p /= np.float32(temperature)
    np.exp(p, out=p)
    p /= p.sum(axis=axis, keepdims=True)
    return p


def log_probabilities(p: np.ndarray) -> np.ndarray:
    """Return the natural logarithm, of at least :data:`TINY`; as good as logits for everything downstream."""
    return np.log(np.maximum(p, TINY), dtype=np.float32)


@cache
def groups(num_classes: int) -> tuple[slice, ...]:
    """Return which ids each kind has among a model's outputs, in the order of :data:`KINDS`."""
    found = [[i for i in TABLE.of_kind(kind) if i < num_classes] for kind in KINDS]
    return tuple(slice(ids[0], ids[-1] + 1) for ids in found if ids)


def calibrated(
    logits: np.ndarray, temperature: float, kind_temperature: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return calibrated probabilities.

    Args:
        logits: [k, v].
        temperature: of names within their kind.
        kind_temperature: of kinds.

    Returns:
        ([k, v] of the classes, [q, v] of the kinds), both summing to 1 over their first axis.
    """
    own = groups(len(logits))
    p = logits - logits.max(axis=0)
    e = np.exp(p)
    with np.errstate(divide="ignore"):  # a kind so far behind that nothing is left of it
        kinds = softmax(np.log(np.stack([e[ids].sum(axis=0) for ids in own])), kind_temperature, axis=0)
    for ids, share in zip(own, kinds, strict=True):
        if ids.stop - ids.start == 1:
            p[ids] = share
        else:
            p[ids] = softmax(logits[ids], temperature, axis=0) * share
    return p, kinds
