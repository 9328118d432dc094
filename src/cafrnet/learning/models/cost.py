"""Multiply-accumulates and parameters, counted one way for every model.

Counted are convolutions, transposed convolutions, linear layers and the two attention products, nothing
else. Libraries disagree here: some skip fused attention in eval mode, some count the fused fast path as 0.
So the products are counted from torch's own operator stream, with the fast path off and attention in its
plain form, and a test compares the count with one made by hand.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode


def count_macs(model: nn.Module, shape: tuple[int, ...]) -> int:
    """Return the multiply-accumulates of one forward pass in eval mode.

    Args:
        model: any network.
        shape: of the input, for example ``(1, 1, 256, 256)``.
    """
    was_training, fast = model.training, torch.backends.mha.get_fastpath_enabled()
    model.eval()
    torch.backends.mha.set_fastpath_enabled(False)
    device = next(model.parameters()).device
    try:
        with FlopCounterMode(display=False) as counter, torch.no_grad(), sdpa_kernel(SDPBackend.MATH):
            model(torch.zeros(shape, device=device))
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
        model.train(was_training)
    return counter.get_total_flops() // 2


def count_parameters(model: nn.Module) -> int:
    """Return the number of trainable parameters used in inference (what exists only for CLR is left out)."""
    training_only = getattr(model, "fuse", None)
    extra = sum(p.numel() for p in training_only.parameters()) if isinstance(training_only, nn.Module) else 0
    return sum(p.numel() for p in model.parameters() if p.requires_grad) - extra
