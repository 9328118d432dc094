"""Sensitivity curves (S1 Appendix): the score when one setting is changed and the others stay."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import fill

import numpy as np

from ...errors import UsageError
from .drawing import Drawn, canvas, colour_of, save


@dataclass(frozen=True)
class Setting:
    """Scores of one model at the values of one setting.

    Attributes:
        name: of the setting (``"loss.clr"``).
        values: as they stand on the axis, in order.
        scores: for each value, one score (0 to 1) per seed.
        default: which of ``values`` is the recipe's own.
        noise: standard deviation between seeds at the default, or None where one seed was trained.
    """

    name: str
    values: tuple[str, ...]
    scores: tuple[tuple[float, ...], ...]
    default: str
    noise: float | None = None


def sensitivity(settings: Sequence[Setting], path: Path) -> Drawn:
    """Draw one panel per setting: scores of each seed, their mean, and the band of twice the seed noise.

    A change within the band is called stable.

    Raises:
        UsageError: no settings, or values and scores that don't belong together.
    """
    if not settings:
        raise UsageError("no settings came; run 'cafrnet reproduce sensitivity' first")
    for s in settings:
        if len(s.values) != len(s.scores) or s.default not in s.values or not all(s.scores):
            raise UsageError(
                f"{s.name}: values {s.values}, default {s.default!r} and {len(s.scores)} groups of scores "
                "came; a score for each value, and a default among them, were expected"
            )
    across = min(4, len(settings))
    down = -(-len(settings) // across)
    figure = canvas(3 * across, 2.5 * down)
    grid = figure.subplots(down, across, squeeze=False)
    for axes in grid.flat[len(settings) :]:
        axes.set_axis_off()
    for axes, setting in zip(grid.flat, settings, strict=False):
        _setting(axes, setting)
    for axes in grid[:, 0]:
        axes.set_ylabel("DSC in %")
    return save(figure, path, _sensitivity_caption(settings))


def _setting(axes, setting: Setting) -> None:
    means = [100 * float(np.mean(v)) for v in setting.scores]
    home = setting.values.index(setting.default)
    if setting.noise is not None:
        low, high = (means[home] + sign * 200 * setting.noise for sign in (-1, 1))
        axes.axhspan(low, high, color="#dddddd", label="twice the seed noise")
    axes.plot(range(len(means)), means, color=colour_of(0), marker="o")
    axes.plot([home], [means[home]], color=colour_of(4), marker="o", markersize=9, fillstyle="none")
    for k, scores in enumerate(setting.scores):
        axes.plot([k] * len(scores), [100 * s for s in scores], ".", color="black", markersize=3)
    axes.set_xticks(range(len(means)), [fill(value, 14) for value in setting.values], fontsize=8)
    axes.set_title(setting.name, fontsize=9)
    axes.grid(alpha=0.3)


def _sensitivity_caption(settings: Sequence[Setting]) -> str:
    known = [s for s in settings if s.noise is not None]
    band = (
        "grey: the default's score plus and minus twice the standard deviation between seeds, within which a "
        "change is called stable"
        if len(known) == len(settings)
        else "where no grey band is drawn the seed noise is unknown (one seed), and nothing is called stable"
    )
    return f"DSC when one setting is changed and the others stay; ringed: the recipe's own value; {band}."
