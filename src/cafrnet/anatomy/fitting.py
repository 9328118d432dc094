"""Fits the model that names columns to columns whose names are known."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import optimize

from ..labels import TABLE
from .emissions import LOWEST
from .instances import Grid, Instance, find_instances
from .kinds import BODY, DISC, ROW, Voxels
from .options import NamingOptions
from .prices import NamingModel, Prices
from .sequence import infer

#: What is fitted, with the range in which it is looked for. The others' effect on a few cases can't be told
#: from chance; they stay as they are.
RANGES = {
    "evidence": (0.02, 3.0),
    "offset": (0.002, 0.98),
    "offset_whole": (0.002, 0.98),
    "floor": (1e-3, 0.5),
    "shape": (0.05, 1.0),
    "shape_offset": (0.01, 0.6),
}
#: What leaving the start by a factor of e costs, so that a few cases don't drive a price to its limit.
PULL = 0.005
#: No name is taken for more unlikely than this, in nats, so that one column does not outweigh all.
SURPRISE = 12.0
#: Place of each id along the column.
PLACE = {identity: place - 1 for place, identity in enumerate(TABLE.column)}


@dataclass(frozen=True)
class TrueColumn:
    """A column and its truth.

    Attributes:
        instances: from below.
        places: the true place of each (see :mod:`cafrnet.anatomy.sequence`), None where it is not known.
        not_trained: ids that the network can't say.
        below_mm: how far the picture goes on below the lowest structure.
    """

    instances: Sequence[Instance]
    places: Sequence[int | None]
    not_trained: Collection[int] = ()
    below_mm: float = 0.0


def true_places(instances: Sequence[Instance], true: np.ndarray) -> list[int | None]:
    """Return the place of the true structure that each instance is.

    Args:
        instances: with their voxels.
        true: [v] true ids of all voxels.

    Returns:
        For each the place of the true structure of its kind that covers most of its voxels, None where none
        covers a third.
    """
    places: list[int | None] = []
    for one in instances:
        counts = np.bincount(true[one.voxels], minlength=256)
        best = max(ROW.get(one.kind, ()), key=lambda i: counts[i], default=0)
        places.append(PLACE[best] if best and counts[best] * 3 >= len(one.voxels) else None)
    return places


def structures_of(truth: np.ndarray, grid: Grid) -> list[tuple[Instance, int]]:
    """Return the bodies and discs of a true label map with their places, measured as a network's would be.

    Args:
        truth: [s, y, x] ids on the model grid.
        grid: the model grid.
    """
    at = np.argwhere(np.isin(truth, (*ROW["body"], *ROW["disc"])))
    true = truth[tuple(at.T)]
    kind = np.where(np.isin(true, ROW["body"]), BODY, DISC).astype(np.uint8)
    n = len(at)
    voxels = Voxels(
        at.astype(np.int16), kind, np.zeros((n, len(ROW["body"])), np.float16), np.zeros(n, np.float16)
    )
    found = find_instances(voxels, grid, NamingOptions(sacrum=False))
    return [(one, p) for one, p in zip(found, true_places(found, true), strict=True) if p is not None]


def surprise(columns: Sequence[TrueColumn], model: NamingModel) -> float:
    """Return the mean over columns of minus the log of the least probability of a true name, in nats."""
    return float(np.mean([_surprise(column, model) for column in columns]))


def _surprise(column: TrueColumn, model: NamingModel) -> float:
    found = infer(column.instances, model, column.not_trained, column.below_mm)
    shares = [found.marginals[n, p - LOWEST] for n, p in enumerate(column.places) if p is not None]
    return min(SURPRISE, -float(np.log(max(min(shares), 1e-30))))


def fit_prices(
    columns: Sequence[TrueColumn], start: NamingModel | None = None, steps: int = 120
) -> tuple[NamingModel, float, float]:
    """Fit the prices to columns of validation cases; the shapes stay.

    Args:
        columns: each with at least one true place.
        start: what to start from, with the shapes of the training cases.
        steps: evaluations of the whole set.

    Returns:
        (the model, :func:`surprise` at the start, and with it).
    """
    start = start or NamingModel()
    names = [n for n in RANGES if not n.startswith("shape") or start.shapes.mean]
    low, high = (np.log([RANGES[n][k] for n in names]) for k in (0, 1))

    def model_at(x: np.ndarray) -> NamingModel:
        values = dict(zip(names, map(float, np.exp(np.clip(x, low, high))), strict=True))
        return replace(start, prices=Prices(**{**start.prices.to_dict(), **values}))

    at = np.log([getattr(start.prices, n) for n in names])
    found = optimize.minimize(  # type: ignore[call-overload]
        lambda x: surprise(columns, model_at(x)) + PULL * float(((x - at) ** 2).sum()),
        at,
        method="Nelder-Mead",
        options={"maxfev": steps, "xatol": 0.02, "fatol": 1e-4},
    )
    best = model_at(found.x)
    before, after = surprise(columns, start), surprise(columns, best)
    return (best, before, after) if after < before else (start, before, before)
