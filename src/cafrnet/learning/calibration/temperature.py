"""Temperatures of voxel probabilities, fitted on truths that may stand for sets, and how well they hold.

Axes: v = voxel, k = class.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import optimize

from ...inference.probabilities import calibrated

#: Bins of confidence in a reliability diagram.
BINS = 15
#: Temperatures that are looked at.
RANGE = (0.2, 10.0)


@dataclass(frozen=True)
class Temperatures:
    """What was fitted, and what it is worth.

    Attributes:
        names: temperature of names within their kind.
        kinds: of kinds.
        single: the best temperature if there were only one, for comparison.
        nll: mean negative log-likelihood "before", with the "single" one, and "after", with both.
    """

    names: float
    kinds: float
    single: float
    nll: dict[str, float]


@dataclass(frozen=True)
class Reliability:
    """How often voxels are right, by how sure the network was of them.

    Attributes:
        confidence: [bins] mean confidence; 0 in an empty bin.
        accuracy: [bins] share that was right.
        count: [bins] voxels.
    """

    confidence: np.ndarray
    accuracy: np.ndarray
    count: np.ndarray

    @property
    def ece(self) -> float:
        """Expected calibration error: mean distance of confidence and accuracy, weighted by voxels."""
        total = max(int(self.count.sum()), 1)
        return float((np.abs(self.confidence - self.accuracy) * self.count).sum() / total)


def negative_log_likelihood(
    logits: np.ndarray, allowed: np.ndarray, names: float = 1.0, kinds: float = 1.0
) -> float:
    """Return the mean of minus log of the probability of each voxel's set of allowed classes.

    Args:
        logits: [k, v].
        allowed: [k, v] whether the truth allows this class.
        names, kinds: temperatures.
    """
    p, _ = calibrated(logits, names, kinds)
    return float(-np.log(np.maximum((p * allowed).sum(axis=0), 1e-12)).mean())


def fit_temperatures(logits: np.ndarray, allowed: np.ndarray) -> Temperatures:
    """Minimise the likelihood over both temperatures.

    Args:
        logits: [k, v] of voxels drawn from validation cases.
        allowed: [k, v] of their truth.

    Source: Guo et al., "On calibration of modern neural networks", ICML 2017. Decided beyond it: one
    temperature for kinds and one for names, and sets of classes in the likelihood.
    """

    def loss(at: np.ndarray) -> float:
        names, kinds = np.exp(np.clip(at, *np.log(RANGE)))
        return negative_log_likelihood(logits, allowed, names, kinds)

    one = optimize.minimize_scalar(
        lambda t: loss(np.array([t, t])),
        bounds=tuple(np.log(RANGE)),
        method="bounded",
        options={"xatol": 0.01},
    )
    both = optimize.minimize(
        loss, [one.x, one.x], method="Nelder-Mead", options={"xatol": 0.01, "fatol": 1e-6}
    )
    names, kinds = np.exp(np.clip(both.x, *np.log(RANGE)))
    return Temperatures(
        round(float(names), 4),
        round(float(kinds), 4),
        round(float(np.exp(one.x)), 4),
        {
            "before": negative_log_likelihood(logits, allowed),
            "single": float(one.fun),
            "after": float(both.fun),
        },
    )


def reliability(
    logits: np.ndarray, allowed: np.ndarray, names: float = 1.0, kinds: float = 1.0
) -> Reliability:
    """Sort voxels by the probability of their likeliest class.

    Args:
        logits, allowed, names, kinds: as in :func:`negative_log_likelihood`.
    """
    p, _ = calibrated(logits, names, kinds)
    best, every = p.argmax(axis=0), np.arange(p.shape[1])
    sure, right = p[best, every], allowed[best, every]
    bins = np.minimum((sure * BINS).astype(int), BINS - 1)
    count = np.bincount(bins, minlength=BINS)
    safe = np.maximum(count, 1)
    return Reliability(np.bincount(bins, sure, BINS) / safe, np.bincount(bins, right, BINS) / safe, count)
