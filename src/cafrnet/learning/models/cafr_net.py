"""CAFR-Net (Ma et al., PLoS One 2025, doi:10.1371/journal.pone.0327642, Fig 1a)."""

from __future__ import annotations

from torch import nn

from ...errors import UsageError
from ..layers import FusedMap, PatchEmbedding, Reassemble, TransformerBlock, UpBlock, recalibration
from ..types import Features, Image, Output


class CAFRNet(nn.Module):
    """Transformer encoder with three taps, LAFR on each, a light decoder, and a fused map for CLR.

    Args:
        in_channels: channels of the image.
        num_classes: outputs; 20 in the paper (background and ids 1-19).
        size: edge of the image for which positions are learnt; other sizes are interpolated.
        patch: edge of a patch, a power of two from 4.
        width, heads, ffn_ratio: of the transformer (Table 2; ratio decided, see ``TransformerBlock``).
        depths: blocks in the low, mid and high stage.
        tap_channels: channels of the taps at 1/4, 1/8 and 1/16 of the image (for ``patch`` 16).
        decoder_channels: channels after each of the decoder's steps up to full resolution.
        dropout: rate (Table 1).
        lafr: whether the taps are recalibrated (ablation of Table 4); ``"ungated"`` is the control without
            the gate, see ``recalibration``.
        clr: whether the fused map for contrastive learning is built (ablation of Table 4).
        clr_source: ``"encoder"`` builds the fused map from the taps as they leave the encoder (Sect. 3.1),
            ``"recalibrated"`` from the taps after LAFR.

    Shapes:
        image [B, in_channels, H, W], H and W multiples of 16 -> ``Output.logits`` [B, num_classes, H, W];
        in training with ``clr``: ``Output.embeddings`` ``fused`` [B, 256, H/4, W/4], ``1/8`` and ``1/4``:
        the taps at those resolutions. In inference the fused map is never computed.

    Cost at 256 x 256 x 1 with 20 outputs and CLR off: 5.01 GMACs (the paper's Table 3: 5.12); the test
    ``tests/learning/test_cafr_net.py`` holds it against a hand count.

    Differs from / decided beyond the paper: "three shallow branches" and "three intermediate layers" are read
    as three stages of one encoder; decoder, FFN ratio and all widths below 768 are not given there; dropout
    sits in the blocks and after each decoder convolution. Licence of this code: Apache-2.0.
    """

    def __init__(
        self,
        in_channels: int = 1,
        num_classes: int = 20,
        size: int = 256,
        patch: int = 16,
        width: int = 768,
        heads: int = 6,
        ffn_ratio: float = 2.0,
        depths: tuple[int, int, int] = (1, 1, 1),
        tap_channels: tuple[int, int, int] = (64, 128, 256),
        decoder_channels: tuple[int, ...] = (64, 32, 16, 16),
        dropout: float = 0.3,
        lafr: bool | str = True,
        clr: bool = True,
        clr_source: str = "encoder",
        clr_channels: int = 256,
    ) -> None:
        super().__init__()
        if patch < 4 or 2 ** len(decoder_channels) != patch:
            raise UsageError(
                f"patch {patch} with {len(decoder_channels)} decoder channels came; the decoder doubles the "
                "resolution once per entry, so patch must be 2 to that power, and at least 4"
            )
        if width % heads:
            raise UsageError(f"width {width} with {heads} heads came; width must be a multiple of heads")
        if clr_source not in ("encoder", "recalibrated"):
            raise UsageError(f"clr_source {clr_source!r} came; 'encoder' or 'recalibrated' was expected")
        self.patch, self.clr, self.clr_source = patch, clr, clr_source
        self.embed = PatchEmbedding(in_channels, width, patch, size)
        self.stages = nn.ModuleList(
            nn.Sequential(*(TransformerBlock(width, heads, ffn_ratio, dropout) for _ in range(depth)))
            for depth in depths
        )
        self.taps = nn.ModuleList(
            Reassemble(width, channels, upscale)
            for channels, upscale in zip(tap_channels, (4, 2, 1), strict=True)
        )
        self.recalibrate = nn.ModuleList(recalibration(lafr, c) for c in tap_channels)
        low, mid, high = tap_channels
        skips = (mid, low) + (0,) * (len(decoder_channels) - 2)
        incoming = (high, *decoder_channels[:-1])
        self.decoder = nn.ModuleList(
            UpBlock(c, s, o, dropout) for c, s, o in zip(incoming, skips, decoder_channels, strict=True)
        )
        self.head = nn.Conv2d(decoder_channels[-1], num_classes, kernel_size=1)
        self.fuse = FusedMap(tap_channels, clr_channels) if clr else None

    def encode(self, image: Image) -> list[Features]:
        """Return the three taps: low at 1/4, mid at 1/8, high at 1/16."""
        grid = image.shape[-2] // self.patch, image.shape[-1] // self.patch
        tokens, taps = self.embed(image), []
        for stage, tap in zip(self.stages, self.taps, strict=True):
            tokens = stage(tokens)
            taps.append(tap(tokens, grid))
        return taps

    def embeddings(self, taps: list[Features]) -> dict[str, Features]:
        """Return the maps for CLR: the fused one at 1/4 (Sect. 3.1) and the taps at 1/8 and 1/4."""
        assert self.fuse is not None
        return {"fused": self.fuse(taps), "1/8": taps[1], "1/4": taps[0]}

    def forward(self, image: Image) -> Output:
        """Return logits, and in training the maps for CLR."""
        taps = self.encode(image)
        recalibrated = [lafr(tap) for lafr, tap in zip(self.recalibrate, taps, strict=True)]
        features, skips = recalibrated[2], [recalibrated[1], recalibrated[0]]
        for step, up in enumerate(self.decoder):
            features = up(features, skips[step] if step < 2 else None)
        embeddings = {}
        if self.fuse is not None and self.training:
            embeddings = self.embeddings(taps if self.clr_source == "encoder" else recalibrated)
        return Output(self.head(features), embeddings)
