"""Class-aware construction of batches: a pure function of seed, epoch and step."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np


@dataclass(frozen=True)
class Draw:
    """One slice of a batch.

    Attributes:
        index: of the slice among all training slices.
        wanted: the class for whose sake it was drawn, or -1.
        seed: of its augmentation.
        view: number of the augmented view of that slice.
    """

    index: int
    wanted: int
    seed: int
    view: int


@dataclass(frozen=True, eq=False)
class BatchPlan:
    """The slices of every batch of a run.

    A share of each batch is drawn for a class: classes uniformly from those that occur, then one of the
    slices that hold the class. The rest walks through a fresh permutation of all slices per epoch.

    Args:
        presence: [slices, classes] bool, what each training slice holds (background left out).
        batch: slices per step; with more than one view, each slice counts ``views`` times.
        steps: steps per epoch.
        class_aware: share of the batch that is drawn for a class, 0 to 1.
        views: augmented views of each slice.
        seed: of the run.

    Source: "class-aware sampling during batch construction" (Sect. 3.3, Table 2). The paper gives no rule.
    """

    presence: np.ndarray
    batch: int
    steps: int
    class_aware: float
    views: int
    seed: int

    def draws(self, epoch: int, step: int) -> list[Draw]:
        """Return the slices of one step, from nothing but seed, epoch and step."""
        rng = np.random.default_rng((self.seed, 1, epoch, step))
        n_slices = len(self.presence)
        count = self.batch // self.views
        n_class = round(count * self.class_aware)
        classes = np.flatnonzero(self.presence.any(axis=0))
        chosen: list[tuple[int, int]] = []
        for wanted in rng.choice(classes, n_class) if len(classes) else ():
            chosen.append((int(rng.choice(self._holding[wanted])), int(wanted)))
        order = self._order(epoch)
        start = step * (count - n_class)
        chosen += [(int(order[(start + k) % n_slices]), -1) for k in range(count - len(chosen))]
        return [
            Draw(index, wanted, int(rng.integers(2**31)), view)
            for index, wanted in chosen
            for view in range(self.views)
        ]

    @cached_property
    def _holding(self) -> list[np.ndarray]:
        return [np.flatnonzero(of_class) for of_class in self.presence.T]

    def _order(self, epoch: int) -> np.ndarray:
        return np.random.default_rng((self.seed, 2, epoch)).permutation(len(self.presence))

    def frequencies(self, epoch: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the share of slices that hold each class, over the data and over one epoch's batches."""
        drawn = [d.index for step in range(self.steps) for d in self.draws(epoch, step)]
        return self.presence.mean(axis=0), self.presence[drawn].mean(axis=0)
