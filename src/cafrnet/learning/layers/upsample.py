"""One step of the decoder."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from ..types import Features


class UpBlock(nn.Module):
    """Double the resolution, join a skip connection, then 3 x 3 convolution, BN, ReLU and dropout.

    Args:
        channels: of what comes from below.
        skip: channels of the skip connection; 0 for none.
        out: channels of the result.
        dropout: share of channels dropped in training.

    Shapes: [B, channels, H, W] and [B, skip, 2 H, 2 W] -> [B, out, 2 H, 2 W].

    Decided beyond the paper, which does not describe its decoder: bilinear upsampling, concatenation, one
    convolution per step with the batch normalisation of Table 1.
    """

    def __init__(self, channels: int, skip: int, out: int, dropout: float) -> None:
        super().__init__()
        self.block = nn.Sequential(
            nn.Conv2d(channels + skip, out, kernel_size=3, padding=1, bias=False),
            nn.BatchNorm2d(out),
            nn.ReLU(inplace=True),
            nn.Dropout2d(dropout),
        )

    def forward(self, features: Features, skip: Features | None = None) -> Features:
        """Return the features at twice the resolution."""
        features = F.interpolate(features, scale_factor=2, mode="bilinear", align_corners=False)
        return self.block(features if skip is None else torch.cat([features, skip], dim=1))
