"""Every figure and probe of one reproduction, by name: what ``cafrnet reproduce`` puts on its page."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ...learning.recipes.load import check
from ..layout import RunFolder
from ..probes.runs import read_config, training_cases
from .subject import Made, Subject, as_table

#: Where a dataset keeps its radiological gradings.
GRADINGS = "gradings.csv"


def figure_makers(subject: Subject) -> dict[str, Callable[[], Made]]:
    """Return the paper's figures by name, each a function that draws it; one that fails stops no other.

    Each raises CAFRNetError: no finished runs, a file that can't be read, or a missing extra.
    """
    return {
        "figure1": lambda: _architecture(subject),
        "figure2": lambda: _classes(subject),
        "figure3": lambda: _curves(subject),
        "figure4": lambda: _zooms(subject, subject.comparison, "figure4", regions=True),
        "figure5": lambda: _cases(subject),
        "figure6": lambda: _zooms(subject, subject.ablation, "figure6", regions=False),
        "per_class_dsc": lambda: _boxes(subject, "dsc"),
        "per_class_hd95": lambda: _boxes(subject, "hd95_mm"),
        "attention": lambda: _attention(subject),
        "embeddings": lambda: _embeddings(subject),
    }


def robustness_makers(subject: Subject) -> dict[str, Callable[[], Made]]:
    """Return the robustness study by name; it takes a prediction per case, artefact, strength and run.

    ``pathology``, which needs none, is part of it where the dataset has gradings.
    """
    makers = {"robustness": lambda: _robustness(subject)}
    if (subject.data / GRADINGS).is_file():
        makers["pathology"] = lambda: _pathology(subject)
    return makers


def curve_makers(subject: Subject) -> dict[str, Callable[[], Made]]:
    """Return the learning curve by name."""
    return {"learning_curve": lambda: _learning_curve(subject)}


def _architecture(subject: Subject) -> Made:
    from .architecture import draw_model, draw_recipe

    path, runs = subject.picture("figure1_architecture"), subject.runs(subject.reference)
    if not runs:
        return Made([draw_model(subject.reference, path)])
    recipe = check(read_config(runs[0].path)["recipe"], str(runs[0].config))
    return Made([draw_recipe(recipe, path)])


def _classes(subject: Subject) -> Made:
    from .classes import class_counts

    return Made([class_counts(subject.dataset, subject.picture("figure2_classes"))])


def _curves(subject: Subject) -> Made:
    from .curves import training_curves

    names = dict.fromkeys((*subject.comparison, *subject.ablation))
    rows = {name: runs for name in names if (runs := subject.runs(name))}
    drawn = training_curves(rows, subject.picture("figure3_curves"))
    title = "Training and validation Dice at the end of training, and the gap"
    table = as_table(drawn.path.with_suffix(".csv"), "curves", title, drawn.caption)
    return Made([drawn], [table], subject.doubts(rows))


def _zooms(subject: Subject, names: Sequence[str], figure: str, *, regions: bool) -> Made:
    from .views import find_predictions
    from .zooms import zooms

    rows = subject.together(names)
    drawn = zooms(
        subject.dataset,
        find_predictions(rows.runs),
        subject.picture(f"{figure}_zooms"),
        reference=subject.reference,
        regions=regions,
        thresholds=subject.thresholds,
    )
    return Made([drawn], notes=rows.notes)


def _cases(subject: Subject) -> Made:
    from .cases import best_to_worst
    from .views import find_predictions

    rows = subject.together(subject.comparison)
    drawn = best_to_worst(
        subject.dataset,
        rows.runs,
        find_predictions(rows.runs),
        subject.picture("figure5_cases"),
        reference=subject.reference,
    )
    return Made([drawn], notes=rows.notes)


def _boxes(subject: Subject, metric: str) -> Made:
    from .boxes import per_class_boxes

    rows = subject.together(subject.comparison)
    drawn = per_class_boxes(rows.runs, subject.picture(f"per_class_{metric}"), metric=metric)
    return Made([drawn], notes=rows.notes)


def _attention(subject: Subject) -> Made:
    from ..probes.attention import attention_ratios
    from .maps import attention_pictures

    rows = subject.together([row for row in subject.ablation if _uses(subject, row, "lafr")])
    table = attention_ratios(rows.all_runs, subject.data, subject.folder.probes)
    drawn = attention_pictures(rows.all_runs[-1], subject.data, subject.picture("lafr_attention"))
    text = (
        "LAFR's attention A per tap: mean over the pixels within 2 px of an outline over the mean farther "
        "inside structures 1-19, mean in discs over mean in vertebral bodies, and rim over core of bodies "
        "alone; per case, then the mean over test cases with its 95 % bootstrap interval. 1 is no difference."
    )
    made = as_table(table, "lafr_attention", "LAFR: where attention lies", text)
    return Made([drawn], [made], rows.notes)


def _embeddings(subject: Subject) -> Made:
    from ..probes.embeddings import differences, separation
    from .maps import embedding_plane

    rows, out = subject.together(subject.ablation), subject.folder.probes
    table = separation(rows.all_runs, subject.data, out)
    compared = differences(subject.scores, _clr_pairs(subject, list(rows.runs)), out)
    drawn = embedding_plane(out / "embeddings_tsne.csv", table, subject.picture("embeddings"))
    text = (
        "Separation of classes 0-19 in the concatenated taps at 1/4, test cases: between-class over "
        "within-class spread with its 95 % jackknife interval over cases, and the mean silhouette (-1 to 1)."
    )
    beside = as_table(
        compared,
        "embeddings_differences",
        "Embeddings: with CLR minus without",
        "Difference of silhouettes over test cases, seeds averaged; interval by bootstrap, p by Wilcoxon, "
        "corrected by Holm over the pairs that were tested.",
    )
    made = as_table(table, "embeddings", "Embeddings: class separation", text)
    return Made([drawn], [made, beside], rows.notes)


def _clr_pairs(subject: Subject, there: Sequence[str]) -> list[tuple[str, str]]:
    """Return rows that differ in CLR alone: (with, without)."""
    flags = {row: (_uses(subject, row, "lafr"), _uses(subject, row, "clr")) for row in there}
    return [(a, b) for a in there for b in there if flags[a] == (flags[b][0], True) and not flags[b][1]]


def _uses(subject: Subject, row: str, module: str) -> bool:
    """Tell whether a row's network has LAFR, or was trained with CLR."""
    runs = subject.runs(row)
    if not runs:
        return False
    recipe = check(read_config(runs[0].path)["recipe"], str(runs[0].config))
    if module == "lafr":
        return bool(recipe.model_args.get("lafr", True))
    return recipe.clr.enabled and recipe.loss.clr > 0


def _pathology(subject: Subject) -> Made:
    from ..probes.pathology import pathology

    rows = subject.together(subject.comparison)
    table = pathology(rows.all_runs, subject.data, subject.folder.probes)
    text = (
        "Spearman's rank correlation of DSC with a radiologist's grading of each disc, for the disc and for "
        "the mean of the vertebrae beside it; 95 % bootstrap interval over patients. Negative: worse where "
        "the grade is higher. Many correlations are listed and none is corrected for that."
    )
    return Made([], [as_table(table, "pathology", "Scores against gradings", text)], rows.notes)


def _robustness(subject: Subject) -> Made:
    from ..probes.robustness import Plan, robustness
    from .robustness import robustness_curves

    rows = subject.together(subject.comparison)
    plan = Plan(levels=subject.levels, cases=subject.disturbed)
    out, threads, workers = subject.folder.probes, subject.threads, subject.workers
    table = robustness(rows.all_runs, subject.data, out, plan=plan, threads=threads, workers=workers)
    drawn = [
        robustness_curves(table, subject.picture(f"robustness_{metric}"), metric=metric)
        for metric in ("dsc", "dsc_after_shift", "levels_right")
    ]
    title = "Robustness: scores on degraded scans, and the change from the clean ones"
    return Made(drawn, [as_table(table, "robustness", title, drawn[0].caption)], rows.notes)


def _learning_curve(subject: Subject) -> Made:
    from ..probes.learning_curve import learning_curve
    from .learning_curve import learning_curve as draw

    runs: dict[tuple[str, int], list[RunFolder]] = {}
    there: list[str] = []
    for model, rows in subject.curve.items():
        for row in (*rows, model):
            if found := subject.runs(row):
                runs[model, rows.get(row) or training_cases(found[0])] = found
                there.append(row)
    table = learning_curve(runs, subject.folder.probes)
    drawn = draw(table, subject.picture("learning_curve"))
    made = as_table(table, "learning_curve", "Score against training cases", drawn.caption)
    gone = ", ".join(map(str, subject.sizes_left_out))
    left_out = [f"Left out, since the fold has fewer training cases: {gone}."] if gone else []
    return Made([drawn], [made], left_out + subject.doubts(there))
