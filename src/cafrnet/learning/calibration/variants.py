"""The same scan with less of it, or worse: what thresholds are fitted on besides scans as they come.

Axes: s = slice, r = native row (caudal), c = native column (posterior).
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from ...labels import TABLE
from ...scan import Scan

#: Fewest discs that a crop keeps whole.
LEAST_DISCS = 4


def crop(scan: Scan, ids: np.ndarray, rng: np.random.Generator) -> tuple[Scan, slice] | None:
    """Cut a scan at random from below and above.

    A run of at least :data:`LEAST_DISCS` neighbouring discs stays whole, each run as likely as any other; the
    cuts fall anywhere within the bodies next to it, or the end of the picture.

    Args:
        scan: sagittal, in any array order.
        ids: its truth, principal ids, in the same order.
        rng: source of chance.

    Returns:
        The cropped scan, and which rows of the array axis that runs up and down were kept; None where the
        scan has too few discs. The affine moves along, so that world coordinates stay.
    """
    sagittal = scan.frame.to_sagittal(ids)
    spans = [_rows(sagittal == i) for i in TABLE.of_kind("disc")]
    discs = [span for span in spans if span is not None]  # from below: large rows first
    runs = [(a, b) for a in range(len(discs)) for b in range(a + LEAST_DISCS - 1, len(discs))]
    if not runs:
        return None
    a, b = runs[int(rng.integers(len(runs)))]
    lowest = sagittal.shape[1] if a == 0 else discs[a - 1][0]
    highest = 0 if b == len(discs) - 1 else discs[b + 1][1]
    bottom = int(rng.integers(discs[a][1], max(lowest, discs[a][1] + 1) + 1))
    top = int(rng.integers(min(highest, discs[b][0]), discs[b][0] + 1))
    return _kept(scan, top, min(bottom, sagittal.shape[1]))


def _rows(mask: np.ndarray) -> tuple[int, int] | None:
    """Return the first row of a structure and the row behind its last one."""
    rows = np.flatnonzero(mask.any(axis=(0, 2)))
    return (int(rows[0]), int(rows[-1]) + 1) if len(rows) else None


def _kept(scan: Scan, top: int, bottom: int) -> tuple[Scan, slice]:
    axis, flipped = scan.frame.axes[1], scan.frame.flipped[1]
    length = scan.voxels.shape[axis]
    rows = slice(length - bottom, length - top) if flipped else slice(top, bottom)
    index: list[slice] = [slice(None)] * 3
    index[axis] = rows
    affine = scan.affine.copy()
    affine[:3, 3] += affine[:3, axis] * rows.start
    return Scan(
        np.ascontiguousarray(scan.voxels[tuple(index)]), affine, source=f"{scan.source}, cropped"
    ), rows


def take_rows(array: np.ndarray, scan: Scan, rows: slice) -> np.ndarray:
    """Return the rows that :func:`crop` kept of an array in the scan's order."""
    index: list[slice] = [slice(None)] * 3
    index[scan.frame.axes[1]] = rows
    return array[tuple(index)]


def degrade(scan: Scan, rng: np.random.Generator) -> Scan:
    """Make a scan worse: noise, blur, a bias field, or metal-like dark spots, one or two of them.

    The outlines get worse with it, so that predicted Dice is fitted on more than good cases.
    """
    image = scan.frame.to_sagittal(scan.voxels).astype(np.float32)
    low, high = np.percentile(image, (1, 99))
    image = (image - low) / max(high - low, 1e-6)
    for k in rng.permutation(4)[: int(rng.integers(1, 3))]:
        image = (_noisy, _blurred, _biased, _spotted)[k](image, rng)
    back = np.clip(scan.frame.to_array(image), 0, 2) * 1000
    return Scan(back.astype(np.uint16), scan.affine, source=f"{scan.source}, degraded")


def _noisy(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    sigma = rng.uniform(0.05, 0.4)
    both = rng.normal(0, sigma, (2, *image.shape)).astype(np.float32)
    return np.hypot(image + both[0], both[1])


def _blurred(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return ndimage.gaussian_filter(image, (0, *rng.uniform(1.0, 6.0, 2)))


def _biased(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    field = ndimage.zoom(
        rng.normal(0, 1.0, (3, 3)), [n / 3 for n in image.shape[1:]], order=1, grid_mode=True, mode="nearest"
    )
    return image * np.exp(field).astype(np.float32)


def _spotted(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    out = image.copy()
    rows, cols = np.arange(image.shape[1])[:, None], np.arange(image.shape[2])
    for _ in range(int(rng.integers(1, 5))):
        r, c = rng.uniform(0.15, 0.85, 2) * image.shape[1:]
        radius = rng.uniform(0.02, 0.08) * max(image.shape[1:])
        out[:, (rows - r) ** 2 + (cols - c) ** 2 < radius**2] = 0
    return out
