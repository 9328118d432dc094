"""nnU-Net's plain network (Isensee et al., Nature Methods 2021, doi:10.1038/s41592-020-01008-z)."""

from __future__ import annotations

from monai.networks.nets import DynUNet
from torch import nn

from ..types import Image, Output


class NNUNet(nn.Module):
    """The network of nnU-Net at a fixed size, under this project's protocol. **Not the nnU-Net pipeline.**

    nnU-Net is a method that plans its own network, patches and training; a row of its own runs the real
    package. This is only its plain convolutional network: two convolutions per stage, strided convolutions
    instead of pooling, instance normalisation, leaky ReLU, transposed convolutions up.

    Args:
        in_channels: channels of the image.
        num_classes: outputs.
        widths: channels at full resolution and after each halving.

    Shapes: image [B, in_channels, H, W], H and W multiples of 16 -> ``Output.logits`` [B, num_classes, H, W].

    Cost at 256 x 256 x 1 with 20 outputs: 12.073 GMACs (Table 3: 12.14; 12.11 with the heads for deep
    supervision), 7.76 M parameters. What nnU-Net plans by itself is larger: 7 stages, 14.9 GMACs at this
    size.

    Source: MONAI's ``DynUNet`` (Apache-2.0), so configured. Trained from scratch, no weights are loaded.

    Differs from the publication: 5 stages (the size that gives Table 3's figure); no deep supervision, since
    every row is trained with the same loss on full-resolution logits.
    """

    def __init__(
        self,
        in_channels: int = 1,
        num_classes: int = 20,
        widths: tuple[int, ...] = (32, 64, 128, 256, 512),
    ) -> None:
        super().__init__()
        halvings = [2] * (len(widths) - 1)
        self.network = DynUNet(
            spatial_dims=2,
            in_channels=in_channels,
            out_channels=num_classes,
            kernel_size=[3] * len(widths),
            strides=[1, *halvings],
            upsample_kernel_size=halvings,
            filters=widths,
            norm_name=("instance", {"affine": True}),
            act_name=("leakyrelu", {"inplace": True, "negative_slope": 0.01}),
        )

    def forward(self, image: Image) -> Output:
        """Return logits."""
        return Output(self.network(image), {})
