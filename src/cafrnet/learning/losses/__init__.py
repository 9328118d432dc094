"""The training objective (paper Eq. 9-13): pure functions, one per file."""

from .clr import ClrSettings, Views, cell_labels, contrast, info_nce, sample_cells
from .cross_entropy import cross_entropy
from .dice import dice_loss

__all__ = [
    "ClrSettings",
    "Views",
    "cell_labels",
    "contrast",
    "cross_entropy",
    "dice_loss",
    "info_nce",
    "sample_cells",
]
