"""U-Net (Ronneberger et al., MICCAI 2015, doi:10.1007/978-3-319-24574-4_28)."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from monai.networks.nets.basic_unet import Down, TwoConv, UpCat
from torch import nn

from ..types import Image, Output

#: How MONAI's blocks are asked for convolution, batch normalisation and ReLU; a bias before BN does nothing.
CONV_BN_RELU: dict[str, Any] = {"act": ("relu", {"inplace": True}), "norm": "batch", "bias": False}


class UNet(nn.Module):
    """A contracting path, an expanding path, and a copy of the features across at every resolution.

    Args:
        in_channels: channels of the image.
        num_classes: outputs.
        widths: channels at full resolution and after each halving.
        dropout: share of channels dropped after each convolution.

    Shapes: image [B, in_channels, H, W], H and W multiples of 16 -> ``Output.logits`` [B, num_classes, H, W].

    Cost at 256 x 256 x 1 with 20 outputs: 12.073 GMACs (Table 3: 12.11), 7.76 M parameters.

    Source: the blocks are MONAI's (Apache-2.0), put together here: MONAI's whole nets have another last step
    (``BasicUNet``), no pooling (``UNet``, ``DynUNet``) or a ready-made encoder (``FlexibleUNet``), so none
    reaches this count. Trained from scratch, no weights are loaded.

    Differs from the publication: base 32 instead of 64 (the size that gives Table 3's figure), padded
    convolutions, batch normalisation; no dropout unless asked for.
    """

    def __init__(
        self,
        in_channels: int = 1,
        num_classes: int = 20,
        widths: tuple[int, ...] = (32, 64, 128, 256, 512),
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        steps = list(pairwise(widths))
        self.first = TwoConv(2, in_channels, widths[0], **CONV_BN_RELU, dropout=dropout)
        self.down = nn.ModuleList(Down(2, a, b, **CONV_BN_RELU, dropout=dropout) for a, b in steps)
        self.up = nn.ModuleList(
            UpCat(2, b, a, a, **CONV_BN_RELU, dropout=dropout, upsample="deconv") for a, b in reversed(steps)
        )
        self.head = nn.Conv2d(widths[0], num_classes, kernel_size=1)

    def forward(self, image: Image) -> Output:
        """Return logits."""
        features = [self.first(image)]
        for down in self.down:
            features.append(down(features[-1]))
        x = features.pop()
        for up in self.up:
            x = up(x, features.pop())
        return Output(self.head(x), {})
