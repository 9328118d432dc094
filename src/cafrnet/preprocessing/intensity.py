"""Grey values: per-volume normalisation and the deterministic contrast steps of the paper's Sect. 4.1."""

from __future__ import annotations

import numpy as np

from .contrast import equalise, equalise_adaptively
from .settings import Preprocessing


def limits(voxels: np.ndarray, settings: Preprocessing) -> tuple[float, float]:
    """Return the grey values that become 0 and 1.

    The percentiles are taken over the voxels above the volume's minimum ("non-zero", but independent of an
    offset), so that gain, offset and bit depth change nothing.

    Args:
        voxels: the whole volume, any shape, any real dtype.
        settings: holds the two percentiles.

    Returns:
        (low, high) with high > low.
    """
    image = voxels[voxels > voxels.min()]
    low, high = np.percentile(image, [settings.low_percentile, settings.high_percentile])
    if high <= low:  # a nearly binary image: everything above the minimum has one value
        low, high = float(voxels.min()), float(image.max())
    return float(low), float(high)


def normalise(images: np.ndarray, low: float, high: float) -> np.ndarray:
    """Map low..high to 0..1 and clip; float32, same shape."""
    scaled = (np.asarray(images, np.float64) - low) / (high - low)
    return np.clip(scaled, 0, 1).astype(np.float32)


def apply_contrast(images: np.ndarray, settings: Preprocessing) -> np.ndarray:
    """Apply the chosen contrast step to each slice on the model grid.

    Args:
        images: [slice, y, x] in [0, 1].
        settings: ``contrast`` and its parameters.

    Returns:
        Same shape, float32 in [0, 1].

    Source: the paper names both steps and gives neither order nor parameters; decided: 8 x 8 regions, clip
    limit 0.01, which are scikit-image's defaults. An empty slice stays empty.
    """
    if settings.contrast == "none":
        return images
    tile = max(1, settings.size // settings.clahe_tiles)
    done = np.zeros(images.shape, np.float32)
    for k in np.flatnonzero(images.any(axis=(1, 2))):  # one by one is as fast as all at once, in less memory
        one = images[k]
        if settings.contrast in ("he", "he_clahe"):
            one = equalise(one)
        if settings.contrast in ("clahe", "he_clahe"):
            one = equalise_adaptively(one, tile, settings.clahe_clip)
        done[k] = one
    return done
