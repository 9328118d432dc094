"""Training data: cases brought to the model grid once, then batches drawn from them.

Axes: s = slice of a case, n = slice of all cases, b = image of a batch.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset as TorchDataset

from ..datasets import Case
from ..errors import InputError
from ..preprocessing import Preprocessing, prepare, prepare_truth
from .augmentation import Augmentation
from .codes import TruthCodes
from .losses import Views
from .ranks import share
from .recipes.schema import Recipe
from .sampling import BatchPlan, Draw, patch_corner

logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class PreparedCase:
    """One case on the model grid.

    Attributes:
        id: of the case.
        images: [s, H, W] float16 in [0, 1].
        truth: [s, H, W] uint8 codes.
    """

    id: str
    images: np.ndarray
    truth: np.ndarray


def prepare_cases(cases: Sequence[Case], settings: Preprocessing, codes: TruthCodes) -> list[PreparedCase]:
    """Read and prepare labelled cases; a bad case is logged and left out, never silently.

    Raises:
        InputError: none of the cases could be used.
    """
    prepared = []
    for case in cases:
        try:
            scan = case.read()
            ready = prepare(scan, settings)
            truth = prepare_truth(codes.encode(case.read_truth(scan), case.sets), scan, ready.grid)
        except InputError as error:
            logger.error("case %s left out of training: %s", case.id, error)
        else:
            prepared.append(PreparedCase(case.id, ready.images.astype(np.float16), truth))
    if not prepared:
        raise InputError(
            f"none of the {len(cases)} cases could be used for training; run `cafrnet data check`"
        )
    return prepared


class Draws(NamedTuple):
    """Which slices make up one step; a pure function of seed, epoch and step.

    Attributes:
        at: [b] int64, slices among all training slices.
        corner: [b, 2] int64, upper left corner of the patch; 0 without patches.
        seed: of the step's augmentation.
        views: where each image comes from.
    """

    at: Tensor
    corner: Tensor
    seed: int
    views: Views


class Batch(NamedTuple):
    """One training step's data.

    Attributes:
        image: [b, 1, H, W] float32.
        truth: [b, H, W] int64 codes.
        views: where each image comes from.
    """

    image: Tensor
    truth: Tensor
    views: Views


class Slices:
    """All training slices as two tensors, on the device that trains.

    Args:
        cases: on the model grid.
    """

    def __init__(self, cases: Sequence[PreparedCase]) -> None:
        self.images = torch.from_numpy(np.concatenate([c.images for c in cases]))  # [n, H, W] float16
        self.truth = torch.from_numpy(np.concatenate([c.truth for c in cases]))  # [n, H, W] uint8

    def take(self, draws: Draws, patch: int | None, device: torch.device) -> tuple[Tensor, Tensor]:
        """Return images [b, 1, H, W] float32 and codes [b, H, W] uint8; moves all slices there once."""
        if self.images.device != device:
            self.images, self.truth = self.images.to(device), self.truth.to(device)
        index = draws.at.to(device)
        if patch is None:
            return self.images[index][:, None].float(), self.truth[index]
        windows = [
            (i, slice(r, r + patch), slice(c, c + patch))
            for i, (r, c) in zip(index.tolist(), draws.corner.tolist(), strict=True)
        ]
        images = torch.stack([self.images[w] for w in windows])
        return images[:, None].float(), torch.stack([self.truth[w] for w in windows])


@dataclass(frozen=True, eq=False)
class _Source:
    """One dataset's part in every batch: its plan, and where its slices begin among all."""

    plan: BatchPlan
    offset: int


class TrainingBatches(TorchDataset[Draws]):
    """All batches of one epoch; batch k is a pure function of seed, epoch and k.

    So workers, interruption, resumption and the device change nothing. A batch is first only drawn
    (:class:`Draws`); :meth:`make` takes its slices and augments them where the network lies.

    Args:
        cases: training cases on the model grid.
        codes: what their truth codes stand for.
        recipe: sampling, mix, augmentation, batch and seed.
        mixed: cases of the second source (``recipe.mix``).
    """

    def __init__(
        self,
        cases: Sequence[PreparedCase],
        codes: TruthCodes,
        recipe: Recipe,
        mixed: Sequence[PreparedCase] = (),
    ) -> None:
        everything = [*cases, *mixed]
        self.slices = Slices(everything)
        self.case = np.repeat(np.arange(len(everything)), [len(c.images) for c in everything])
        self.slice = np.concatenate([np.arange(len(c.images)) for c in everything])
        self._class_of = codes.singleton.numpy()
        self.presence = np.zeros((len(self.case), codes.num_classes), bool)
        for row, truth in zip(self.presence, (t for c in everything for t in c.truth), strict=True):
            present = self._class_of[np.flatnonzero(np.bincount(truth.ravel(), minlength=1))]
            row[present[present > 0]] = True
        frequency = self.presence.mean(axis=0)
        self._rarity = np.divide(1, frequency, out=np.zeros(codes.num_classes), where=frequency > 0)
        self.recipe, self.steps = recipe, recipe.training.steps_per_epoch
        self._sources = list(self._plans(sum(len(c.images) for c in cases)))
        self._augment = Augmentation(recipe.augmentation, codes)
        self._patch = recipe.sampling.patch if recipe.sampling.unit == "patch" else None
        self.epoch, self.rank, self.ranks = 0, 0, 1

    def _plans(self, first: int) -> Iterator[_Source]:
        t, s = self.recipe.training, self.recipe.sampling
        rest = round(t.batch // s.views * self.recipe.mix.share) * s.views
        for number, (batch, rows) in enumerate(
            ((t.batch - rest, slice(None, first)), (rest, slice(first, None)))
        ):
            if batch:
                plan = BatchPlan(
                    self.presence[rows],
                    batch,
                    t.steps_per_epoch,
                    s.class_aware,
                    s.views,
                    t.seed + 7919 * number,
                )
                yield _Source(plan, rows.start or 0)

    def __len__(self) -> int:
        return self.steps

    def draws(self, epoch: int, step: int) -> list[Draw]:
        """Return the slices of one step over all sources."""
        return [
            replace(d, index=d.index + source.offset)
            for source in self._sources
            for d in source.plan.draws(epoch, step)
        ]

    def frequencies(self, epoch: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the share of slices that hold each class, over the data and over one epoch's batches."""
        drawn = [d.index for step in range(self.steps) for d in self.draws(epoch, step)]
        return self.presence.mean(axis=0), self.presence[drawn].mean(axis=0)

    def __getitem__(self, step: int) -> Draws:
        """Return one batch as it is drawn: this process's share of it (:attr:`rank` of :attr:`ranks`)."""
        draws = share(self.draws(self.epoch, step), self.rank, self.ranks)
        at = [d.index for d in draws]
        views = Views(
            torch.from_numpy(self.case[at]),
            torch.from_numpy(self.slice[at]),
            torch.tensor([d.view for d in draws]),
        )
        corners = [self._corner(d) if self._patch else (0, 0) for d in draws]
        return Draws(torch.tensor(at), torch.tensor(corners), draws[0].seed, views)

    def make(self, draws: Draws, device: torch.device) -> Batch:
        """Take the slices of a batch and augment them on a device."""
        image, truth = self.slices.take(draws, self._patch, device)
        image, truth = self._augment(image, truth, draws.seed)
        return Batch(image, truth.long(), Views(*(v.to(device) for v in draws.views)))

    def _corner(self, draw: Draw) -> tuple[int, int]:
        assert self._patch
        rng = np.random.default_rng(draw.seed)
        truth = self._class_of[self.slices.truth[draw.index].cpu().numpy()]
        return patch_corner(truth, draw.wanted, self._patch, self._rarity, rng)
