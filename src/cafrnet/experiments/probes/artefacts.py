"""What goes wrong in a scanner, at five strengths each: a clean scan in, a worse one out, always the same.

Axes: s = slice, r = row (caudal), c = column (posterior), as in a sagittal frame.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...errors import MissingExtraError, UsageError, nearest
from ...scan import Scan

#: Every fourth line of k-space is disturbed by motion, so copies lie at quarters of the field of view.
GHOSTS = 4
#: Percentile of a scan's voxels that counts as its brightest, so that one bright voxel doesn't set the scale.
BRIGHTEST_PERCENTILE = 99.5


@dataclass(frozen=True, eq=False)
class Box:
    """The part of a scan that was measured, without the empty rows and columns around it.

    Attributes:
        image: [s, r, c] float32, brightest 1 (see ``BRIGHTEST_PERCENTILE``), darkest 0.
        spacing_mm: of slices, rows and columns.
        seed: source of chance.
    """

    image: np.ndarray
    spacing_mm: tuple[float, float, float]
    seed: int


@dataclass(frozen=True)
class Artefact:
    """One kind of artefact.

    Attributes:
        title: in words.
        unit: what a strength counts.
        strengths: five, from mild to severe.
        apply: box and strength -> [s, r, c] float32. None for what changes the field of view.
        removes: from which end rows are cut: ``"top"``, ``"bottom"`` or nothing.
    """

    title: str
    unit: str
    strengths: tuple[float, ...]
    apply: Callable[[Box, float], np.ndarray] | None = None
    removes: str = ""


def bias_field(box: Box, strength: float) -> np.ndarray:
    """Multiply by a smooth field, as a coil's sensitivity: exp of a 3D polynomial of degree 3 (MONAI).

    The field's shape depends on the seed alone, the strength scales its exponent.
    """
    field = load_monai().RandBiasField(degree=3, coeff_range=(-strength, strength), prob=1.0)
    field.set_random_state(seed=box.seed)
    return _array(field(box.image[None]))[0]


def noise(box: Box, strength: float) -> np.ndarray:
    """Add Rician noise: the magnitude of the signal with Gaussian noise in both channels (MONAI).

    ``strength`` is the standard deviation of each channel over the brightest grey value.
    """
    rician = load_monai().RandRicianNoise(prob=1.0, std=strength, sample_std=False)
    rician.set_random_state(seed=box.seed)
    return _array(rician(box.image))


def ghosting(box: Box, strength: float) -> np.ndarray:
    r"""Weaken every fourth line of k-space, as motion between excitations does, and take the magnitude.

    With N columns and lines :math:`k \equiv 2 \pmod 4` weakened to :math:`1 - a`, the shift theorem gives

    .. math:: I'(x) = I(x) - \frac{a}{4} \sum_{j=0}^{3} (-1)^j I(x - j N / 4)

    so every voxel leaves copies of a quarter of its strength times ``a`` at quarters of the field of view.
    The lines are chosen so that the mean (line 0) stays. Ghosts run front to back, the usual phase direction
    in which breathing and the aorta reach the spine. No library among the dependencies has it.
    """
    lines = np.fft.fft(box.image, axis=2)
    lines[:, :, GHOSTS // 2 :: GHOSTS] *= 1 - strength
    return np.abs(np.fft.ifft(lines, axis=2)).astype(np.float32)


def gamma(box: Box, strength: float) -> np.ndarray:
    """Raise the grey values to a power: the dark tones run together (MONAI)."""
    return _array(load_monai().AdjustContrast(gamma=strength)(box.image))


def inversion(box: Box, strength: float) -> np.ndarray:
    """Fold the brightest ``strength`` of the range down: what is bright becomes dark, fluid first; 1 inverts.

    As between T2 and T1 weighting, where fluid changes from the brightest to a dark tissue.
    """
    fold = 1 - strength
    image = np.clip(box.image, 0, 1)
    folded = np.where(image > fold, 2 * fold - image, image)
    return (folded - folded.min()).astype(np.float32)


def resolution(box: Box, strength: float) -> np.ndarray:
    """Average over square pixels of ``strength`` mm, and interpolate back to the native grid (MONAI).

    Pixels that are already coarser stay as they are.
    """
    shape = box.image.shape[1:]
    coarse = [max(1, min(n, round(n * s / strength))) for n, s in zip(shape, box.spacing_mm[1:], strict=True)]
    resize = load_monai().Resize
    averaged = resize(coarse, mode="area")(box.image)
    return _array(resize(shape, mode="bilinear")(averaged))


#: Every kind. The strengths are ours: the mildest is hardly seen, the strongest would be measured again.
ARTEFACTS: Mapping[str, Artefact] = {
    "bias_field": Artefact("bias field", "coefficient", (0.1, 0.2, 0.3, 0.5, 0.7), bias_field),
    "noise": Artefact("noise", "SD / brightest", (0.02, 0.05, 0.1, 0.15, 0.2), noise),
    "ghosting": Artefact("motion ghosting", "share of a line lost", (0.2, 0.4, 0.6, 0.8, 1.0), ghosting),
    "gamma": Artefact("contrast: gamma", "exponent", (1.1, 1.25, 1.5, 2.0, 3.0), gamma),
    "inversion": Artefact(
        "contrast: bright made dark", "share of range", (0.2, 0.4, 0.6, 0.8, 1.0), inversion
    ),
    "resolution": Artefact("resolution", "pixel in mm", (1.5, 2.0, 2.5, 3.0, 4.0), resolution),
    "top_cut": Artefact("field of view cut above", "share of rows", (0.1, 0.2, 0.3, 0.4, 0.5), removes="top"),
    "bottom_cut": Artefact(
        "field of view cut below", "share of rows", (0.1, 0.2, 0.3, 0.4, 0.5), removes="bottom"
    ),
}


def degrade(scan: Scan, kind: str, strength: float, seed: int) -> tuple[Scan, slice]:
    """Return the scan with an artefact, and which of its sagittal rows are left.

    Args:
        scan: any sagittal scan.
        kind: one of ``ARTEFACTS``.
        strength: in the unit of that kind.
        seed: the same gives the same result; see :func:`seed_of`.

    Returns:
        A scan of float32 voxels on the same grid, and all rows; after a cut fewer rows, a grid that begins
        later, and the rows that stayed. Rows and columns that are empty in every slice (padding that was
        never measured) stay empty and don't count in shares.

    Raises:
        UsageError: an unknown kind (the nearest is named). InputError: the scan is not sagittal.
    """
    if kind not in ARTEFACTS:
        raise UsageError(f"no artefact {kind!r}{nearest(kind, ARTEFACTS)}")
    artefact = ARTEFACTS[kind]
    sagittal = scan.frame.to_sagittal(scan.voxels)
    low = sagittal.min()
    rows, cols = (_filled((sagittal > low).any(axis=axes)) for axes in ((0, 2), (0, 1)))
    if artefact.apply is None:
        kept = _kept(rows, artefact.removes, strength, sagittal.shape[1])
        return _cut(scan, kept), kept
    inside = sagittal[:, rows, cols].astype(np.float32) - np.float32(low)
    brightest = float(np.percentile(inside, BRIGHTEST_PERCENTILE)) or float(inside.max())
    worse = np.zeros(sagittal.shape, np.float32)
    worse[:, rows, cols] = artefact.apply(Box(inside / brightest, scan.frame.spacing_mm, seed), strength)
    voxels = np.ascontiguousarray(scan.frame.to_array(worse))
    return Scan(voxels, scan.affine, source=f"{scan.source} with {artefact.title}"), slice(
        0, sagittal.shape[1]
    )


def seed_of(seed: int, case: str, kind: str) -> int:
    """Return the seed of one case and kind; a stronger artefact keeps its shape."""
    words = np.random.SeedSequence((seed, zlib.crc32(case.encode()), zlib.crc32(kind.encode())))
    return int(words.generate_state(1)[0])


def _filled(any_there: np.ndarray) -> slice:
    found = np.flatnonzero(any_there)
    return slice(int(found[0]), int(found[-1]) + 1)


def _kept(rows: slice, end: str, share: float, height: int) -> slice:
    """Return the rows that stay after a share of the measured ones is cut from the top or bottom."""
    gone = round(share * (rows.stop - rows.start))
    return slice(rows.start + gone, height) if end == "top" else slice(0, rows.stop - gone)


def _cut(scan: Scan, rows: slice) -> Scan:
    """Return the scan with some of its sagittal rows, at its place in the world."""
    frame = scan.frame
    axis, flipped = frame.axes[1], frame.flipped[1]
    length = scan.voxels.shape[axis]
    first = length - rows.stop if flipped else rows.start
    index = [slice(None)] * 3
    index[axis] = slice(first, first + rows.stop - rows.start)
    affine = scan.affine.copy()
    affine[:3, 3] += first * affine[:3, axis]
    return Scan(scan.voxels[tuple(index)], affine, source=f"{scan.source}, rows {rows.start}-{rows.stop}")


def load_monai() -> Any:
    """Return MONAI's transforms, which take seconds to load.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        import monai.transforms
    except ImportError as error:
        raise MissingExtraError("degrading scans", "train") from error
    return monai.transforms


def _array(result: object) -> np.ndarray:
    """Turn what a MONAI transform returns (a tensor that knows its history) into a plain array."""
    return np.asarray(result, np.float32)
