"""Building blocks, one idea per file."""

from .lafr import LAFR
from .patch import PatchEmbedding
from .reassemble import Reassemble
from .transformer import TransformerBlock
from .upsample import UpBlock

__all__ = ["LAFR", "PatchEmbedding", "Reassemble", "TransformerBlock", "UpBlock"]
