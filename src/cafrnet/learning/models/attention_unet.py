"""Attention U-Net (Oktay et al., MIDL 2018, arXiv:1804.03999)."""

from __future__ import annotations

import torch
from monai.networks.nets.attentionunet import AttentionBlock
from torch import nn

from ..types import Features, Image, Output
from .unet import UNet


class GatedUp(nn.Module):
    r"""One step up: the skip connection passes through an additive attention gate before it is joined.

    .. math:: \alpha = \sigma(\psi(ReLU(W_g g + W_x x))), \qquad \hat{x} = \alpha x

    Args:
        up: the step of the U-Net: a transposed convolution, then two convolutions over the joined features.
        below: channels of what comes from below; half of them are left after the transposed convolution.
        channels: of the skip connection; half as many inside the gate.

    Shapes: [B, below, H, W] and [B, channels, 2 H, 2 W] -> [B, channels, 2 H, 2 W].
    """

    def __init__(self, up: nn.Module, below: int, channels: int) -> None:
        super().__init__()
        self.upsample, self.convs = up.get_submodule("upsample"), up.get_submodule("convs")
        self.gate = AttentionBlock(2, f_int=channels // 2, f_g=below // 2, f_l=channels)

    def forward(self, features: Features, skip: Features) -> Features:
        """Return the joined features at twice the resolution."""
        signal = self.upsample(features)
        return self.convs(torch.cat([self.gate(signal, skip), signal], dim=1))


class AttentionUNet(nn.Module):
    """The U-Net of ``unet.py`` with an attention gate on every skip connection.

    Args:
        in_channels, num_classes, widths, dropout: as in :class:`UNet`.

    Shapes: image [B, in_channels, H, W], H and W multiples of 16 -> ``Output.logits`` [B, num_classes, H, W].

    Cost at 256 x 256 x 1 with 20 outputs: 12.343 GMACs (Table 3: 12.37), 7.85 M parameters.

    Source: gate and convolutions are MONAI's blocks (Apache-2.0). MONAI's whole ``AttentionUnet`` has one
    convolution per step up and comes to 10.6 GMACs. Trained from scratch, no weights are loaded.

    Differs from the publication: two dimensions, and base 32; the gating signal is the upsampled one, at the
    skip connection's own resolution (the publication takes the coarser one and resamples the attention),
    which is what the count of Table 3 fits.
    """

    def __init__(
        self,
        in_channels: int = 1,
        num_classes: int = 20,
        widths: tuple[int, ...] = (32, 64, 128, 256, 512),
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.unet = UNet(in_channels, num_classes, widths, dropout)
        steps = zip(reversed(widths[1:]), reversed(widths[:-1]), strict=True)
        self.unet.up = nn.ModuleList(GatedUp(up, *step) for up, step in zip(self.unet.up, steps, strict=True))

    def forward(self, image: Image) -> Output:
        """Return logits."""
        return self.unet(image)
