"""What is pretrained: the part of a network that comes before its decoder, and the maps it hands out."""

from __future__ import annotations

import torch
from torch import nn

from ...errors import UsageError
from ..types import Features, Image


class Encoder(nn.Module):
    """A network's encoder: the network itself, run as far as its three taps.

    Args:
        network: with ``encode`` and ``embeddings``, as the two CAFR-Nets have them.
        bf16: whether the network runs in bf16 where that is safe (autocast).

    Shapes: image [B, 1, H, W] -> taps at 1/4, 1/8 and 1/16 of the image, fp32.

    Raises:
        UsageError: the network has no such encoder.
    """

    def __init__(self, network: nn.Module, bf16: bool = False) -> None:
        super().__init__()
        if not hasattr(network, "encode"):
            raise UsageError(
                f"{type(network).__name__} has no encoder with taps that could be pretrained; cafr_net and "
                "cafr_net_plus have one"
            )
        self.network, self.bf16 = network, bf16

    def forward(self, image: Image) -> list[Features]:
        """Return the taps, finest first."""
        with torch.autocast(image.device.type, torch.bfloat16, enabled=self.bf16):
            found = self.network.encode(image)  # type: ignore[operator]
        taps = found[1] if isinstance(found, tuple) else found  # a pair: fine maps, taps
        return [tap.float() for tap in taps]

    def maps(self, taps: list[Features]) -> dict[str, Features]:
        """Return the maps for contrast: name -> map.

        Raises:
            UsageError: the network was built without them.
        """
        if getattr(self.network, "fuse", None) is None:
            raise UsageError(
                "pretraining.method 'view' contrasts the maps that CLR uses, and the recipe's network is "
                "built without them; leave clr.enabled true and loss.clr above 0"
            )
        return dict(self.network.embeddings(taps))  # type: ignore[operator]
