"""Patch expanding: upsampling by a linear layer (Cao et al., Swin-Unet, ECCV Workshops 2022, Sect. 3.5)."""

from __future__ import annotations

from torch import Tensor, nn


class PatchExpanding(nn.Module):
    """A linear layer makes room in the channels, which are then laid out as finer tokens; then LayerNorm.

    Args:
        channels: of a token.
        upscale: 2 inside the decoder, 4 at its end.
        out: channels of the result: half as many at ``upscale`` 2, the same at 4.

    Shapes: [B, H, W, channels] -> [B, upscale H, upscale W, out].

    Decided beyond the publication: a LayerNorm after each step, as Swin has around merging.
    """

    def __init__(self, channels: int, upscale: int, out: int) -> None:
        super().__init__()
        self.upscale = upscale
        self.expand = nn.Linear(channels, upscale**2 * out, bias=False)
        self.norm = nn.LayerNorm(out)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return the finer tokens."""
        batch, height, width, _ = tokens.shape
        s = self.upscale
        fine = self.expand(tokens).view(batch, height, width, s, s, -1).transpose(2, 3)
        return self.norm(fine.reshape(batch, height * s, width * s, -1))
