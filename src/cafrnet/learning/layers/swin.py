"""A stage of Swin blocks: attention in windows, shifted in every second block (Liu et al., ICCV 2021)."""

from __future__ import annotations

import math
from collections.abc import Sequence

from monai.networks.nets.swin_unetr import SwinTransformerBlock, compute_mask, get_window_size
from torch import Tensor, nn


class SwinStage(nn.Module):
    """Blocks at one resolution: W-MSA, SW-MSA, W-MSA ... each with an MLP, pre-norm, relative positions.

    Args:
        channels: of a token.
        heads: of the attention.
        window: edge of a window in tokens.
        drop_path: chance of leaving a block out in training, per block.
        ratio: width of the MLP over ``channels``.

    Shapes: [B, H, W, C] -> [B, H, W, C]. H and W of at least ``window``; other than multiples are padded.

    The block is MONAI's ``SwinTransformerBlock`` (Apache-2.0). Its ``BasicLayer`` needs einops.
    """

    def __init__(
        self, channels: int, heads: int, window: int, drop_path: Sequence[float], ratio: float
    ) -> None:
        super().__init__()
        self.window, self.shift = (window, window), (window // 2, window // 2)
        self.blocks = nn.ModuleList(
            SwinTransformerBlock(
                channels,
                heads,
                self.window,
                self.shift if number % 2 else (0, 0),
                mlp_ratio=ratio,
                drop_path=rate,
            )
            for number, rate in enumerate(drop_path)
        )

    def forward(self, tokens: Tensor) -> Tensor:
        """Apply the blocks."""
        height, width = tokens.shape[1:3]
        window, shift = get_window_size((height, width), self.window, self.shift)
        padded = [math.ceil(n / w) * w for n, w in zip((height, width), window, strict=True)]
        # Where one window covers the map nothing is shifted, and the blocks take no mask.
        mask = compute_mask(padded, window, shift, tokens.device) if any(shift) else None
        for block in self.blocks:
            tokens = block(tokens, mask)
        return tokens
