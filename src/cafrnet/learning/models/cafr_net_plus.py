"""CAFR-Net plus (after Ma et al., PLoS One 2025): a pyramid of convolutions before narrower blocks."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...errors import UsageError
from ..layers import FusedMap, Pyramid, Reassemble, TransformerBlock, UpBlock, conv, recalibration
from ..types import Features, Image, Output

#: Resolutions of the three taps, as numbers of halvings.
TAPS = (2, 3, 4)


class CAFRNetPlus(nn.Module):
    """CAFR-Net made better where its design holds it back; LAFR and CLR stay as they are.

    Args:
        in_channels: channels of the image.
        num_classes: outputs.
        channels: of the convolutional pyramid at 1/1, 1/2, 1/4, 1/8 and 1/16.
        width, heads, ffn_ratio: of the transformer on the 1/16 map.
        depths: blocks in the low, mid and high stage.
        decoder_channels: channels after each of the decoder's four steps up to full resolution.
        dropout: rate in blocks and decoder.
        fine: whether the decoder sees the pyramid at 1/1 and 1/2 (ablation).
        refine: whether the decoder's two finest steps end in a second 3 x 3 convolution (ablation).
        positions: ``"conv"``: each stage starts with a 3 x 3 depthwise convolution over the tokens, which
            knows neighbours and edges but no place in the image; ``"absolute"``: learnt ones (ablation).
        size: edge of the image for which absolute positions are learnt.
        pre_norm: normalise before attention and FFN (ablation: after, as in Eq. 4).
        lafr, clr: as in :class:`.CAFRNet`.
        clr_channels: of the fused map.

    Shapes:
        image [B, in_channels, H, W], H and W multiples of 16 -> ``Output.logits`` [B, num_classes, H, W]; in
        training with ``clr``: ``Output.embeddings`` ``fused`` [B, clr_channels, H/4, W/4], ``1/8``, ``1/4``.

    The figure: pyramid -> tokens -> three stages; each stage's tokens are reassembled and added to the
    pyramid at 1/4, 1/8 and 1/16: the taps. LAFR recalibrates them, the decoder goes up over them and over the
    fine maps. Each change against the published design was tried on fold 0 (``docs/model.md``).

    Differs from the paper: all that is said above. Positions without a place in the image: Chu et al. 2023,
    "Conditional positional encodings". Licence of this code: Apache-2.0.
    """

    def __init__(
        self,
        in_channels: int = 1,
        num_classes: int = 22,
        channels: tuple[int, ...] = (16, 32, 64, 128, 256),
        width: int = 256,
        heads: int = 8,
        ffn_ratio: float = 2.5,
        depths: tuple[int, int, int] = (2, 2, 2),
        decoder_channels: tuple[int, ...] = (128, 64, 40, 24),
        dropout: float = 0.0,
        fine: bool = True,
        refine: bool = True,
        positions: str = "conv",
        size: int = 256,
        pre_norm: bool = True,
        lafr: bool | str = True,
        clr: bool = True,
        clr_channels: int = 128,
    ) -> None:
        super().__init__()
        if len(channels) != 5 or len(decoder_channels) != 4:
            raise UsageError(
                f"{len(channels)} channels and {len(decoder_channels)} decoder_channels came; five (1/1 to "
                "1/16) and four (1/8 to 1/1) were expected"
            )
        if width % heads:
            raise UsageError(f"width {width} with {heads} heads came; width must be a multiple of heads")
        if positions not in ("conv", "absolute"):
            raise UsageError(f"positions {positions!r} came; 'conv' or 'absolute' was expected")
        self.clr, self.fine = clr, fine
        self.pyramid = Pyramid(in_channels, channels)
        self.embed = nn.Conv2d(channels[4], width, kernel_size=1)
        self.places = None
        if positions == "absolute":
            self.places = nn.Parameter(torch.empty(1, width, size // 16, size // 16))
            nn.init.trunc_normal_(self.places, std=0.02)
        self.near = nn.ModuleList(
            nn.Conv2d(width, width, kernel_size=3, padding=1, groups=width)
            if positions == "conv"
            else nn.Identity()
            for _ in depths
        )
        self.stages = nn.ModuleList(
            nn.Sequential(
                *(TransformerBlock(width, heads, ffn_ratio, dropout, nn.GELU, pre_norm) for _ in range(depth))
            )
            for depth in depths
        )
        self.norms = nn.ModuleList(nn.LayerNorm(width) if pre_norm else nn.Identity() for _ in depths)
        tap_channels = tuple(channels[t] for t in TAPS)
        self.taps = nn.ModuleList(
            Reassemble(width, c, 2 ** (4 - t)) for t, c in zip(TAPS, tap_channels, strict=True)
        )
        self.recalibrate = nn.ModuleList(recalibration(lafr, c) for c in tap_channels)
        incoming = (channels[4], *decoder_channels[:-1])
        skips = (channels[3], channels[2], *((channels[1], channels[0]) if fine else (0, 0)))
        self.decoder = nn.ModuleList(
            UpBlock(c, s, o, dropout) for c, s, o in zip(incoming, skips, decoder_channels, strict=True)
        )
        self.refine = nn.ModuleList(
            conv(c, c) if refine and step > 1 else nn.Identity() for step, c in enumerate(decoder_channels)
        )
        self.head = nn.Conv2d(decoder_channels[-1], num_classes, kernel_size=1)
        self.fuse = FusedMap(tap_channels, clr_channels) if clr else None

    def encode(self, image: Image) -> tuple[list[Features], list[Features]]:
        """Return the fine maps (1/1, 1/2) and the three taps: low at 1/4, mid at 1/8, high at 1/16."""
        maps = self.pyramid(image)
        tokens = self.embed(maps[4])
        if self.places is not None:
            places: Tensor = self.places
            if places.shape[-2:] != tokens.shape[-2:]:
                places = F.interpolate(places, size=tokens.shape[-2:], mode="bicubic", align_corners=False)
            tokens = tokens + places
        taps = []
        layers = zip(self.near, self.stages, self.norms, self.taps, maps[2:], strict=True)
        for near, stage, norm, tap, fine in layers:
            grid = tokens.shape[-2], tokens.shape[-1]
            tokens = tokens + near(tokens) if self.places is None else tokens
            row = stage(tokens.flatten(2).transpose(1, 2))
            taps.append(fine + tap(norm(row), grid))
            tokens = row.transpose(1, 2).unflatten(2, grid)
        return maps[:2], taps

    def embeddings(self, taps: list[Features]) -> dict[str, Features]:
        """Return the maps for CLR: the fused one at 1/4 and the taps at 1/8 and 1/4."""
        assert self.fuse is not None
        return {"fused": self.fuse(taps), "1/8": taps[1], "1/4": taps[0]}

    def forward(self, image: Image) -> Output:
        """Return logits, and in training the maps for CLR."""
        (full, half), taps = self.encode(image)
        low, mid, features = (lafr(tap) for lafr, tap in zip(self.recalibrate, taps, strict=True))
        skips = [mid, low, half if self.fine else None, full if self.fine else None]
        for up, refine, skip in zip(self.decoder, self.refine, skips, strict=True):
            features = refine(up(features, skip))
        embeddings = self.embeddings(taps) if self.fuse is not None and self.training else {}
        return Output(self.head(features), embeddings)
