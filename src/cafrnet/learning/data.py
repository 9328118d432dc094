"""Training data: cases brought to the model grid once, then batches drawn from them.

Axes: s = slice of a case, n = slice of all cases, b = image of a batch.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
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


class TrainingBatches(TorchDataset[Batch]):
    """All batches of one epoch; batch k is a pure function of seed, epoch and k.

    So workers, interruption and resumption change nothing.

    Args:
        cases: training cases on the model grid.
        codes: what their truth codes stand for.
        recipe: sampling, augmentation, batch and seed.
    """

    def __init__(self, cases: Sequence[PreparedCase], codes: TruthCodes, recipe: Recipe) -> None:
        self.images = np.concatenate([c.images for c in cases])
        self.truth = np.concatenate([c.truth for c in cases])
        self.case = np.repeat(np.arange(len(cases)), [len(c.images) for c in cases])
        self.slice = np.concatenate([np.arange(len(c.images)) for c in cases])
        self._class_of = codes.singleton.numpy()
        self.presence = np.zeros((len(self.images), codes.num_classes), bool)
        for row, truth in zip(self.presence, self.truth, strict=True):
            present = self._class_of[np.unique(truth)]
            row[present[present > 0]] = True
        frequency = self.presence.mean(axis=0)
        self._rarity = np.divide(1, frequency, out=np.zeros(codes.num_classes), where=frequency > 0)
        t, s = recipe.training, recipe.sampling
        self.plan = BatchPlan(self.presence, t.batch, t.steps_per_epoch, s.class_aware, s.views, t.seed)
        self._augment = Augmentation(recipe.augmentation)
        self._patch = s.patch if s.unit == "patch" else None
        self.epoch = 0

    def __len__(self) -> int:
        return self.plan.steps

    def __getitem__(self, step: int) -> Batch:
        """Return one batch, augmented."""
        draws = self.plan.draws(self.epoch, step)
        pairs = [self._one(d) for d in draws]
        at = [d.index for d in draws]
        views = Views(
            torch.from_numpy(self.case[at]),
            torch.from_numpy(self.slice[at]),
            torch.tensor([d.view for d in draws]),
        )
        images = np.stack([image for image, _ in pairs])[:, None].astype(np.float32)
        truth = np.stack([truth for _, truth in pairs]).astype(np.int64)
        return Batch(torch.from_numpy(images), torch.from_numpy(truth), views)

    def _one(self, draw: Draw) -> tuple[np.ndarray, np.ndarray]:
        image, truth = self.images[draw.index].astype(np.float32), self.truth[draw.index]
        if self._patch:
            rng = np.random.default_rng(draw.seed)
            corner = patch_corner(self._class_of[truth], draw.wanted, self._patch, self._rarity, rng)
            window = tuple(slice(c, c + self._patch) for c in corner)
            image, truth = image[window], truth[window]
        return self._augment(image, truth, draw.seed)
