"""From a label map to one column of bodies and discs, and renaming all of its levels together."""

from .checks import Flag, check
from .column import Element, column
from .naming import Named, Naming
from .options import NamingOptions
from .relabel import anchor, level_named, shift_levels

__all__ = [
    "Element",
    "Flag",
    "Named",
    "Naming",
    "NamingOptions",
    "anchor",
    "check",
    "column",
    "level_named",
    "shift_levels",
]
