"""Random changes of training slices (paper Sect. 3.4 and 4.1), from MONAI's transforms."""

from .augment import Augmentation

__all__ = ["Augmentation"]
