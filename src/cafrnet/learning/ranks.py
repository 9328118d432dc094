"""Several processes, one batch: what a loss over the whole batch needs from the others.

Each rank (process) holds a share of the images. A loss that is a mean over the batch can be averaged over
ranks; Dice, which is a ratio of sums, and CLR, which compares images with each other, can't: they are made
from the sums, or from the features, of all ranks. Every rank then has the same loss, and the gradients that
DistributedDataParallel averages are those of one process with the whole batch (tested). Without several
processes all functions return what came.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import torch
from torch import Tensor, distributed
from torch.distributed.nn import functional as across

T = TypeVar("T")


def count() -> int:
    """Return how many processes train together."""
    return distributed.get_world_size() if distributed.is_available() and distributed.is_initialized() else 1


def share(batch: Sequence[T], rank: int, ranks: int) -> Sequence[T]:
    """Return one rank's share of a batch: every ``ranks``-th of it, from ``rank``.

    Not a block, since a batch begins with what was drawn for the sake of rare classes.
    """
    return batch[rank::ranks]


def total(x: Tensor) -> Tensor:
    """Return the sum of ``x`` over the ranks; gradients reach every rank's ``x``."""
    return across.all_reduce(x) if count() > 1 else x


def gathered(x: Tensor) -> Tensor:
    """Return the shares [b, ...] of all ranks as the whole batch [b * ranks, ...], in its order before
    :func:`share`.

    Gradients reach every rank's share. All shares have the same shape.
    """
    ranks = count()
    if ranks == 1:
        return x
    if x.requires_grad:
        parts = list(across.all_gather(x.contiguous()))
    else:
        parts = [torch.empty_like(x) for _ in range(ranks)]
        distributed.all_gather(parts, x.contiguous())
    return torch.stack(parts, dim=1).flatten(0, 1)


def collected(values: Sequence[T]) -> list[T]:
    """Return the values of all ranks in one list, rank after rank; for a few small values."""
    ranks = count()
    if ranks == 1:
        return list(values)
    lists: list[list[T]] = [[] for _ in range(ranks)]
    distributed.all_gather_object(lists, list(values))
    return [value for one in lists for value in one]
