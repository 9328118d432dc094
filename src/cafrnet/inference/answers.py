"""What a model says about the slices of one scan, in order and a few at a time.

Axes: n = slice, k = class, y, x = model grid.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain

import numpy as np

from ..errors import InputError
from ..labels import TABLE
from .model import Model

#: Slices that go through the network together: enough to fill two cores, few enough to bound memory.
SLICES_AT_ONCE = 2
#: Logit of a class that was not trained: never the largest, and still finite for interpolating.
NOT_TRAINED = -1e4
#: Standard deviation over which neighbouring slices share their logits, mm, and the least share worth the
#: time. Chosen on fold 0 (docs/levels.md): more brings little there, and costs names where slices are thick.
BLEND_MM, LEAST_SHARE = 1.3, 0.02


def checked_logits(model: Model, images: np.ndarray) -> np.ndarray:
    """Return the logits of a few slices [n, 1, y, x], checked; classes that were not trained can't win."""
    logits = model.engine(images)
    expected = (len(images), model.num_classes, *images.shape[2:])
    if logits.shape != expected:
        raise InputError(f"{model.path}: logits of shape {logits.shape} came, {expected} was expected")
    if not np.isfinite(logits).all():
        raise InputError(f"{model.path}: the model gave NaN or infinite logits; export it again")
    if model.not_trained_ids:
        logits[:, list(model.not_trained_ids)] = NOT_TRAINED
    return logits


def calibrated_logits(model: Model, images: np.ndarray) -> np.ndarray:
    """Return :func:`checked_logits` with the offsets of the model's calibration added, kind by kind.

    That is the step ``offsets`` of post-processing.
    """
    logits = checked_logits(model, images)
    options = model.postprocessing
    on = options.kinds and options.offsets
    for kind, offset in model.calibration.offsets.items() if model.calibration and on else ():
        ids = [i for i in TABLE.of_kind(kind) if i < model.num_classes]
        logits[:, ids] += np.float32(offset)
    return logits


def answers(
    model: Model,
    images: np.ndarray,
    slice_mm: float,
    ask: Callable[[Model, np.ndarray], np.ndarray] = calibrated_logits,
) -> Iterator[tuple[int, np.ndarray]]:
    """Run a scan's slices through a model.

    Neighbours share their logits where slices lie near each other (the step ``blend``): what a body or a disc
    looks like changes little over a millimetre or two, the network's doubts do.

    Args:
        model: see :func:`.model.load_model`.
        images: [n, y, x] of all slices, in order.
        slice_mm: from one slice to the next.
        ask: :func:`calibrated_logits`, or another way to ask for the logits of a few slices.

    Returns:
        An iterator over (number of the first slice, logits [n, k, y, x] of it and the next ones).

    Raises:
        InputError: the network gave something else than finite logits.
    """
    plain = _asked(model, images, ask)
    options = model.postprocessing
    share = neighbours_share(slice_mm) if options.kinds and options.blend and len(images) > 1 else 0.0
    return _blended(plain, share) if share else plain


def neighbours_share(slice_mm: float) -> float:
    """Return the weight of each of a slice's two neighbours, 0 where they are too far away."""
    fall = np.exp(-0.5 * (slice_mm / BLEND_MM) ** 2)
    share = float(fall / (1 + 2 * fall))
    return share if share >= LEAST_SHARE else 0.0


def _asked(
    model: Model, images: np.ndarray, ask: Callable[[Model, np.ndarray], np.ndarray]
) -> Iterator[tuple[int, np.ndarray]]:
    first = 0
    while first < len(images):
        count = SLICES_AT_ONCE if model.memory is None else min(SLICES_AT_ONCE, model.memory.slices())
        some = images[first : first + count, None]
        yield first, ask(model, some)  # held by nobody here while the next ones are made
        first += len(some)


def _blended(parts: Iterator[tuple[int, np.ndarray]], share: float) -> Iterator[tuple[int, np.ndarray]]:
    """Mix each slice with the ones before and after it; beyond an end lies that end's own slice."""
    before, here, number = None, None, 0
    for after in chain((one for _, logits in parts for one in logits), [None]):
        if here is not None:
            sides = (here if before is None else before) + (here if after is None else after)
            yield number, ((1 - 2 * share) * here + share * sides)[None]
            number += 1
        before, here = here, after
