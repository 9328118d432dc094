"""Figures and probes of a reproduction, brought to the page: see :mod:`.figures.makers`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from .factors import Factor
from .figures.makers import curve_makers, figure_makers, robustness_makers
from .figures.sensitivity import Setting
from .figures.subject import Made, Subject
from .layout import Folder
from .pairs import seed_noise
from .rows import REFERENCE
from .scores import RowScores

#: Part -> makers of its figures and tables.
MAKERS = {"figures": figure_makers, "robustness": robustness_makers, "learning-curve": curve_makers}


def makers(part: str, subject: Subject) -> dict[str, Callable[[], Made]]:
    """Return what a part draws and measures, by name."""
    return MAKERS[part](subject) if part in MAKERS else {}


def draw_sensitivity(
    factors: Sequence[Factor], points: int | None, scores: Mapping[str, RowScores], folder: Folder
) -> Made:
    """Draw the sensitivity study, for the factors all of whose points are there."""
    from .figures.sensitivity import sensitivity

    reference = scores.get(REFERENCE)
    if reference is None:
        return Made()
    noise = seed_noise([*scores.values()], "dsc")
    own = tuple(reference.per_seed("dsc").values())
    settings = []
    for factor in factors:
        rows = [row for row in factor.rows(points) if row.name in scores]
        at = [(factor.reference, factor.reference_value, own)]
        for point, row in zip(factor.points, factor.rows(points), strict=False):
            if row.name in scores:
                at.append((point.label, point.value, tuple(scores[row.name].per_seed("dsc").values())))
        at.sort(key=lambda one: -np.inf if one[1] is None else one[1])
        if rows:
            values, _, seeds = zip(*at, strict=True)
            settings.append(Setting(factor.label, values, seeds, factor.reference, noise))
    return Made([sensitivity(settings, folder.figures / "sensitivity.png")]) if settings else Made()
