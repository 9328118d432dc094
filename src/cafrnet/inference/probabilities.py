"""From logits to probabilities. Axes: n = slice, k = class, y, x = model grid."""

from __future__ import annotations

import numpy as np

#: Smallest probability whose logarithm is taken.
TINY = 1e-20


def softmax(logits: np.ndarray, temperature: float = 1.0) -> np.ndarray:
    """Return the probabilities of logits [n, k, y, x] over k, float32, each logit divided by the temperature.

    A temperature above 1 makes them less sure, below 1 surer; the most probable class stays.
    """
    p = logits - logits.max(axis=1, keepdims=True)
    if temperature != 1.0:
        p /= np.float32(temperature)
    np.exp(p, out=p)
    p /= p.sum(axis=1, keepdims=True)
    return p


def log_probabilities(p: np.ndarray) -> np.ndarray:
    """Return the natural logarithm, of at least :data:`TINY`; as good as logits for everything downstream."""
    return np.log(np.maximum(p, TINY), dtype=np.float32)
