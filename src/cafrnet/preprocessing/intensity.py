"""Grey values: per-volume normalisation and the deterministic contrast steps of the paper's Sect. 4.1."""

from __future__ import annotations

import numpy as np

from .contrast import equalise, equalise_adaptively
from .settings import Preprocessing

#: The grey value that becomes 1 lies at most this many times as high above the minimum as this percentile.
#: In the 31 scans of spider-space it is 1.5 times at most: only marks and markers that are far brighter than
#: any tissue, burnt into a few of a hundred pixels, reach it. They would leave no contrast to the rest.
GLARE, BELOW_GLARE = 4.0, 98.0


def limits(voxels: np.ndarray, settings: Preprocessing) -> tuple[float, float]:
    """Return the grey values that become 0 and 1.

    The percentiles are taken over the voxels above the volume's minimum ("non-zero", but independent of an
    offset), so that gain, offset and bit depth change nothing. The higher one stops at :data:`GLARE`.

    Args:
        voxels: the whole volume, any shape, any real dtype.
        settings: holds the two percentiles.

    Returns:
        (low, high) with high > low.
    """
    dark = float(voxels.min())
    image = voxels[voxels > dark]
    low, tissue, high = np.percentile(image, [settings.low_percentile, BELOW_GLARE, settings.high_percentile])
    high = min(high, dark + GLARE * (tissue - dark))
    if high <= low:  # a nearly binary image: everything above the minimum has one value
        low, high = dark, float(image.max())
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
