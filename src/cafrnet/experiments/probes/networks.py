"""A trained network back in torch, for what only its insides tell. Results never come this way."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file

from ...datasets import Case, open_dataset
from ...errors import InputError
from ...learning.codes import TruthCodes
from ...learning.recipes import Recipe
from ...learning.recipes.load import check
from ...learning.training.module import network_for
from ...preprocessing import Preprocessing, prepare, prepare_truth
from .runs import read_config

#: Of a network's weights within those of a run, which hold what surrounds it in training too.
PREFIX = "network."


def load_network(run: Path) -> tuple[torch.nn.Module, Recipe]:
    """Return the network with the best weights of a run, in inference mode, and its recipe.

    Raises:
        UsageError: not a run folder. InputError: ``best.safetensors`` is missing, damaged, or of another
            network.
    """
    recipe = check(read_config(run)["recipe"], str(run / "config.yaml"))
    network = network_for(recipe)
    path = run / "best.safetensors"
    if not path.is_file():
        raise InputError(
            f"{run} was kept without its weights ({path.name}), which are needed here; train it again"
        )
    try:
        weights = load_file(path)
        own = {k.removeprefix(PREFIX): v for k, v in weights.items() if k.startswith(PREFIX)}
        network.load_state_dict(own)
    except Exception as error:  # safetensors and torch share no public base class
        raise InputError(f"{path} is damaged or of another network: {error}") from error
    return network.eval(), recipe


def model_grid(
    cases: list[Case], recipe: Recipe
) -> Iterator[tuple[str, torch.Tensor, torch.Tensor, TruthCodes]]:
    """Yield each case as the network sees it.

    Yields:
        id, images [s, 1, H, W] float32 in [0, 1], truth [s, H, W] int64 codes, and what the codes stand for.

    Raises:
        InputError: a case can't be read.
    """
    settings = Preprocessing(**recipe.preprocessing.model_dump())
    for case in cases:
        codes = TruthCodes.of([case.sets], recipe.num_classes)
        scan = case.read()
        ready = prepare(scan, settings)
        truth = prepare_truth(codes.encode(case.read_truth(scan), case.sets), scan, ready.grid)
        yield (
            case.id,
            torch.from_numpy(ready.images)[:, None],
            torch.from_numpy(truth.astype(np.int64)),
            codes,
        )


def cases_of(data: str | Path, ids: tuple[str, ...]) -> list[Case]:
    """Open a dataset and return some of its cases."""
    return open_dataset(data).select(list(ids))
