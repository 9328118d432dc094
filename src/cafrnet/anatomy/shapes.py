"""Levels differ in size and tilt: the disc L5/S falls off steeply forwards, and discs get lower upwards.

A structure's tilt (discs only), height and depth are compared with those of each level in the training cases.
Each measure is taken for normally distributed and independent; since it isn't quite, the sum counts for less
(``shape`` of :class:`cafrnet.anatomy.prices.Prices`).

Source: the idea is old (any radiologist does it); the numbers are fitted, none comes from a paper.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import UsageError
from .kinds import ROW

if TYPE_CHECKING:
    from .instances import Instance

#: What is measured of a body and of a disc. Heights and depths as logarithms of mm, tilts in degrees.
MEASURES = {"body": ("height", "depth"), "disc": ("tilt", "height", "depth")}
#: A level counts from so many training structures on; the others look like the nearest level that does.
ENOUGH = 4
#: Beyond the table, and where a level was not counted, the spread is this many times as large.
WIDER = 1.5
#: No shape is more unlikely than this, in nats: collapsed bodies, fused levels, bad outlines.
FARTHEST_OFF = 8.0


@dataclass(frozen=True)
class Shapes:
    """Mean and spread of each measure at each level.

    Attributes:
        mean, sd: kind -> nine rows from below -> one number per measure of :data:`MEASURES`.
    """

    mean: Mapping[str, tuple[tuple[float, ...], ...]] | None = None
    sd: Mapping[str, tuple[tuple[float, ...], ...]] | None = None

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any], source: str = "shapes") -> Shapes:
        """Build from plain values; an empty table says nothing about shapes.

        Raises:
            UsageError: not nine rows of as many numbers as there are measures, or a spread not above 0.
        """
        if not raw:
            return cls()
        tables = {}
        for key in ("mean", "sd"):
            tables[key] = {kind: tuple(tuple(map(float, row)) for row in raw[key][kind]) for kind in MEASURES}
            for kind, rows in tables[key].items():
                if np.shape(rows) != (len(ROW[kind]), len(MEASURES[kind])):
                    raise UsageError(
                        f"{source}: {key} of {kind} has the shape {np.shape(rows)}, "
                        f"{(len(ROW[kind]), len(MEASURES[kind]))} was expected"
                    )
        if min(v for rows in tables["sd"].values() for row in rows for v in row) <= 0:
            raise UsageError(f"{source}: a spread that is not positive came")
        return cls(**tables)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, ready for JSON."""
        if self.mean is None or self.sd is None:
            return {}
        return {
            key: {kind: [list(row) for row in rows] for kind, rows in table.items()}
            for key, table in (("mean", self.mean), ("sd", self.sd))
        }

    def fit(self, one: Instance) -> np.ndarray:
        """Return the log-likelihood of a structure's shape at each level: [11].

        The first is below the table, then come its nine names, the last is above. Zero, which says nothing,
        for a structure that the picture cuts.
        """
        if self.mean is None or self.sd is None or one.cut:
            return np.zeros(len(ROW[one.kind]) + 2)
        mean, sd = np.array(self.mean[one.kind]), np.array(self.sd[one.kind])
        mean = np.concatenate([mean[:1], mean, mean[-1:]])
        sd = np.concatenate([WIDER * sd[:1], sd, WIDER * sd[-1:]])
        off = ((measures(one) - mean) / sd) ** 2 / 2
        return -np.minimum(off.sum(axis=1), FARTHEST_OFF) - np.log(sd).sum(axis=1)


def measures(one: Instance) -> np.ndarray:
    """Return the measures of a structure, in the order of :data:`MEASURES`."""
    sizes = [np.log(max(one.height_mm, 1.0)), np.log(max(one.depth_mm, 1.0))]
    return np.array([one.tilt_deg, *sizes] if one.kind == "disc" else sizes)


def fit_shapes(structures: Sequence[tuple[Instance, int]]) -> Shapes:
    """Fit the table to structures of training cases.

    Args:
        structures: each with its place (see :mod:`cafrnet.anatomy.sequence`). Cut ones are left out.

    Returns:
        Means and spreads. A level's spread is drawn half-way to that of all levels: there are few cases.

    Raises:
        UsageError: not one level of bodies, or of discs, has enough structures, or they are all the same.
    """
    means, spreads = {}, {}
    for kind in MEASURES:
        rows = [
            np.array([measures(s) for s, p in structures if s.kind == kind and p == place and not s.cut])
            for place in range(kind == "body", 2 * len(ROW[kind]), 2)
        ]
        enough = [n for n, row in enumerate(rows) if len(row) >= ENOUGH]
        if not enough:
            raise UsageError(
                f"no {kind} level has {ENOUGH} structures or more in the training cases: "
                "their shapes can't be fitted"
            )
        usual = np.mean([rows[n].var(axis=0, ddof=1) for n in enough], axis=0)
        rounding = 1e-12 * np.mean([(rows[n] ** 2).mean(axis=0) for n in enough], axis=0)
        if alike := [name for name, same in zip(MEASURES[kind], usual <= rounding, strict=True) if same]:
            raise UsageError(
                f"the {' and '.join(alike)} of each {kind} level does not vary at all between the training "
                "cases: are they copies of one scan? Their shapes can't be fitted"
            )
        mean, sd = [], []
        for n in range(len(rows)):
            near = min(enough, key=lambda m: abs(m - n))
            mean.append(tuple(map(float, rows[near].mean(axis=0))))
            spread = np.sqrt((rows[near].var(axis=0, ddof=1) + usual) / 2)
            sd.append(tuple(map(float, spread * (1 if near == n else WIDER))))
        means[kind], spreads[kind] = tuple(mean), tuple(sd)
    return Shapes(means, spreads)
