"""How far classes lie apart in the features that CLR works on, with CLR and without it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from ...errors import MissingExtraError, UsageError
from ...evaluation.statistics import holm
from ...evaluation.tables import write_csv
from ..layout import RunFolder
from ..pairs import against
from ..scores import RowScores
from .cells import Cells, sample_features
from .tables import read_csv

#: Cells of one t-SNE, so that it takes seconds.
TSNE_CELLS = 1500
COLUMNS = (
    *("row", "fold", "seed", "cells", "cases", "classes"),
    *("between_to_within", "low", "high", "silhouette", "reason"),
)
CASE_COLUMNS = ("row", "fold", "seed", "case", "silhouette")
DIFFERENCES = ("with_clr", "without", "cases", "difference", "low", "high", "p", "p_holm", "reason")


def between_to_within(features: np.ndarray, classes: np.ndarray) -> float | None:
    r"""Return how far class means lie apart over how far features lie from their own class's mean.

    .. math:: \frac{\operatorname{tr} S_B}{\operatorname{tr} S_W}
              = \frac{\sum_c n_c \|m_c - m\|^2}{\sum_c \sum_{i \in c} \|f_i - m_c\|^2}

    Args:
        features: [n, d].
        classes: [n].

    Returns:
        0 (means agree) upwards; None with fewer than two classes, or where no class has any spread.

    Reference: Fisher's criterion in its trace form, as in Fukunaga, Introduction to Statistical Pattern
    Recognition (1990).
    """
    found, at = np.unique(classes, return_inverse=True)
    if len(found) < 2:
        return None
    counts = np.bincount(at)
    means = np.stack([features[at == k].mean(axis=0) for k in range(len(found))])
    between = float((counts * ((means - features.mean(axis=0)) ** 2).sum(axis=1)).sum())
    within = float(((features - means[at]) ** 2).sum())
    return between / within if within > 0 else None


def case_interval(cells: Cells, *, level: float = 0.95) -> tuple[float, float] | None:
    """Return an interval of :func:`between_to_within` by the jackknife over cases (Efron and Stein 1981).

    Leaving out one case at a time gives a standard error, and Student's t with one degree of freedom less
    than there are cases the width. (A bootstrap that draws cases twice would shrink the spread within
    classes and lie above the estimate.) None where leaving out a case leaves no ratio.
    """
    names = np.unique(cells.cases)
    ratios = [
        between_to_within(cells.features[cells.cases != c], cells.classes[cells.cases != c]) for c in names
    ]
    whole, known = between_to_within(cells.features, cells.classes), [r for r in ratios if r is not None]
    n = len(names)
    if whole is None or n < 2 or len(known) < n:
        return None
    error = float(np.sqrt((n - 1) / n * ((np.array(known) - np.mean(known)) ** 2).sum()))
    width = float(stats.t.ppf(0.5 + level / 2, n - 1)) * error
    return whole - width, whole + width


def separation(runs: Sequence[RunFolder], data: str | Path, out: Path, *, seed: int = 0) -> Path:
    """Measure class separation of some runs, for example the four of Table 4.

    Args:
        runs: of networks with taps.
        data: the dataset.
        out: folder for ``embeddings.csv``, ``embeddings_cases.csv`` (silhouette of every case) and, for the
            picture, ``embeddings_tsne.csv``.
        seed: of cells and t-SNE.

    Returns:
        The path of ``embeddings.csv``: per run the ratio of :func:`between_to_within` over all test cases
        with its interval over cases, and the mean silhouette (Rousseeuw 1987; scikit-learn), -1 to 1.

    Raises:
        UsageError: no runs, or a network without taps. InputError: a case or weights can't be read.
        MissingExtraError: scikit-learn is not installed.
    """
    if not runs:
        raise UsageError("no trained runs came; train the rows of table 4 first")
    rows, points, by_case = [], [], []
    for run in runs:
        place = {"row": run.row, "fold": run.fold, "seed": run.seed}
        cells = sample_features(run, data, seed=seed)
        own = silhouettes(cells)
        rows.append({**place, **_measure(cells, own)})
        points += [{**place, **point} for point in tsne(cells, seed)]
        by_case += [{**place, "case": case, "silhouette": value} for case, value in own.items()]
    write_csv(out / "embeddings_tsne.csv", ("row", "fold", "seed", "case", "id", "x", "y"), points)
    write_csv(out / "embeddings_cases.csv", CASE_COLUMNS, by_case)
    write_csv(out / "embeddings.csv", COLUMNS, rows)
    return out / "embeddings.csv"


def silhouettes(cells: Cells) -> dict[str, float]:
    """Return case -> mean silhouette of its cells among all cells; nothing for fewer than two classes."""
    if not 2 <= len(np.unique(cells.classes)) < len(cells.classes):
        return {}
    each = _sklearn().metrics.silhouette_samples(cells.features, cells.classes)
    return {str(case): float(each[cells.cases == case].mean()) for case in np.unique(cells.cases)}


def _measure(cells: Cells, by_case: Mapping[str, float]) -> dict[str, Any]:
    interval = case_interval(cells)
    return {
        "cells": len(cells.classes),
        "cases": len(np.unique(cells.cases)),
        "classes": len(np.unique(cells.classes)),
        "between_to_within": between_to_within(cells.features, cells.classes),
        "low": interval[0] if interval else None,
        "high": interval[1] if interval else None,
        "silhouette": float(np.mean(list(by_case.values()))) if by_case else None,
        "reason": "" if interval else "an interval needs two cases with two classes each",
    }


def differences(rows: Mapping[str, RowScores], pairs: Sequence[tuple[str, str]], out: Path) -> Path:
    """Compare the silhouettes of rows over cases, by the rules of the tables.

    Args:
        rows: row -> its scores, which say whether it converged.
        pairs: names of rows, the one with CLR first.
        out: folder with ``embeddings_cases.csv``, for ``embeddings_differences.csv``.

    Returns:
        The path of ``embeddings_differences.csv``. p is corrected by Holm over the pairs that were tested;
        ``reason`` says why one was not.

    Raises:
        UsageError: a pair of which a row is missing. InputError: the silhouettes can't be read.
    """
    lines = read_csv(out / "embeddings_cases.csv", CASE_COLUMNS)
    there = {name: _with_silhouettes(row, lines) for name, row in rows.items()}
    if missing := {name for pair in pairs for name in pair if name not in there or not there[name].runs}:
        raise UsageError(f"no run of {', '.join(sorted(missing))} came; pairs need both of their rows")
    found = [against(there[a], [there[b]], "silhouette")[there[b].name] for a, b in pairs]
    corrected = holm([comparison.p for comparison in found])
    table = [
        {
            **{
                "with_clr": pair[0],
                "without": pair[1],
                "cases": one.pairs,
                "difference": one.mean_difference,
            },
            **{"low": one.interval.low, "high": one.interval.high, "p": one.p, "p_holm": p},
            "reason": one.reason,
        }
        for pair, one, p in zip(pairs, found, corrected, strict=True)
    ]
    write_csv(out / "embeddings_differences.csv", DIFFERENCES, table)
    return out / "embeddings_differences.csv"


def _with_silhouettes(row: RowScores, lines: Sequence[Mapping[str, Any]]) -> RowScores:
    """Return a row whose runs have the silhouettes of their cases as their scores."""
    of_run: dict[tuple[int, int], dict[str, dict[str, float]]] = defaultdict(dict)
    for line in lines:
        if line["row"] == row.name:
            of_run[int(line["fold"]), int(line["seed"])][line["case"]] = {"silhouette": line["silhouette"]}
    runs = (replace(run, cases=of_run[run.fold, run.seed]) for run in row.runs)
    return replace(row, runs=tuple(run for run in runs if run.cases))


def _sklearn() -> Any:
    """Return scikit-learn.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        import sklearn.manifold
        import sklearn.metrics
    except ImportError as error:
        raise MissingExtraError("the separation of embeddings", "reproduce") from error
    return sklearn


def tsne(cells: Cells, seed: int) -> list[dict[str, Any]]:
    """Lay at most ``TSNE_CELLS`` cells of structures out in the plane (van der Maaten and Hinton 2008).

    Background is left out. Distances between far groups mean nothing in such a picture.
    """
    kept = np.flatnonzero(cells.classes > 0)
    rng = np.random.default_rng(seed)
    kept = np.sort(rng.permutation(kept)[:TSNE_CELLS])
    if len(kept) < 8:
        return []
    perplexity = min(30.0, (len(kept) - 1) / 3)
    made = (
        _sklearn()
        .manifold.TSNE(perplexity=perplexity, init="pca", random_state=seed)
        .fit_transform(cells.features[kept])
    )
    return [
        {"case": cells.cases[i], "id": int(cells.classes[i]), "x": float(x), "y": float(y)}
        for i, (x, y) in zip(kept, made, strict=True)
    ]
