"""Whether two models find the same: on seeded phantoms, structure by structure."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from ...errors import InputError
from ...inference import Model, load_model
from ...inference.segment import SLICES_AT_ONCE, checked_logits
from ...labels import TABLE
from ...phantom import SMALL, make_phantom
from ...phantom.writing import case_rng
from ...preprocessing import prepare
from ...scan import Scan

#: Phantoms that are looked at, and the seed they come from.
PHANTOMS, SEED = 4, 20
#: A structure of more voxels than this counts, and must agree at least this well.
MORE_VOXELS, LEAST_DICE = 50, 0.995


def agreement(source: Path, other: Path, scans: Iterable[Scan] | None = None) -> dict[str, float]:
    """Compare what the networks of two model folders answer, on the model grid, before any post-processing.

    Args:
        source: the one to agree with.
        other: the one that is tried.
        scans: to compare on; None takes seeded phantoms.

    Returns:
        Name of each structure that counts -> Dice over all scans.

    Raises:
        InputError: a structure agrees less than 0.995, or the source finds none of more than 50 voxels, so
            that nothing can be shown.
    """
    models = load_model(source), load_model(other)
    both, sizes = _counts(models, phantoms() if scans is None else scans)
    counted = [i for i in range(1, len(TABLE)) if sizes[0, i] > MORE_VOXELS]
    if not counted:
        raise InputError(
            f"{source} finds no structure of more than {MORE_VOXELS} voxels on the scans it was tried on, so "
            "its agreement can't be shown; name labelled scans that it knows with --fixtures DIR"
        )
    dice = {TABLE[i].name: float(2 * both[i] / sizes[:, i].sum()) for i in counted}
    if low := {name: value for name, value in dice.items() if value < LEAST_DICE}:
        shown = ", ".join(f"{name} {value:.4f}" for name, value in low.items())
        raise InputError(
            f"the stored model differs from {source}: Dice {shown}; at least {LEAST_DICE} was expected. "
            "Nothing was written"
        )
    return {name: round(value, 5) for name, value in dice.items()}


def phantoms() -> Iterable[Scan]:
    """Yield the seeded phantoms, one at a time."""
    for number in range(PHANTOMS):
        yield make_phantom(case_rng(SEED, number), SMALL).scan


def _counts(models: tuple[Model, Model], scans: Iterable[Scan]) -> tuple[np.ndarray, np.ndarray]:
    """Return voxels that agree [ids], and voxels of each model [2, ids]."""
    both, sizes = np.zeros(256, np.int64), np.zeros((2, 256), np.int64)
    for scan in scans:
        maps = [_labels(scan, model) for model in models]
        both += np.bincount(maps[0][maps[0] == maps[1]], minlength=256)
        sizes += [np.bincount(m.ravel(), minlength=256) for m in maps]
    return both, sizes


def _labels(scan: Scan, model: Model) -> np.ndarray:
    """Return the network's own answer on the model grid: [slices, rows, columns] ids."""
    images = prepare(scan, model.preprocessing).images[:, None]
    parts = np.array_split(images, range(SLICES_AT_ONCE, len(images), SLICES_AT_ONCE))
    return np.concatenate([checked_logits(model, part).argmax(axis=1) for part in parts])
