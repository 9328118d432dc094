"""Fig 5: the best, quartile and worst cases of a model, and what the others make of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from ...datasets import Dataset
from ...errors import UsageError
from ..layout import RunFolder
from ..probes.learning_curve import case_scores
from .drawing import Drawn, canvas, paint, save
from .views import Predictions, only_structures, read_view

#: Places in the ranking, as shares from worst to best.
PLACES = (("best", 1.0), ("upper quartile", 0.75), ("median", 0.5), ("lower quartile", 0.25), ("worst", 0.0))

#: Room around the structures.
MARGIN_MM = 20.0


def ranked_cases(scores: Mapping[str, float]) -> list[tuple[str, str]]:
    """Choose cases by rank: (what it is, case id), best first.

    The case at place p of n is number ``round(p (n - 1))`` from the worst; ties go by name. Fewer than five
    cases give fewer rows: nobody is shown twice.
    """
    order = sorted(scores, key=lambda case: (scores[case], case))
    found: dict[str, str] = {}
    for what, place in sorted(PLACES, key=lambda p: (0 < p[1] < 1, -p[1])):  # best and worst first
        found.setdefault(order[round(place * (len(order) - 1))], what)
    return sorted(((what, case) for case, what in found.items()), key=lambda p: -order.index(p[1]))


def best_to_worst(
    dataset: Dataset,
    rows: Mapping[str, Sequence[RunFolder]],
    predictions: Predictions,
    path: Path,
    *,
    reference: str,
) -> Drawn:
    """Draw Fig 5.

    Args:
        dataset: with the truths.
        rows: model -> finished runs, for their ``cases.csv``; seeds of a case are averaged.
        predictions: model -> case -> label map (:func:`cafrnet.experiments.figures.views.find_predictions`).
        path: of the PNG.
        reference: the model whose DSC ranks the cases.

    Raises:
        UsageError: no such reference, or it has no scored case. InputError: a file can't be read.
    """
    if reference not in rows or reference not in predictions:
        raise UsageError(f"no runs of {reference} came; the cases are ranked by its DSC")
    scores = {row: case_scores([run.cases for run in runs]) for row, runs in rows.items()}
    own = {case: v for case, v in scores[reference].items() if case in predictions[reference]}
    if not own:
        raise UsageError(f"{reference} has no scored case; evaluate its predictions first")
    chosen = ranked_cases(own)
    figure = canvas(1.2 * (len(predictions) + 2), 2.6 * len(chosen))
    grid = figure.subplots(len(chosen), len(predictions) + 2, squeeze=False)
    places = []
    for axes, (what, case) in zip(grid, chosen, strict=True):
        view = read_view(dataset.by_id[case], predictions)
        k = view.middle()
        places.append(f"{what} {case} (slice {k + 1})")
        at = (k, *view.around(k, MARGIN_MM))
        paint(axes[0], view.image[at], None, view.in_plane_mm, case)
        axes[0].set_ylabel(what, fontsize=8)
        paint(axes[1], view.image[at], only_structures(view.truth[at]), view.in_plane_mm, "truth")
        for one, (row, labels) in zip(axes[2:], view.predictions.items(), strict=True):
            dsc = scores.get(row, {}).get(case)
            score = "not scored" if dsc is None else f"DSC {100 * dsc:.1f} %"
            paint(one, view.image[at], labels[at], view.in_plane_mm, f"{row}\n{score}")
    caption = (
        f"Cases by rank of the DSC of {reference} among {len(own)} test cases: {'; '.join(places)}. Shown is "
        "the slice with the most voxels of structures 1-19 in the truth; DSC is the case score in 3D, the "
        f"mean over its structures{_seeds(rows)}."
    )
    return save(figure, path, caption)


def _seeds(rows: Mapping[str, Sequence[RunFolder]]) -> str:
    """Say which of several seeds is shown; nothing where each model has one."""
    if all(len({run.seed for run in runs}) == 1 for runs in rows.values()):
        return ""
    return ", and over the seeds, while the label map is that of the lowest seed alone"
