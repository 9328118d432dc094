"""In how many pieces a structure came: fragmentation as a number."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import generate_binary_structure, label


def components(mask: np.ndarray) -> int:
    """Count the connected pieces of a boolean mask; 0 for an empty one.

    Voxels that touch by a face, an edge or a corner belong together, so that a thin oblique structure in
    thick slices is not counted as many.
    """
    return int(label(mask, generate_binary_structure(mask.ndim, mask.ndim))[1]) if mask.any() else 0
