"""Whether a scan's slices fit each other: they get their names together, so they have to.

Nothing here depends on the model. A slice without signal loses its outlines, one that outshines the rest
takes theirs, and names miss neither; slices that lie elsewhere along the patient (motion between interleaved
halves, two acquisitions in one file) show other levels at the same height.

Axes: s = slice, from the patient's left to the right, y = model row (caudal), x = model column.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np

from ..anatomy.checks import Flag
from ..words import ranges

#: Percentile of a slice that stands for its bright parts.
BRIGHT = 95
#: So many times as bright as the median slice is too bright. In the 31 scans of spider-space the ratio is
#: 0.88 to 1.05; in phantoms over the full width, with lateral slices of little but fat, 0.76 to 1.90.
OUTSHINES = 4.0
#: With less than this share of it a slice between two others holds no picture.
NO_SIGNAL = 0.1
#: A neighbour fits better elsewhere: by so many mm along the patient, and by so much of the correlation. In
#: spider-space at most 1.2 mm and 0.04, in 114 phantoms of three contrasts, slices 1 to 8 mm apart, 0.06.
MOVED_MM, MOVED_GAIN = 4.0, 0.1
#: How far it is looked for, in mm either way, and how many columns count as one there.
REACH_MM, COLUMNS = 75.0, 4


def slice_flags(images: np.ndarray, pixel_mm: float) -> tuple[Flag, ...]:
    """Return what is wrong with a scan's slices.

    Args:
        images: [s, y, x], 0 to 1, as the network sees them.
        pixel_mm: size of a pixel of theirs.

    Returns:
        Flags of the kind ``slices``; none where the slices fit, or there is but one.
    """
    if len(images) < 2:
        return ()
    return (*_brightness(images), *_displacement(images, pixel_mm))


def _brightness(images: np.ndarray) -> Iterator[Flag]:
    bright = np.array([np.percentile(image, BRIGHT) for image in images])
    if not bright.any():
        return
    usual = float(np.median(bright[bright > 0]))
    if (glaring := np.flatnonzero(bright > OUTSHINES * usual)).size:
        yield _flag(f"{_these(glaring)} up to {bright.max() / usual:.0f} times as bright as the others")
    filled = np.flatnonzero(bright >= NO_SIGNAL * usual)
    if (empty := np.setdiff1d(np.arange(filled[0], filled[-1]), filled)).size:
        yield _flag(f"{_these(empty)} without a picture, between others that have one")


def _displacement(images: np.ndarray, pixel_mm: float) -> Iterator[Flag]:
    """Slide each slice along its neighbour; what fits best further down shows parts from further up there."""
    fits = _correlation(images, min(int(REACH_MM / pixel_mm), images.shape[1] - 2))
    here = fits.shape[1] // 2
    by_mm = (fits.argmax(axis=1) - here) * pixel_mm
    moved = np.flatnonzero((np.abs(by_mm) >= MOVED_MM) & (fits.max(axis=1) - fits[:, here] >= MOVED_GAIN))
    if moved.size:
        most = moved[np.abs(by_mm[moved]).argmax()]
        yield _flag(
            f"slice {most + 2} shows the patient {abs(by_mm[most]):.0f} mm "
            f"{'higher' if by_mm[most] > 0 else 'lower'} than slice {most + 1} "
            f"(so do not fit: {moved.size} of {len(fits)} neighbours): motion, or two acquisitions in one"
        )


def _correlation(images: np.ndarray, reach: int) -> np.ndarray:
    """Return the correlation of neighbours' edges, [s - 1, 2 reach + 1], by rows from -reach to reach."""
    at, fits = np.arange(-reach, reach + 1), []
    for (one, strength), (other, other_strength) in pairwise(map(_waves, images)):
        fit = np.fft.irfft((one.conj() * other).sum(axis=1))
        fits.append(fit[at] / max(strength * other_strength, 1e-9))
    return np.array(fits)


def _waves(image: np.ndarray) -> tuple[np.ndarray, float]:
    """Return the spectrum of a slice's edges along its rows, padded to twice their number, and their norm."""
    width = image.shape[1] // COLUMNS * COLUMNS
    edges = np.diff(image[:, :width].reshape(len(image), -1, COLUMNS).mean(axis=2), axis=0)
    return np.fft.rfft(edges, 2 * len(edges), axis=0), float(np.linalg.norm(edges))


def _flag(what: str) -> Flag:
    return Flag("slices", (), f"{what} (slices are counted from 1, from the patient's left)")


def _these(slices: np.ndarray) -> str:
    return f"slice{'s' if len(slices) > 1 else ''} {ranges(slices + 1)} {'are' if len(slices) > 1 else 'is'}"
