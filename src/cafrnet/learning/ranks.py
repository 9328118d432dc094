"""Several processes, one batch: what a loss over the whole batch needs from the others.

Each rank (process) holds a share of the images. A loss that is a mean over the batch can be averaged over
ranks; Dice, which is a ratio of sums, and CLR, which compares images with each other, can't: they are made
from the sums, or from the features, of all ranks. Every rank then has the same loss, and the gradients that
DistributedDataParallel averages are those of one process with the whole batch (tested). Without several
processes all functions return what came.

Own code: in torch 2.13 ``torch.distributed.nn.functional`` is deprecated, and on gloo its ``all_gather``
scrambles gradients that lie permuted in memory, as those of a map whose channels were moved (tested).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor, distributed

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
    if count() == 1:
        return x
    summed: Tensor = _Total.apply(x)  # type: ignore[no-untyped-call]
    return summed


def gathered(x: Tensor) -> Tensor:
    """Return the shares [b, ...] of all ranks as the whole batch [b * ranks, ...], in its order before
    :func:`share`.

    Gradients reach every rank's share. All shares have the same shape.
    """
    if count() == 1:
        return x
    parts: Tensor = _Gathered.apply(x)  # type: ignore[no-untyped-call]
    return parts.transpose(0, 1).flatten(0, 1)


class _Total(torch.autograd.Function):
    """Sum over ranks, forwards and backwards."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return _summed(x)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:  # type: ignore[override]
        return _summed(gradient)


class _Gathered(torch.autograd.Function):
    """[b, ...] of each rank -> [ranks, b, ...]."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        parts = torch.empty((count(), *x.shape), dtype=x.dtype, device=x.device)
        distributed.all_gather(list(parts), x.contiguous())
        return parts

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:  # type: ignore[override]
        return _summed(gradient)[distributed.get_rank()]


def _summed(x: Tensor) -> Tensor:
    x = x.clone(memory_format=torch.contiguous_format)
    distributed.all_reduce(x)
    return x


def collected(values: Sequence[T]) -> list[T]:
    """Return the values of all ranks in one list, rank after rank; for a few small values."""
    ranks = count()
    if ranks == 1:
        return list(values)
    lists: list[list[T]] = [[] for _ in range(ranks)]
    distributed.all_gather_object(lists, list(values))
    return [value for one in lists for value in one]
