"""Figures and probes of a reproduction, brought to the page: see :mod:`.figures.makers`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np

from .factors import Factor
from .figures.makers import curve_makers, figure_makers, robustness_makers
from .figures.sensitivity import Setting
from .figures.subject import Made, Subject, doubts
from .layout import Folder
from .pairs import seed_noise
from .rows import REFERENCE
from .scores import RowScores
from .tables.context import Context

#: Part -> makers of its figures and tables.
MAKERS = {"figures": figure_makers, "robustness": robustness_makers, "learning-curve": curve_makers}


def makers(part: str, subject: Subject) -> dict[str, Callable[[], Made]]:
    """Return what a part draws and measures, by name; every caption begins with what the runs share."""
    made = MAKERS[part](subject) if part in MAKERS else {}
    return {name: partial(_under, make, subject.context) for name, make in made.items()}


def _under(make: Callable[[], Made], context: Context) -> Made:
    return make().under(context.caption())


def draw_sensitivity(
    factors: Sequence[Factor],
    points: int | None,
    scores: Mapping[str, RowScores],
    folder: Folder,
    context: Context,
) -> Made:
    """Draw the sensitivity study from the points that are there; the caption names those that are not.

    Nothing is drawn without the reference, or for a factor of which no point is there.
    """
    from .figures.sensitivity import sensitivity

    reference = scores.get(REFERENCE)
    if reference is None:
        return Made()
    noise = seed_noise([*scores.values()], "dsc")
    own = tuple(reference.per_seed("dsc").values())
    settings, missing = [], []
    for factor in factors:
        at = [(factor.reference, factor.reference_value, own)]
        for point, row in zip(factor.points, factor.rows(points), strict=False):
            if row.name in scores:
                at.append((point.label, point.value, tuple(scores[row.name].per_seed("dsc").values())))
            else:
                missing.append(row.label)
        at.sort(key=lambda one: -np.inf if one[1] is None else one[1])
        if len(at) > 1:
            values, _, seeds = zip(*at, strict=True)
            settings.append(Setting(factor.label, values, seeds, factor.reference, noise))
    if not settings:
        return Made()
    drawn = sensitivity(settings, folder.figures / "sensitivity.png")
    notes = [f"Not run: {'; '.join(missing)}."] if missing else []
    return Made([drawn], notes=notes + doubts(scores.values())).under(context.caption())
