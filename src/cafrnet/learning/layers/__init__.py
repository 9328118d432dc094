"""Building blocks, one idea per file."""

from .bottleneck import Bottleneck, StandardisedConv
from .fused import FusedMap
from .lafr import LAFR, UngatedLAFR, recalibration
from .paired_attention import PairedAttention, PairedBlock
from .patch import PatchEmbedding
from .patch_expanding import PatchExpanding
from .pyramid import Pyramid, conv
from .reassemble import Reassemble
from .swin import SwinStage
from .transformer import TransformerBlock
from .upsample import UpBlock

__all__ = [
    "LAFR",
    "Bottleneck",
    "FusedMap",
    "PairedAttention",
    "PairedBlock",
    "PatchEmbedding",
    "PatchExpanding",
    "Pyramid",
    "Reassemble",
    "StandardisedConv",
    "SwinStage",
    "TransformerBlock",
    "UngatedLAFR",
    "UpBlock",
    "conv",
    "recalibration",
]
