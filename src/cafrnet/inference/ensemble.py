"""Several models that answer together: the mean of their probabilities."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import UsageError
from .calibration import joint
from .engines import Engine, model_file
from .model import Model, load_model
from .probabilities import log_probabilities, softmax


@dataclass(frozen=True, eq=False)
class Ensemble(Model):
    """A model made of models.

    Attributes:
        members: in the order given.
    """

    members: tuple[Model, ...] = ()

    @cached_property
    def hashes(self) -> dict[str, str]:
        """SHA-256 of the members' files; the key begins with the member's number, from 0."""
        return {f"{k}/{name}": h for k, m in enumerate(self.members) for name, h in m.hashes.items()}


def ensemble(models: Sequence[Model]) -> Model:
    """Put models together. One alone is returned as it is.

    Args:
        models: loaded, of the same label table (checked when they were loaded), outputs and preprocessing.

    Returns:
        A model whose probabilities are the mean of the members'. It costs as much as all of them; the scan is
        prepared once. The column is named with what was fitted for the first.

    Raises:
        UsageError: none, the same file twice, or models that do not fit together (the difference is named).
    """
    if not models:
        raise UsageError("no model came, at least one was expected")
    first = models[0]
    if len(models) == 1:
        return first
    for other in models[1:]:
        _refuse_misfit(first, other)
    files = [tuple(m.hashes.values()) for m in models]
    for k, hashes in enumerate(files):
        if hashes in files[:k]:
            raise UsageError(f"{models[k].path} is the same model as {models[files.index(hashes)].path}")
    paths = [m.path.resolve() for m in models]
    return Ensemble(
        path=Path(os.path.commonpath(paths)),
        engine=EnsembleEngine([m.engine for m in models], first.not_trained_ids),
        preprocessing=first.preprocessing,
        num_classes=first.num_classes,
        not_trained=first.not_trained,
        calibration=joint([m.calibration for m in models]),
        naming=first.naming,
        memory=first.memory,
        members=tuple(models),
    )


def load_models(paths: Sequence[str | os.PathLike[str]], **options: Any) -> Model:
    """Load one model or several that answer together.

    Args:
        paths: runs or bundles; a folder without a model of its own stands for the models in its subfolders
            (the folds of a cross-validation). None at all asks for the default bundle.
        options: ``threads``, ``engine`` and ``max_memory_mb`` of :func:`load_model`.

    Raises:
        UsageError: as :func:`ensemble` and :func:`load_model`. InputError: as :func:`load_model`.
    """
    if not paths:
        return load_model(**options)
    found = [one for path in paths for one in _folds(path)]
    return ensemble([load_model(one, **options) for one in found])


def _folds(path: str | os.PathLike[str]) -> list[str | os.PathLike[str]]:
    """Return the folders below that hold a model, where the folder itself holds none; else the path.

    Raises:
        UsageError: a run among them is not finished: fewer models than folds would answer without a word.
    """
    folder = Path(path)
    if not folder.is_dir() or model_file(folder).exists():
        return [path]
    below = sorted(folder.iterdir())
    found = [p for p in below if model_file(p).exists()]
    unfinished = [p.name for p in below if p not in found and (p / "config.yaml").is_file()]
    if found and unfinished:
        raise UsageError(
            f"{folder} holds runs without a model, {', '.join(unfinished)}: train them to their end, or name "
            "each of the others with --model"
        )
    return [*found] or [path]


def _refuse_misfit(a: Model, b: Model) -> None:
    """Raise UsageError where two models can't answer together; every difference is named."""
    differing = [
        f"{what} ({_said(getattr(a, what))} and {_said(getattr(b, what))})"
        for what in ("num_classes", "not_trained")
        if getattr(a, what) != getattr(b, what)
    ]
    ours, theirs = a.preprocessing.to_dict(), b.preprocessing.to_dict()
    differing += [
        f"{key} of the preprocessing ({ours[key]} and {theirs[key]})"
        for key in ours
        if ours[key] != theirs[key]
    ]
    if differing:
        raise UsageError(
            f"{a.path} and {b.path} can't answer together: they differ in {', '.join(differing)}; name "
            "models that were trained alike"
        )


def _said(value: int | tuple[str, ...]) -> str:
    return str(value) if isinstance(value, int) else ", ".join(value) or "none"


class EnsembleEngine:
    """Engines that are asked one after the other.

    Args:
        engines: with the same outputs.
        not_trained: ids that never get a probability.
    """

    def __init__(self, engines: Sequence[Engine], not_trained: Sequence[int] = ()) -> None:
        self.engines, self.not_trained = list(engines), list(not_trained)
        first = self.engines[0]
        self.name, self.metadata = first.name, first.metadata
        self.image_shape, self.logits_shape = first.image_shape, first.logits_shape

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Return the logarithm of the mean probability [n, k, y, x] for images [n, 1, y, x]."""
        total = np.zeros(1, np.float32)
        for engine in self.engines:
            logits = engine(images)
            if self.not_trained:
                logits[:, self.not_trained] = -1e4
            total = total + softmax(logits)
        return log_probabilities(total / np.float32(len(self.engines)))
