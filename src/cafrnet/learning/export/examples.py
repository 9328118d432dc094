"""Slices with truth, ready for a network: seeded phantoms or a labelled dataset."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from ...datasets import Case
from ...labels import ValueSets
from ...phantom import SMALL, make_phantom
from ...phantom.writing import case_rng
from ...preprocessing import Preprocessing, prepare, prepare_truth

#: The seeds of phantoms that an export is tried on, and of those that int8 is calibrated on.
CHECK_SEED, CALIBRATION_SEED = 20, 21


@dataclass(frozen=True, eq=False)
class Example:
    """One scan on the model grid.

    Attributes:
        name: for messages.
        images: [s, y, x] float32 in [0, 1].
        truth: [s, y, x], values of ``sets``.
        sets: what the truth's values stand for.
    """

    name: str
    images: np.ndarray
    truth: np.ndarray
    sets: ValueSets


def phantom_examples(settings: Preprocessing, count: int, seed: int) -> Iterator[Example]:
    """Yield phantoms; the same seed gives the same ones."""
    for number in range(1, count + 1):
        phantom = make_phantom(case_rng(seed, number), SMALL)
        ready = prepare(phantom.scan, settings)
        truth = prepare_truth(phantom.labels, phantom.scan, ready.grid)
        yield Example(f"phantom {number}", ready.images, truth, ValueSets.identity())


def case_examples(settings: Preprocessing, cases: Iterable[Case]) -> Iterator[Example]:
    """Yield labelled cases.

    Raises:
        InputError: a case can't be read or has no truth.
    """
    for case in cases:
        scan = case.read()
        ready = prepare(scan, settings)
        yield Example(
            case.id, ready.images, prepare_truth(case.read_truth(scan), scan, ready.grid), case.sets
        )


def draw_slices(examples: Iterable[Example], per_scan: int, rng: np.random.Generator) -> np.ndarray:
    """Return [n, 1, y, x] float32: up to ``per_scan`` slices of each scan, drawn without repetition."""
    drawn = []
    for example in examples:
        count = min(per_scan, len(example.images))
        drawn.append(example.images[np.sort(rng.choice(len(example.images), count, replace=False))])
    return np.concatenate(drawn)[:, None].astype(np.float32)
