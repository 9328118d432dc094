"""The fused map of Sect. 3.1, on which CLR works."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from ..types import Features


class FusedMap(nn.Conv2d):
    """Bring all taps to the finest one's resolution, concatenate them, 1 x 1 convolution.

    Args:
        tap_channels: of the taps, finest first.
        channels: of the result.

    Shapes: taps [B, c_k, h_k, w_k] -> [B, channels, h_0, w_0].

    Source: Sect. 3.1 and 3.3. Decided beyond the paper: bilinear, and a 1 x 1 convolution.
    """

    def __init__(self, tap_channels: tuple[int, ...], channels: int) -> None:
        super().__init__(sum(tap_channels), channels, kernel_size=1)

    def forward(self, taps: list[Features]) -> Features:  # type: ignore[override]
        """Return the fused map."""
        size = taps[0].shape[-2:]
        same = [F.interpolate(t, size=size, mode="bilinear", align_corners=False) for t in taps]
        return super().forward(torch.cat(same, dim=1))
