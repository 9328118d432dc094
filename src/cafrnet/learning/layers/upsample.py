"""One step of the decoder."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from ..types import Features


def double(features: Features) -> Features:
    """Double the resolution, bilinear: [B, C, H, W] -> [B, C, 2 H, 2 W].

    In training on a GPU the same values come as weighted sums of shifted maps: the gradient of the library's
    function adds up by atomic operations there, in bf16 one after the other.
    """
    if not (features.is_cuda and features.requires_grad):
        return F.interpolate(features, scale_factor=2, mode="bilinear", align_corners=False)
    for axis in (2, 3):
        n = features.shape[axis]
        first, last = features.narrow(axis, 0, 1), features.narrow(axis, n - 1, 1)
        before = torch.cat([first, features.narrow(axis, 0, n - 1)], dim=axis)
        after = torch.cat([features.narrow(axis, 1, n - 1), last], dim=axis)
        pair = torch.stack([torch.lerp(features, before, 0.25), torch.lerp(features, after, 0.25)], axis + 1)
        features = pair.flatten(axis, axis + 1)
    return features


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
        features = double(features)
        return self.block(features if skip is None else torch.cat([features, skip], dim=1))
