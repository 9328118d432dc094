"""Swin-Unet (Cao et al., ECCV Workshops 2022, arXiv:2105.05537, doi:10.1007/978-3-031-25066-8_9)."""

from __future__ import annotations

import torch
from monai.networks.nets.swin_unetr import PatchMergingV2
from torch import Tensor, nn

from ...errors import UsageError
from ..layers import PatchExpanding, SwinStage
from ..types import Image, Output


class SwinUNet(nn.Module):
    """A U-Net of Swin blocks alone: patch merging on the way down, patch expanding on the way up.

    Implemented is the publication's tiny form (the sizes of Swin-T), with windows of 8 instead of 7, since at
    256 pixels the coarsest map is 8 x 8.

    Args:
        in_channels: channels of the image.
        num_classes: outputs.
        patch: edge of a patch in pixels.
        width: channels of a token at the finest resolution; doubled with each merging. Multiple of heads[0].
        depth: blocks at each resolution, on the way down, at the bottom and on the way up.
        heads: per resolution.
        window: edge of a window in tokens.
        ratio: width of the MLPs over the channels.
        drop_path: chance of leaving out the deepest block in training; rises linearly with depth.

    Shapes: image [B, in_channels, H, W], H and W multiples of 32 and at least 32 windows' edges (256 for
    windows of 8) -> ``Output.logits`` [B, num_classes, H, W].

    Cost at 256 x 256 x 1 with 20 outputs: 8.12 GMACs, 27.2 M parameters (Table 3: 7.36 GMACs, which
    no published configuration has). ``swin_unet_paper`` is the size nearest to that figure.

    Source: written from the article alone, since the authors' code carries no licence and was not looked at.
    The Swin block and patch merging are MONAI's (Apache-2.0). **The published results start from ImageNet
    weights; here training starts from scratch, as for every row.**

    Decided beyond the article: LayerNorm after the patch embedding, at the bottom and before the last
    expanding, as in Swin; skip connections are joined by a linear layer after concatenation; stochastic depth
    0.1; weights start from a normal distribution of 0.02, as in Swin.
    """

    def __init__(
        self,
        in_channels: int = 1,
        num_classes: int = 20,
        patch: int = 4,
        width: int = 96,
        depth: int = 2,
        heads: tuple[int, ...] = (3, 6, 12, 24),
        window: int = 8,
        ratio: float = 4.0,
        drop_path: float = 0.1,
    ) -> None:
        super().__init__()
        if width % heads[0]:
            raise UsageError(f"width {width} came; it must be a multiple of the {heads[0]} heads")
        channels = [width * 2**level for level in range(len(heads))]
        self.step = patch * 2 ** (len(heads) - 1)
        self.smallest = self.step * window
        self.embed = nn.Conv2d(in_channels, width, kernel_size=patch, stride=patch)
        self.embed_norm = nn.LayerNorm(width)
        rates = torch.linspace(0, drop_path, depth * len(heads), device="cpu").tolist()

        def stage(level: int) -> SwinStage:
            part = rates[level * depth : (level + 1) * depth]
            return SwinStage(channels[level], heads[level], window, part, ratio)

        levels = range(len(heads) - 1)
        self.down = nn.ModuleList(stage(level) for level in levels)
        self.merge = nn.ModuleList(PatchMergingV2(channels[level], spatial_dims=2) for level in levels)
        self.bottom = stage(len(heads) - 1)
        self.bottom_norm = nn.LayerNorm(channels[-1])
        up = list(reversed(levels))
        self.expand = nn.ModuleList(PatchExpanding(channels[n + 1], 2, channels[n]) for n in up)
        self.join = nn.ModuleList(nn.Linear(2 * channels[n], channels[n]) for n in up)
        self.up = nn.ModuleList(stage(level) for level in up)
        self.last_norm = nn.LayerNorm(width)
        self.last_expand = PatchExpanding(width, patch, width)
        self.head = nn.Linear(width, num_classes, bias=False)
        self.apply(_start)

    def forward(self, image: Image) -> Output:
        """Return logits.

        Raises:
            UsageError: an image size that the windows don't fit.
        """
        self._check(image)
        x = self.embed_norm(self.embed(image).permute(0, 2, 3, 1))
        skips = []
        for stage, merge in zip(self.down, self.merge, strict=True):
            x = stage(x)
            skips.append(x)
            x = merge(x)
        x = self.bottom_norm(self.bottom(x))
        for expand, join, stage in zip(self.expand, self.join, self.up, strict=True):
            x = stage(join(torch.cat([expand(x), skips.pop()], dim=-1)))
        logits = self.head(self.last_expand(self.last_norm(x)))
        return Output(logits.permute(0, 3, 1, 2).contiguous(), {})

    def _check(self, image: Tensor) -> None:
        height, width = image.shape[-2:]
        if min(height, width) < self.smallest or height % self.step or width % self.step:
            raise UsageError(
                f"an image of {height} x {width} came; this network takes multiples of {self.step} from "
                f"{self.smallest} on (smaller windows, smaller images)"
            )


def _start(module: nn.Module) -> None:
    """Set the first weights of a linear layer."""
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
