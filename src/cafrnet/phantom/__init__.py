"""A procedural sagittal spine MRI with a truth known by construction: anatomy -> appearance -> scan."""

from .options import SMALL, PhantomOptions
from .phantom import Phantom, make_phantom
from .writing import write_dataset

__all__ = ["SMALL", "Phantom", "PhantomOptions", "make_phantom", "write_dataset"]
