"""Where a scan holds picture: what lies beyond it can't be told from a column that ends there."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import uniform_filter1d

#: A row holds picture where its grey values differ by this share of those of the whole scan. In the 31 scans
#: of spider-space that leaves out four rows (2 mm) at an end at most.
LEAST_CONTRAST = 0.10
#: Columns are smoothed over this share of a row, so that noise is no picture.
SMOOTHED = 1 / 32
#: Percentiles between which grey values of a row, and of the whole, are taken to differ.
OF_A_ROW, OF_ALL = (5, 95), (1, 99)


def picture_rows(sagittal: np.ndarray) -> tuple[int, int]:
    """Return the first and the last row that hold picture.

    Padding of any constant value, a band without signal and the dark end of a coil's reach hold none: rows
    there are alike from front to back. A column that ends at such a band is cut as if the picture ended.

    Args:
        sagittal: [s, r, c], rows from above downwards, any real dtype.

    Returns:
        All rows where none differs from front to back, as in no picture of a spine.
    """
    return _differing(sagittal.mean(axis=0, dtype=np.float64))


def picture_columns(sagittal: np.ndarray) -> tuple[int, int]:
    """Return the first and the last column that hold picture: :func:`picture_rows` with the sides exchanged.

    Air in front of and behind the patient holds none, whatever its noise.
    """
    return _differing(sagittal.mean(axis=0, dtype=np.float64).T)


def _differing(seen: np.ndarray) -> tuple[int, int]:
    """Return the first and the last row of one image whose grey values differ."""
    seen = uniform_filter1d(seen, max(1, round(seen.shape[1] * SMOOTHED)), axis=1)
    dark, bright = np.percentile(seen, OF_ALL)
    low, high = np.percentile(seen, OF_A_ROW, axis=1)
    filled = np.flatnonzero(high - low >= LEAST_CONTRAST * (bright - dark))
    return (int(filled[0]), int(filled[-1])) if len(filled) else (0, len(seen) - 1)
