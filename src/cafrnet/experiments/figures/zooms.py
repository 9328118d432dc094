"""Figs 4 and 6: truth and models side by side at the windows that the rule of ``disagreement.py`` chose."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from ...datasets import Dataset
from ...errors import UsageError
from ...evaluation.sets import annotated
from ...evaluation.signal import Thresholds
from .disagreement import NEIGHBOURHOOD_MM, REGIONS, WINDOW_MM, Window, choose, region_masks
from .drawing import Drawn, NothingToShow, canvas, paint, save
from .views import Predictions, View, only_structures, read_view


def zooms(
    dataset: Dataset,
    predictions: Predictions,
    path: Path,
    *,
    reference: str,
    regions: bool = False,
    thresholds: Thresholds | None = None,
    rows: int = 3,
) -> Drawn:
    """Draw Fig 4 (``regions=True``: one window in each kind of region) or Fig 6 (the largest windows).

    Args:
        dataset: with the truths.
        predictions: model -> case -> label map; the same cases for all.
        path: of the PNG.
        reference: the model that the others are held against.
        regions: look in low contrast, complex boundary and homogeneous regions, one window each.
        thresholds: of the regions, pooled over the test set; each case's own if not given.
        rows: windows without regions.

    Raises:
        UsageError: fewer than two models, no such reference, or models that never differ.
        InputError: a file can't be read.
    """
    if reference not in predictions or len(predictions) < 2:
        raise UsageError(
            f"models {', '.join(predictions)} with the reference {reference} came; two or more with it among "
            "them were expected"
        )
    cases = dataset.select(sorted(predictions[reference]))

    def views() -> Iterable[tuple[View, Mapping[str, np.ndarray]]]:
        for case in cases:
            view = read_view(case, predictions)
            yield view, region_masks(view, annotated(case.sets), thresholds) if regions else {}

    chosen = choose(views(), reference, list(REGIONS) if regions else [], rows)
    if not chosen:
        raise NothingToShow(
            "the models never differ near a structure of the truth: there is nothing to zoom at"
        )
    figure = canvas(1.35 * (len(predictions) + 2), 1.75 * len(chosen))
    grid = figure.subplots(len(chosen), len(predictions) + 2, squeeze=False)
    shown = {v.id: v for v in (read_view(dataset.by_id[i], predictions) for i in {w.case for w in chosen})}
    for axes, window in zip(grid, chosen, strict=True):
        _row(axes, shown[window.case], window)
    return save(figure, path, caption(chosen, reference, thresholds is not None))


def _row(axes: np.ndarray, view: View, window: Window) -> None:
    from matplotlib.patches import Rectangle

    k, at = window.index, (window.rows, window.columns)
    paint(axes[0], view.image[k], None, view.in_plane_mm, f"{view.id}, slice {k + 1}")
    (dr, dc), (height, width) = view.in_plane_mm, view.image[k][at].shape
    box = Rectangle(
        (window.columns.start * dc, window.rows.start * dr),
        width * dc,
        height * dr,
        fill=False,
        color="yellow",
    )
    axes[0].add_patch(box)
    if window.region:
        axes[0].set_ylabel(REGIONS[window.region], fontsize=8)
    paint(axes[1], view.image[k][at], only_structures(view.truth[k][at]), view.in_plane_mm, "truth")
    for one, (name, labels) in zip(axes[2:], view.predictions.items(), strict=True):
        wrong = int(view.wrong[name][k][at].sum())
        paint(one, view.image[k][at], labels[k][at], view.in_plane_mm, f"{name}\n{wrong} wrong")


def caption(chosen: Sequence[Window], reference: str, pooled: bool) -> str:
    """Say what is shown and by which rule."""
    rule = (
        "Zooms at the largest disagreement, chosen by rule: the window of "
        f"{WINDOW_MM:g} x {WINDOW_MM:g} mm in which the other models differ most often from {reference}, "
        f"counted over voxels within {NEIGHBOURHOOD_MM:g} mm of a structure 1-19 of the truth"
    )
    if chosen[0].region:
        source = "pooled over the test set" if pooled else "of each case alone"
        rule += (
            ", within the evaluator's low-contrast, vertebra-disc junction and homogeneous bands (thresholds "
            f"{source}), one window per band, of different cases where possible"
        )
    else:
        rule += "; the largest window of each case, the cases with the largest of all"
    places = "; ".join(
        f"{w.case}, slice {w.index + 1}{', ' + REGIONS[w.region] if w.region else ''}: {w.differences}"
        for w in chosen
    )
    return (
        f"{rule}. Differing voxels, summed over models: {places}. 'Wrong' counts the voxels of the window "
        "whose structure is not the truth's. Structures 1-19 are shown; of several seeds the lowest."
    )
