"""Named shapes: what an array in the learning wing is, in one place.

Axes: batch, class, height (caudal), width (posterior), token, channel.
"""

from __future__ import annotations

from typing import NamedTuple

from jaxtyping import Bool, Float, Int
from torch import Tensor

Image = Float[Tensor, "batch 1 height width"]
Logits = Float[Tensor, "batch classes height width"]
Features = Float[Tensor, "batch channels height width"]
Tokens = Float[Tensor, "batch tokens width"]
Truth = Int[Tensor, "batch height width"]
Mask = Bool[Tensor, "batch height width"]


class Output(NamedTuple):
    """What every segmentation network returns.

    Attributes:
        logits: one value per class and pixel, before the softmax.
        embeddings: name -> feature map for contrastive learning; empty when there is none.
    """

    logits: Logits
    embeddings: dict[str, Features]
