"""One training of one row on one fold with one seed: a job that any engine can run anywhere."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import UsageError
from ..learning.recipes import Recipe, load_recipe
from .layout import Folder, RunFolder
from .protocol import Budget
from .rows import Row

#: Raised when what a job does changes, so that older results are not taken for new ones.
VERSION = 1
#: What of a recipe is about machines, not about the experiment.
MACHINERY = ("workers", "devices", "nodes", "strategy", "compile")


@dataclass(frozen=True, eq=False)
class Job:
    """What is trained, on what, and where the result goes. Plain values: it travels between processes.

    Attributes:
        run: where the result goes.
        recipe: the row's recipe under the budget, with the seed.
        data: folder of the dataset; ``data_hash`` of its images and masks.
        split: file of the split; ``split_hash`` of its content.
        fold: which fold is tested; None where the split has no folds (fewer training cases).
        thresholds: file of the regions' thresholds.
        threads: of this job; None takes all cores.
    """

    run: RunFolder
    recipe: Recipe
    data: Path
    data_hash: str
    split: Path
    split_hash: str
    fold: int | None
    thresholds: Path
    threads: int | None = None

    @property
    def hash(self) -> str:
        """64 hexadecimal digits over all that decides the result; not over who computes it."""
        return _digest(
            {
                "version": VERSION,
                "recipe": essence(self.recipe),
                "data": self.data_hash,
                "split": self.split_hash,
                "fold": self.fold,
            }
        )


def essence(recipe: Recipe) -> dict[str, Any]:
    """Return what of a recipe decides the weights, so that two ways to say one thing are one experiment.

    Who computes decides nothing; where CLR has no weight, its settings neither.
    """
    raw = recipe.model_dump(mode="json")
    for key in MACHINERY:
        raw["training"].pop(key)
    if not (recipe.clr.enabled and recipe.loss.clr > 0):
        raw["clr"], raw["loss"]["clr"] = {"enabled": False}, 0.0
    return raw


def recipe_for(row: Row, budget: Budget, changes: Sequence[str], seed: int) -> Recipe:
    """Return a row's recipe: its own, then the budget, then the user's changes, then the row's.

    Raises:
        UsageError: a change that the recipe refuses, or one that is the budget's or the row's business.
    """
    words = [*budget.words(), *changes, *row.changes, f"training.seed={seed}"]
    try:
        return load_recipe(row.recipe, words)
    except UsageError as error:
        raise UsageError(f"row {row.name}: {error}") from error


@dataclass(frozen=True)
class Place:
    """What all jobs of a reproduction share."""

    folder: Folder
    data: Path
    data_hash: str
    split_hash: str
    threads: int | None = None


@dataclass(frozen=True)
class Plan:
    """All jobs of a reproduction, and where each row's results lie.

    Attributes:
        jobs: in the order in which they are run: fold by fold, so that what is there early compares all rows.
        folder_of: row -> name of the folder with its results: rows that are one experiment share it.
        recipes: row -> its recipe with the first seed.
        rows: name -> row.
    """

    jobs: tuple[Job, ...]
    folder_of: dict[str, str]
    recipes: dict[str, Recipe]
    rows: dict[str, Row]

    def expected(self, row: str, folds: Sequence[int]) -> list[Job]:
        """Return the jobs that a row should have on these folds."""
        return [j for j in self.jobs if j.run.row == self.folder_of[row] and j.run.fold in folds]


def plan(
    asked: Sequence[tuple[Row, tuple[int, ...]]], budget: Budget, changes: Sequence[str], place: Place
) -> Plan:
    """Turn rows into jobs, each experiment once.

    Args:
        asked: rows of all tables with the folds they are wanted on; a row may come more than once.
        budget: for all of them.
        changes: words for all of them.
        place: data, split and folder.

    Raises:
        UsageError: a recipe that doesn't hold, or one name for two experiments.
    """
    folder_of: dict[str, str] = {}
    key_of: dict[str, str] = {}
    recipes: dict[str, Recipe] = {}
    first: dict[str, Row] = {}
    wanted: dict[str, set[int]] = {}
    for row, folds in asked:
        recipe = recipe_for(row, budget, changes, budget.seeds[0])
        key = _digest({**essence(recipe), "train_cases": row.train_cases})
        owner = first.setdefault(key, row)
        folder_of[row.name] = owner.name
        if key_of.setdefault(row.name, key) != key:
            raise UsageError(f"two experiments are called {row.name!r}; give the recipe file another name")
        recipes[row.name] = recipe
        wanted.setdefault(owner.name, set()).update(folds)
    jobs = [
        _job(row, budget, changes, place, fold, seed)
        for seed in budget.seeds
        for fold in sorted({f for folds in wanted.values() for f in folds})
        for row in first.values()
        if fold in wanted[row.name]
    ]
    return Plan(tuple(jobs), folder_of, recipes, {row.name: row for row, _ in asked})


def _job(row: Row, budget: Budget, changes: Sequence[str], place: Place, fold: int, seed: int) -> Job:
    split, split_hash = place.folder.split, place.split_hash
    if row.train_cases is not None:
        split = place.folder.small_split(row.train_cases, fold, seed)
        split_hash = f"{split_hash}/train{row.train_cases}"
    return Job(
        run=place.folder.run(row.name, fold, seed),
        recipe=recipe_for(row, budget, changes, seed),
        data=place.data,
        data_hash=place.data_hash,
        split=split,
        split_hash=split_hash,
        fold=fold if row.train_cases is None else None,
        thresholds=place.folder.thresholds,
        threads=place.threads,
    )


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
