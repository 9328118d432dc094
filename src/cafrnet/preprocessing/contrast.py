"""Histogram equalisation of one slice: as a whole, and adaptive with limited contrast (CLAHE).

Axes: y and x on the model grid, i and j the row and column of a tile, v the bin of a grey value.
"""

from __future__ import annotations

import numpy as np

#: Bins of every histogram.
BINS = 256
#: The largest grey value in CLAHE, which works with whole numbers of 14 bits.
TOP = 2**14 - 1
#: Grey values per bin. 64 would do; with scikit-image's 65 the last three bins have none.
WIDTH = 2**14 // BINS + 1


def equalise(image: np.ndarray) -> np.ndarray:
    """Spread the grey values of a slice evenly; background (0) doesn't count.

    ``out = F(image)``: F is the share of the pixels above 0 that are at most as bright, from their histogram
    in 256 bins between the darkest and the brightest, linear between the middles of the bins.

    Args:
        image: [y, x], at least one pixel above 0.

    Returns:
        [y, x] in [0, 1], float64. Background gets the share of the first bin, the smallest value there is.

    Source: Pizer et al., "Adaptive histogram equalization and its variations", 1987. Equal to scikit-image's
    ``equalize_hist`` with the mask ``image > 0``.
    """
    counts, edges = np.histogram(image[image > 0], BINS)
    share = np.cumsum(counts) / counts.sum()
    return np.interp(image, (edges[1:] + edges[:-1]) / 2, share)


def equalise_adaptively(image: np.ndarray, tile: int, clip: float) -> np.ndarray:
    """Spread the grey values of each neighbourhood, but limit how much contrast grows (CLAHE).

    Each tile ij has its own map of grey values, from its histogram limited by :func:`limit_counts`::

        m_ij(v) = TOP * sum(counts_ij[0..v]) / tile^2

    A pixel takes the mean of the maps of the four tiles whose middles surround it, with bilinear weights; at
    the border the outermost tiles stand for those beyond. Then the slice is stretched to 0..1.

    Args:
        image: [y, x] in [0, 1], floating point. Gain and offset are taken out first.
        tile: edge of a tile in pixels. The last ones, where they pass the border, are filled by reflection.
        clip: what a bin may hold, as a share of the tile's pixels. 1, and by convention 0: no limit.

    Returns:
        [y, x] in [0, 1], float32. A constant slice becomes 1.

    Source: Zuiderveld, "Contrast limited adaptive histogram equalization", Graphics Gems IV, 1994. What that
    leaves open (bits, borders, the last counts) follows scikit-image's ``equalize_adapthist``, whose results
    these are with tiles of 2, 4 ... 64 pixels. With others it rounds elsewhere: a pixel moves by about 1/TOP
    of the range before stretching.
    """
    bins = _bins(image)
    tiles = [-(-edge // tile) for edge in bins.shape]
    whole = np.pad(bins, [(0, n * tile - e) for n, e in zip(tiles, bins.shape, strict=True)], mode="reflect")
    i, j = (np.arange(edge) // tile for edge in whole.shape)
    slots = (i[:, None] * tiles[1] + j) * BINS + whole
    counts = np.bincount(slots.ravel(), minlength=tiles[0] * tiles[1] * BINS).reshape(-1, BINS)
    if clip > 0:
        counts = limit_counts(counts, max(int(clip * tile**2), 1))
    maps = np.minimum(np.cumsum(counts, axis=1) * TOP // tile**2, TOP).reshape(*tiles, BINS)
    return _stretched(_between_tiles(maps, bins, tile)).astype(np.float32)


def limit_counts(counts: np.ndarray, limit: int) -> np.ndarray:
    """Cut histograms at ``limit`` and hand out what was cut off to the other bins.

    First the same to each bin; those that come as near to the limit as that are filled. The rest goes, one
    count at a time, to bins at regular distances, from the darkest on, until nothing is left or all are full.
    Each step is finished, so that slightly more may be handed out than was cut off.

    Args:
        counts: [histogram, v], whole numbers.
        limit: what a bin may hold, at least 1.
    """
    pixels = counts.sum(axis=1)
    share = np.maximum(counts - limit, 0).sum(axis=1, keepdims=True) // BINS
    counts = np.minimum(counts, limit)
    counts = np.where(counts < limit - share, counts + share, counts)
    counts = np.where(counts < limit - share, counts, limit)
    rest = pixels - counts.sum(axis=1)
    place, first = np.arange(BINS), 0
    while (open_ := np.flatnonzero((rest > 0) & (counts < limit).any(axis=1))).size:
        free = counts[open_] < limit
        distance = np.maximum(free.sum(axis=1) // rest[open_], 1)[:, None]
        given = free & (place >= first) & ((place - first) % distance == 0)
        counts[open_] += given
        rest[open_] -= given.sum(axis=1)
        first = (first + 1) % BINS
    return counts


def _bins(image: np.ndarray) -> np.ndarray:
    """Return each pixel's bin: read as 16 bits, stretched to 0..TOP, ``WIDTH`` grey values to a bin."""
    return np.rint(_stretched(np.rint(image * 65535), flat=0.0) * TOP).astype(np.int64) // WIDTH


def _stretched(grey: np.ndarray, flat: float = 1.0) -> np.ndarray:
    """Map the darkest to 0 and the brightest to 1, float64; all to ``flat`` if there is no difference."""
    low, high = float(grey.min()), float(grey.max())
    return (grey.astype(np.float64) - low) / (high - low) if high > low else np.full(grey.shape, flat)


def _between_tiles(maps: np.ndarray, bins: np.ndarray, tile: int) -> np.ndarray:
    """Look each pixel [y, x] up in the four maps [i, j, v] around it and average, in whole numbers."""
    sides = [_neighbours(edge, n, tile) for edge, n in zip(bins.shape, maps.shape, strict=False)]
    total = np.zeros(bins.shape, np.int64)
    for i, down in sides[0]:
        for j, right in sides[1]:
            total += down[:, None] * right * maps[i[:, None], j, bins]
    return total // tile**2


def _neighbours(edge: int, tiles: int, tile: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return the tile before and the one after each of ``edge`` pixels, with their weights, 0 to ``tile``."""
    before, beyond = np.divmod(np.arange(edge) - (tile + 1) // 2, tile)
    return [(np.clip(before, 0, tiles - 1), tile - beyond), (np.clip(before + 1, 0, tiles - 1), beyond)]
