"""Sampled features of test cases, as CLR sees them.

A run without CLR has no fused map: its 1 x 1 convolution exists for CLR only. What both have is what that map
is made of: the three taps at 1/4, concatenated (Sect. 3.1). That is compared, each channel scaled to mean 0
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

from ...errors import UsageError
from ...learning.losses.clr import cell_labels
from ..layout import RunFolder
from .networks import cases_of, load_network, model_grid
from .runs import test_cases

#: Cells per class and case.
CELLS = 16


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
        UsageError: the network has no taps. InputError: a case or the weights can't be read.
    """
    network, recipe = load_network(run.path)
    if not isinstance(getattr(network, "recalibrate", None), torch.nn.ModuleList):
        raise UsageError(f"{run.name}: its network has no taps ('recalibrate'); name a run of cafr_net")
    features, classes, names = [], [], []
    for case, images, truth, codes in model_grid(cases_of(data, test_cases(run)), recipe):
        maps = torch.cat([_joined(taps_of(network, chunk)) for chunk in images.split(4)])
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


def taps_of(network: torch.nn.Module, images: torch.Tensor) -> list[torch.Tensor]:
    """Return what goes into the network's ``recalibrate``: the encoder's taps, finest first."""
    taps: list[torch.Tensor] = []
    modules: Any = network.recalibrate
    handles = [m.register_forward_pre_hook(lambda _, inputs: taps.append(inputs[0])) for m in modules]
    try:
        with torch.no_grad():
            network(images)
    finally:
        for handle in handles:
            handle.remove()
    return sorted(taps, key=lambda t: -t.shape[-1])


def _joined(taps: Sequence[torch.Tensor]) -> torch.Tensor:
    """Return the taps at the finest one's resolution, concatenated: [s, c, h, w]."""
    size = taps[0].shape[-2:]
    return torch.cat([F.interpolate(t, size=size, mode="bilinear", align_corners=False) for t in taps], dim=1)
