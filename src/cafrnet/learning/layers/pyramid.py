"""A convolutional pyramid: the fine-detail path that tokens of 16 x 16 pixels lack."""

from __future__ import annotations

from itertools import pairwise

from torch import nn

from ..types import Features, Image


def conv(channels: int, out: int, stride: int = 1) -> nn.Sequential:
    """Return 3 x 3 convolution, BN and ReLU: [B, channels, H, W] -> [B, out, H / stride, W / stride]."""
    return nn.Sequential(
        nn.Conv2d(channels, out, kernel_size=3, stride=stride, padding=1, bias=False),
        nn.BatchNorm2d(out),
        nn.ReLU(inplace=True),
    )


class Pyramid(nn.Module):
    """Features at 1/1, 1/2, 1/4, 1/8 and 1/16 of the image.

    Args:
        in_channels: channels of the image.
        channels: at each of the resolutions, finest first. Each coarser one is reached by a strided and, but
            for the last, followed by another convolution.

    Shapes: [B, in_channels, H, W], H and W multiples of 16 -> one map per resolution.

    Source: Xiao et al. 2021, "Early convolutions help transformers see better", who put such a stem before
    the tokens; here its finer maps also serve the decoder.
    """

    def __init__(self, in_channels: int, channels: tuple[int, ...]) -> None:
        super().__init__()
        steps: list[nn.Module] = [conv(in_channels, channels[0])]
        for number, (before, after) in enumerate(pairwise(channels), 2):
            down = conv(before, after, stride=2)
            steps.append(down if number == len(channels) else nn.Sequential(down, conv(after, after)))
        self.steps = nn.ModuleList(steps)

    def forward(self, image: Image) -> list[Features]:
        """Return the maps, finest first."""
        maps = []
        for step in self.steps:
            image = step(image)
            maps.append(image)
        return maps
