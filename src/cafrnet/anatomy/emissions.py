"""How well each place of the column suits a structure: by the network's names, and by its size and tilt.

Axes: n = structure from below, p = place, first :data:`LOWEST`.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
from scipy.special import softmax

from ..labels import TABLE
from .instances import Instance
from .kinds import ROW
from .prices import NamingModel

#: The lowest place, and the highest that has a name.
LOWEST, HIGHEST = -2, len(TABLE.column) - 2
#: A structure of this volume gives half the evidence of a large one.
HALF_EVIDENCE_MM3 = 500.0


def emissions(
    instances: Sequence[Instance],
    model: NamingModel,
    not_trained: Collection[int] = (),
    offsets: Sequence[tuple[int, int]] = ((0, 0),),
) -> np.ndarray:
    """Return how well each place suits each structure: log-likelihoods [o, n, p]; minus infinity: never.

    A name that the network can't say suits as well as the better of its neighbours, less the price of a name
    beyond the table.

    Args:
        instances: from below.
        model: what was fitted.
        not_trained: ids that the network can't say.
        offsets: [o] by how many levels the network is taken to call every structure too high, and by how many
            the patient's shapes are taken to look like those of higher levels.
    """
    above = 2 * max(3, sum(i.kind == "body" for i in instances))
    out = np.full((len(offsets), len(instances), HIGHEST - LOWEST + 1 + above), -np.inf)
    names = len(ROW["body"])
    said_as, shaped_as = (
        np.clip(np.arange(names + 2) + by[:, None], 0, names + 1) for by in np.array(offsets).T
    )
    for n, one in enumerate(instances):
        if one.kind == "sacrum":
            out[:, n, -1 - LOWEST] = 0.0
            continue
        first = 0 if one.kind == "disc" else 1
        shape = model.prices.shape * model.shapes.fit(one)
        fit = _by_name(one, model, not_trained)[said_as] + shape[shaped_as]
        fit[:, 0] -= model.prices.below
        row = out[:, n]
        row[:, first % 2 :: 2] = fit[:, -1:]  # above the table
        row[:, : first - LOWEST - 2] = -np.inf
        row[:, first - LOWEST - 2 : first - LOWEST + 2 * names : 2] = fit[:, :-1]
    return out


def _by_name(one: Instance, model: NamingModel, not_trained: Collection[int]) -> np.ndarray:
    """Return what the network's names say: [11], below the table, the nine names, above the table.

    What lies beyond the table looks like one of the two outermost names.
    """
    prices = model.prices
    share = softmax(one.evidence.astype(np.float64))
    fit = prices.evidence * weight(one) * np.log((1 - prices.floor) * share + prices.floor / len(share))
    fit = _unsaid(fit, [i in not_trained for i in ROW[one.kind]], prices.outside)
    return np.array([fit[:2].max(), *fit, fit[-2:].max() - prices.outside])


def _unsaid(fit: np.ndarray, missing: Sequence[bool], price: float) -> np.ndarray:
    """Fill in the names that were not trained."""
    if not any(missing) or all(missing):
        return fit
    said = np.where(missing, -np.inf, fit)
    beside = np.maximum(np.append(said[1:], -np.inf), np.append(-np.inf, said[:-1])) - price
    return np.where(missing, np.where(np.isfinite(beside), beside, said[np.isfinite(said)].min()), fit)


def weight(one: Instance) -> float:
    """Return what a structure's evidence is worth for its volume, 0 to 1."""
    return one.volume_mm3 / (one.volume_mm3 + HALF_EVIDENCE_MM3)
