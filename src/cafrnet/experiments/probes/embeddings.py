"""How far classes lie apart in the features that CLR works on, with CLR and without it.

A run without CLR has no fused map: its 1 x 1 convolution exists for CLR only. What both have is what the fused
map is made of: the three taps at 1/4, concatenated (Sect. 3.1). That is compared, each channel scaled to mean 0
and standard deviation 1 over the sampled cells.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F

from ...errors import MissingExtraError, UsageError
from ...evaluation.statistics import RESAMPLES
from ...evaluation.tables import write_csv
from ...learning.losses.clr import cell_labels
from ..layout import RunFolder
from .networks import cases_of, load_network, model_grid
from .runs import test_cases

#: Cells per class and case.
CELLS = 16
#: Cells of one t-SNE, so that it takes seconds.
TSNE_CELLS = 1500
COLUMNS = (
    "row",
    "fold",
    "seed",
    "cells",
    "cases",
    "classes",
    "between_to_within",
    "low",
    "high",
    "silhouette",
    "reason",
)


@dataclass(frozen=True, eq=False)
class Cells:
    """Sampled features of the test cases of one run.

    Attributes:
        features: [n, d], each channel with mean 0 and standard deviation 1.
        classes: [n] ids 0 to 19.
        cases: [n] case ids.
    """

    features: np.ndarray
    classes: np.ndarray
    cases: np.ndarray


def sample_features(run: RunFolder, data: str | Path, *, seed: int = 0) -> Cells:
    """Sample the same number of cells of every class from each test case.

    The cells depend on truth, case and seed alone, so two runs with one model grid give the same cells.

    Raises:
        UsageError: the network hands out no taps. InputError: a case or the weights can't be read.
    """
    network, recipe = load_network(run.path)
    encode: Any = getattr(network, "encode", None)
    if not callable(encode):
        raise UsageError(f"{run.name}: its network has no taps ('encode'); name a run of cafr_net")
    features, classes, names = [], [], []
    for case, images, truth, codes in model_grid(cases_of(data, test_cases(run)), recipe):
        with torch.no_grad():
            maps = torch.cat([_joined(encode(chunk)) for chunk in images.split(4)])
        labels = cell_labels(truth, codes, truth.shape[-1] // maps.shape[-1])
        flat = labels.flatten().numpy()
        at = choose_cells(flat, np.random.default_rng((seed, zlib.crc32(case.encode()))))
        features.append(maps.permute(0, 2, 3, 1).flatten(0, 2).numpy()[at])
        classes.append(flat[at])
        names.append(np.full(len(at), case))
    stacked = np.concatenate(features).astype(np.float64)
    spread = stacked.std(axis=0)
    scaled = (stacked - stacked.mean(axis=0)) / np.where(spread > 0, spread, 1)
    return Cells(scaled, np.concatenate(classes), np.concatenate(names))


def choose_cells(labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return indices of at most ``CELLS`` cells of each class in [n] labels; -1 is no class."""
    own = (np.flatnonzero(labels == c) for c in np.unique(labels[labels >= 0]))
    return np.concatenate([np.sort(rng.permutation(at)[:CELLS]) for at in own])


def _joined(taps: Sequence[torch.Tensor]) -> torch.Tensor:
    """Return the taps at the finest one's resolution, concatenated: [s, c, h, w]."""
    size = taps[0].shape[-2:]
    return torch.cat([F.interpolate(t, size=size, mode="bilinear", align_corners=False) for t in taps], dim=1)


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


def case_interval(
    cells: Cells, rng: np.random.Generator, *, level: float = 0.95, resamples: int = RESAMPLES // 50
) -> tuple[float, float] | None:
    """Return the percentile interval of :func:`between_to_within`, whole cases drawn; None for one case."""
    groups = [np.flatnonzero(cells.cases == c) for c in np.unique(cells.cases)]
    if len(groups) < 2:
        return None
    found = []
    for _ in range(resamples):
        at = np.concatenate([groups[i] for i in rng.integers(len(groups), size=len(groups))])
        found.append(between_to_within(cells.features[at], cells.classes[at]))
    known = [value for value in found if value is not None]
    low, high = np.percentile(known, [50 * (1 - level), 100 - 50 * (1 - level)])
    return float(low), float(high)


def separation(runs: Sequence[RunFolder], data: str | Path, out: Path, *, seed: int = 0) -> Path:
    """Measure class separation of some runs, for example the four of Table 4.

    Args:
        runs: of networks with taps.
        data: the dataset.
        out: folder for ``embeddings.csv`` and, for the picture, ``embeddings_tsne.csv``.
        seed: of cells, intervals and t-SNE.

    Returns:
        The path of ``embeddings.csv``: per run the ratio of :func:`between_to_within` over all test cases
        with an interval over cases, and the mean silhouette (Rousseeuw 1987; scikit-learn), -1 to 1.

    Raises:
        UsageError: no runs, or a network without taps. InputError: a case or weights can't be read.
    """
    if not runs:
        raise UsageError("no trained runs came; train the rows of table 4 first")
    rows, points = [], []
    for run in runs:
        cells = sample_features(run, data, seed=seed)
        rows.append({"row": run.row, "fold": run.fold, "seed": run.seed, **_measure(cells, seed)})
        points += [{"row": run.row, "fold": run.fold, "seed": run.seed, **p} for p in tsne(cells, seed)]
    write_csv(out / "embeddings_tsne.csv", ("row", "fold", "seed", "case", "id", "x", "y"), points)
    write_csv(out / "embeddings.csv", COLUMNS, rows)
    return out / "embeddings.csv"


def _measure(cells: Cells, seed: int) -> dict[str, Any]:
    ratio = between_to_within(cells.features, cells.classes)
    interval = case_interval(cells, np.random.default_rng(seed)) if ratio is not None else None
    classes = len(np.unique(cells.classes))
    enough = 2 <= classes < len(cells.classes)
    return {
        "cells": len(cells.classes),
        "cases": len(np.unique(cells.cases)),
        "classes": classes,
        "between_to_within": ratio,
        "low": interval[0] if interval else None,
        "high": interval[1] if interval else None,
        "silhouette": float(_sklearn().metrics.silhouette_score(cells.features, cells.classes))
        if enough
        else None,
        "reason": "" if interval else "an interval needs two cases and two classes",
    }


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
