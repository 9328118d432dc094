"""TransUNet (Chen et al., arXiv:2102.04306; Medical Image Analysis 2024, doi:10.1016/j.media.2024.103280)."""

from __future__ import annotations

import torch
from monai.networks.nets.basic_unet import TwoConv
from torch import Tensor, nn
from torch.nn import functional as F

from ...errors import UsageError
from ..layers import Bottleneck, PatchEmbedding, StandardisedConv, TransformerBlock
from ..types import Features, Image, Output
from .unet import CONV_BN_RELU


class ResNet(nn.Module):
    """The first three stages of ResNet-50 in its "Big Transfer" form.

    Args:
        in_channels: channels of the image.
        base: channels of the first convolution, a multiple of 32.
        units: bottlenecks per stage.

    Shapes: image [B, in_channels, H, W] -> [B, base, H/2, W/2], [B, 4 base, H/4, W/4], [B, 8 base, H/8, W/8],
    [B, 16 base, H/16, W/16].
    """

    def __init__(self, in_channels: int, base: int, units: tuple[int, ...]) -> None:
        super().__init__()
        self.root = nn.Sequential(
            StandardisedConv(in_channels, base, 7, stride=2, padding=3, bias=False),
            nn.GroupNorm(32, base),
            nn.ReLU(inplace=True),
        )
        self.pool = nn.MaxPool2d(3, stride=2, padding=1)
        self.stages, channels = nn.ModuleList(), base
        for number, count in enumerate(units):
            inner, first = base * 2**number, 1 if number == 0 else 2
            blocks = [Bottleneck(channels, inner, first)]
            blocks += [Bottleneck(4 * inner, inner) for _ in range(count - 1)]
            self.stages.append(nn.Sequential(*blocks))
            channels = 4 * inner

    def forward(self, image: Image) -> list[Features]:
        """Return the features of all four resolutions."""
        features = [self.root(image)]
        x = self.pool(features[0])
        for stage in self.stages:
            x = stage(x)
            features.append(x)
        return features


class TransUNet(nn.Module):
    """A ResNet, a vision transformer on its last features, and a cascaded upsampler with skip connections.

    Implemented is R50-ViT-B/16 with three skip connections, the configuration of the publication's results.

    Args:
        in_channels: channels of the image.
        num_classes: outputs.
        size: edge of the image for which positions are learnt; other sizes are interpolated.
        base: channels of the ResNet's first convolution.
        units: bottlenecks per stage of the ResNet.
        width, layers, heads, ratio: of the transformer (ViT-B: 768, 12, 12, 4).
        bridge: channels between transformer and upsampler.
        decoder_channels: after each of the four doublings.
        dropout: in the transformer.

    Shapes: image [B, in_channels, H, W], H and W multiples of 16 -> ``Output.logits`` [B, num_classes, H, W].

    Cost at 256 x 256 x 1 with 20 outputs: 38.49 GMACs, 105.3 M parameters (Table 3: 11.66 GMACs, which no
    published configuration has). ``transunet_paper`` is the size nearest to that figure.

    Source: written for this project from the article; the authors' code (Apache-2.0) was read for the facts
    that the article leaves out, none of it is copied. **The published results start from ImageNet weights;
    here training starts from scratch, as for every row, which a network of this size suffers most from.**

    Differs from the authors' code: the first convolution takes the image's own channels (there a grey image
    is repeated to three, +0.10 GMACs); pooling is padded so that the map is 64 x 64 (there 63 x 63, padded
    later); positions start from small random values instead of zeros; dropout 0.1 stands after attention and
    MLP, not inside the MLP; queries, keys and values come from one joint projection.
    """

    def __init__(
        self,
        in_channels: int = 1,
        num_classes: int = 20,
        size: int = 256,
        base: int = 64,
        units: tuple[int, ...] = (3, 4, 9),
        width: int = 768,
        layers: int = 12,
        heads: int = 12,
        ratio: float = 4.0,
        bridge: int = 512,
        decoder_channels: tuple[int, ...] = (256, 128, 64, 16),
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        if width % heads:
            raise UsageError(f"width {width} with {heads} heads came; width must be a multiple of heads")
        self.cnn = ResNet(in_channels, base, tuple(units))
        self.embed = PatchEmbedding(16 * base, width, patch=1, size=size // 16)
        self.dropout = nn.Dropout(dropout)
        self.transformer = nn.Sequential(
            *(
                TransformerBlock(width, heads, ratio, dropout, activation=nn.GELU, pre_norm=True)
                for _ in range(layers)
            ),
            nn.LayerNorm(width),
        )
        self.bridge = nn.Sequential(
            nn.Conv2d(width, bridge, 3, padding=1, bias=False), nn.BatchNorm2d(bridge), nn.ReLU(inplace=True)
        )
        skips = (8 * base, 4 * base, base, 0)
        incoming = (bridge, *decoder_channels[:-1])
        self.decoder = nn.ModuleList(
            TwoConv(2, i + s, o, **CONV_BN_RELU)
            for i, s, o in zip(incoming, skips, decoder_channels, strict=True)
        )
        self.head = nn.Conv2d(decoder_channels[-1], num_classes, 3, padding=1)

    def encode(self, features: Features) -> Features:
        """Return what the transformer makes of the ResNet's last features: [B, width, H/16, W/16]."""
        tokens: Tensor = self.transformer(self.dropout(self.embed(features)))
        return tokens.transpose(1, 2).unflatten(2, features.shape[-2:])

    def forward(self, image: Image) -> Output:
        """Return logits."""
        *skips, last = self.cnn(image)
        x = self.bridge(self.encode(last))
        for block in self.decoder:
            x = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=True)
            x = block(torch.cat([x, skips.pop()], dim=1) if skips else x)
        return Output(self.head(x), {})
