"""UNETR++ (Shaker et al., IEEE Transactions on Medical Imaging 2024, doi:10.1109/TMI.2024.3398728)."""

from __future__ import annotations

from monai.networks.blocks.dynunet_block import UnetResBlock
from torch import nn

from ...errors import UsageError
from ..layers import PairedBlock
from ..types import Features, Image, Output


class Step(nn.Module):
    """A change of resolution, an added skip connection, then blocks.

    Shapes: [B, C, H, W] -> [B, C', H', W'], with a skip connection of the result's shape.
    """

    def __init__(self, resample: nn.Module, *blocks: nn.Module) -> None:
        super().__init__()
        self.resample, self.blocks = resample, nn.Sequential(*blocks)

    def forward(self, features: Features, skip: Features | None = None) -> Features:
        """Return the features of the next stage."""
        features = self.resample(features)
        return self.blocks(features if skip is None else features + skip)


class UNETRPP(nn.Module):
    """A hierarchical encoder and decoder of paired attention blocks, the last step convolutional.

    Implemented is the authors' **Synapse** configuration with each 3D operation made 2D. Their four dataset
    copies differ; this one has one shared projection E = F for keys and values, a single residual
    convolution block after the attention, the two attentions concatenated after being halved, and skip
    connections that are added.

    Args:
        in_channels: channels of the image.
        num_classes: outputs.
        size: edge of the image, a multiple of 32. **Fixed**: the projection has a weight for each place.
        patch: edge of a patch in pixels.
        widths: channels per stage; half of the first at full resolution.
        depth: blocks per stage of encoder and decoder.
        projected: places that keys and values are projected to, per stage of the encoder; the decoder takes
            the first.
        heads: of the attention.
        dropout: in the blocks.

    Shapes: image [B, in_channels, size, size] -> ``Output.logits`` [B, num_classes, size, size].

    Cost at 256 x 256 x 1 with 20 outputs: 3.09 GMACs, 11.7 M parameters (Table 3: 8.36 GMACs; the
    published network is 3D only). ``unetr_pp_paper`` is the size nearest to that figure.

    Source: written for this project from the article; the authors' code (Apache-2.0) was read for the facts
    of the configuration, none of it is copied. Convolution blocks are MONAI's (Apache-2.0). Trained from
    scratch, as published.

    Differs from the authors' code: two dimensions (patches of 4 x 4, all strides 2); the spatial attention
    keeps its places and channels apart (there a permutation mixes them up before the projection,
    against the article's own equation); no deep supervision, since every row is trained with the same loss on
    full-resolution logits.
    """

    def __init__(
        self,
        in_channels: int = 1,
        num_classes: int = 20,
        size: int = 256,
        patch: int = 4,
        widths: tuple[int, ...] = (32, 64, 128, 256),
        depth: int = 3,
        projected: tuple[int, ...] = (64, 64, 64, 32),
        heads: int = 4,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        if size % (patch * 2 ** (len(widths) - 1)):
            raise UsageError(f"size {size} came; a multiple of {patch * 2 ** (len(widths) - 1)} was expected")
        self.size = size
        places = [(size // (patch * 2**level)) ** 2 for level in range(len(widths))]

        def blocks(level: int, keys: int) -> list[nn.Module]:
            return [PairedBlock(widths[level], places[level], keys, heads, dropout) for _ in range(depth)]

        def down(level: int) -> nn.Module:
            channels, edge = (widths[level - 1], 2) if level else (in_channels, patch)
            conv = nn.Conv2d(channels, widths[level], edge, stride=edge, bias=False)
            return nn.Sequential(conv, nn.GroupNorm(channels, widths[level]))

        def up(channels: int, out: int, edge: int) -> nn.Module:
            return nn.ConvTranspose2d(channels, out, edge, stride=edge, bias=False)

        levels, full = range(len(widths)), widths[0] // 2
        self.encoder = nn.ModuleList(Step(down(n), *blocks(n, projected[n])) for n in levels)
        self.full = UnetResBlock(2, in_channels, full, kernel_size=3, stride=1, norm_name="instance")
        self.decoder = nn.ModuleList(
            Step(up(widths[n + 1], widths[n], 2), *blocks(n, projected[0])) for n in reversed(levels[:-1])
        )
        last = UnetResBlock(2, full, full, kernel_size=3, stride=1, norm_name="instance")
        self.decoder.append(Step(up(widths[0], full, patch), last))
        self.head = nn.Conv2d(full, num_classes, kernel_size=1)

    def forward(self, image: Image) -> Output:
        """Return logits.

        Raises:
            UsageError: an image of another size than ``size``.
        """
        if image.shape[-2:] != (self.size, self.size):
            raise UsageError(
                f"an image of {tuple(image.shape[-2:])} came; this network was built for {self.size} x "
                f"{self.size} (size=... builds it for another)"
            )
        features = [self.full(image)]
        x = image
        for step in self.encoder:
            x = step(x)
            features.append(x)
        x = features.pop()
        for step in self.decoder:
            x = step(x, features.pop())
        return Output(self.head(x), {})
