"""Patch embedding with learnable positions (paper Eq. 1, Table 2)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..types import Image, Tokens


class PatchEmbedding(nn.Module):
    r"""Cut the image into patches and project each to a token: :math:`z_i = W_e\,vec(P_i) + b_e` (Eq. 1).

    Args:
        in_channels: channels of the image.
        width: length D of a token (768).
        patch: edge p of a patch in pixels (16).
        size: edge of the image for which positions are learnt (256).

    Shapes:
        image [B, C, H, W] with H and W multiples of ``patch`` -> tokens [B, H W / p^2, D], row by row.

    Differs from / decided beyond the paper: positions for other input sizes are interpolated (bicubic).
    """

    def __init__(self, in_channels: int, width: int, patch: int, size: int) -> None:
        super().__init__()
        self.project = nn.Conv2d(in_channels, width, kernel_size=patch, stride=patch)
        self.positions = nn.Parameter(torch.empty(1, width, size // patch, size // patch))
        nn.init.trunc_normal_(self.positions, std=0.02)

    def forward(self, image: Image) -> Tokens:
        """Return the tokens."""
        patches = self.project(image)
        positions: Tensor = self.positions
        if positions.shape[-2:] != patches.shape[-2:]:
            positions = F.interpolate(positions, size=patches.shape[-2:], mode="bicubic", align_corners=False)
        return (patches + positions).flatten(2).transpose(1, 2)
