"""The residual bottleneck of "Big Transfer" (Kolesnikov et al., ECCV 2020)."""

from __future__ import annotations

import torch
from torch import nn

from ..types import Features

#: Groups of GroupNorm.
GROUPS = 32


class StandardisedConv(nn.Conv2d):
    """Convolution whose kernels have mean 0 and variance 1 (Qiao et al. 2019), per output channel.

    Shapes: as ``nn.Conv2d``.
    """

    def forward(self, features: Features) -> Features:
        """Standardise the kernels, then convolve."""
        variance, mean = torch.var_mean(self.weight, dim=(1, 2, 3), keepdim=True, correction=0)
        return self._conv_forward(features, (self.weight - mean) * (variance + 1e-5).rsqrt(), self.bias)


class Bottleneck(nn.Module):
    """1 x 1, 3 x 3 and 1 x 1 convolution, each with GroupNorm, added to the input.

    Args:
        channels: of the input.
        inner: of the 3 x 3 convolution, a multiple of 32; the output has four times as many.
        stride: of the 3 x 3 convolution.

    Shapes: [B, channels, H, W] -> [B, 4 inner, H / stride, W / stride].
    """

    def __init__(self, channels: int, inner: int, stride: int = 1) -> None:
        super().__init__()
        out = 4 * inner
        self.path = nn.Sequential(
            StandardisedConv(channels, inner, 1, bias=False),
            nn.GroupNorm(GROUPS, inner),
            nn.ReLU(inplace=True),
            StandardisedConv(inner, inner, 3, stride, padding=1, bias=False),
            nn.GroupNorm(GROUPS, inner),
            nn.ReLU(inplace=True),
            StandardisedConv(inner, out, 1, bias=False),
            nn.GroupNorm(GROUPS, out),
        )
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or channels != out:
            self.shortcut = nn.Sequential(
                StandardisedConv(channels, out, 1, stride, bias=False), nn.GroupNorm(out, out)
            )

    def forward(self, features: Features) -> Features:
        """Return ReLU(shortcut + path)."""
        return (self.shortcut(features) + self.path(features)).relu()
