"""From tokens back to a feature map at a chosen resolution."""

from __future__ import annotations

from torch import nn

from ..types import Features, Tokens


class Reassemble(nn.Module):
    """Lay the tokens out as a map, then 1 x 1 convolution and pixel shuffle to a finer resolution.

    Args:
        width: length of a token.
        channels: channels of the result.
        upscale: how many times finer than the token grid (4 turns 1/16 into 1/4).

    Shapes: tokens [B, h w, D] with the grid (h, w) -> [B, channels, h upscale, w upscale].

    Decided beyond the paper: it takes maps at 1/4, 1/8 and 1/16 out of one encoder whose tokens all lie at
    1/16. That is possible only by reassembly; pixel shuffle (Shi et al. 2016) does it at the cost of one
    1 x 1 convolution.
    """

    def __init__(self, width: int, channels: int, upscale: int) -> None:
        super().__init__()
        self.project = nn.Conv2d(width, channels * upscale**2, kernel_size=1)
        self.shuffle = nn.PixelShuffle(upscale)

    def forward(self, tokens: Tokens, grid: tuple[int, int]) -> Features:
        """Return the feature map."""
        return self.shuffle(self.project(tokens.transpose(1, 2).unflatten(2, grid)))
