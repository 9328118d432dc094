"""What a network really does: shapes, multiply-accumulates and parameters of each of its blocks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Block:
    """One part of a network, as it was called.

    Attributes:
        name: in the network (``"stages.0"``).
        kind: its class.
        shape: of what it gives, without the batch.
        macs: multiply-accumulates of one image.
        parameters: trainable ones.
    """

    name: str
    kind: str
    shape: Shape
    macs: int
    parameters: int


@dataclass(frozen=True)
class Trace:
    """One forward pass in inference.

    Attributes:
        shape: of the input, without the batch.
        blocks: in the order in which they were called.
        macs: of the whole pass; ``elsewhere`` is what no block did.
        macs_of: full name of any module -> its multiply-accumulates.
        embeddings: name -> shape of the maps for CLR, which exist in training only.
    """

    shape: Shape
    blocks: tuple[Block, ...]
    macs: int
    macs_of: Mapping[str, int]
    embeddings: Mapping[str, Shape]

    @property
    def elsewhere(self) -> int:
        """Multiply-accumulates outside all blocks."""
        return self.macs - sum(block.macs for block in self.blocks)

    def __getitem__(self, name: str) -> Block:
        """Return a block by its name; KeyError where there is none."""
        return {block.name: block for block in self.blocks}[name]


def trace(network: nn.Module, shape: tuple[int, ...] = (1, 1, 256, 256)) -> Trace:
    """Run a network once, with hooks on its blocks.

    Args:
        network: on any device; ``meta`` (shapes without weights) is enough.
        shape: of the input, batch first.

    Counted as in :func:`cafrnet.learning.models.cost.count_macs`: the sum over blocks is that figure.
    """
    device = next(network.parameters()).device
    called: list[tuple[str, nn.Module, Shape]] = []
    handles = [
        module.register_forward_hook(_remember(called, name, module)) for name, module in blocks_of(network)
    ]
    was_training, fast = network.training, torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    network.eval()
    try:
        with FlopCounterMode(display=False) as counter, torch.no_grad(), sdpa_kernel(SDPBackend.MATH):
            network(torch.zeros(shape, device=device))
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
        network.train(was_training)
        for handle in handles:
            handle.remove()
    prefix = f"{type(network).__name__}."
    counts = {
        name.removeprefix(prefix): sum(ops.values()) // 2 // shape[0]
        for name, ops in counter.get_flop_counts().items()
    }
    return Trace(
        shape[1:],
        tuple(_block(name, module, out, counts) for name, module, out in called),
        counter.get_total_flops() // 2 // shape[0],
        counts,
        embedding_shapes(network, shape),
    )


def blocks_of(network: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """Yield the network's children, and of lists their items."""
    for name, child in network.named_children():
        if isinstance(child, nn.ModuleList | nn.ModuleDict):
            yield from ((f"{name}.{key}", item) for key, item in child.named_children())
        else:
            yield name, child


def embedding_shapes(network: nn.Module, shape: tuple[int, ...]) -> dict[str, Shape]:
    """Return the shapes of the maps that a network hands out in training; none where it has no such maps."""
    if getattr(network, "fuse", None) is None:
        return {}
    was_training = network.training
    network.train()
    try:
        with torch.no_grad():
            out = network(torch.zeros(shape, device=next(network.parameters()).device))
    finally:
        network.train(was_training)
    return {name: tuple(e.shape[1:]) for name, e in out.embeddings.items()}


def _remember(called: list[tuple[str, nn.Module, Shape]], name: str, module: nn.Module) -> Any:
    def hook(_: nn.Module, __: Any, out: Any) -> None:
        first = out[0] if isinstance(out, (tuple, list)) else out
        called.append((name, module, tuple(first.shape[1:])))

    return hook


def _block(name: str, module: nn.Module, shape: Shape, counts: Mapping[str, int]) -> Block:
    parameters = sum(p.numel() for p in module.parameters() if p.requires_grad)
    return Block(name, type(module).__name__, shape, counts.get(name, 0), parameters)


def shape_text(shape: Shape) -> str:
    """Return ``64 x 64 x 64`` for a map (channels, height, width), ``256 tokens x 768`` for tokens."""
    if len(shape) == 2:
        return f"{shape[0]} tokens x {shape[1]}"
    return " x ".join(map(str, shape))


def count_text(count: int) -> str:
    """Return ``4.727 M``, ``4.7 k`` or ``340``: a number of parameters."""
    if count >= 1e5:
        return f"{count / 1e6:.3f} M"
    return f"{count / 1e3:.1f} k" if count >= 1e3 else str(count)


def macs_text(macs: int) -> str:
    """Return ``1.309 GMACs`` or ``19.1 MMACs``."""
    if macs >= 1e9:
        return f"{macs / 1e9:.3f} GMACs"
    return f"{macs / 1e6:.1f} MMACs" if macs else "no MACs"
