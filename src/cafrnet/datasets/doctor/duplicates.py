"""Whether two cases are the same scan, exactly or nearly."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from .findings import Finding

#: Side of a thumbnail, in pixels.
THUMBNAIL = 64
#: Correlation of thumbnails from which two cases count as nearly the same. Measured on 31 real patients: at
#: most 0.53 between patients; at least 0.89 for a case with noise, another gain, half of its slices or of its
#: pixels, or a few pixels shifted or cut. A tenth cut off brings it down to 0.61: that is not found.
NEARLY_SAME = 0.8


@dataclass(frozen=True)
class Fingerprint:
    """What is kept of an image: 16 KiB, whatever its size.

    Attributes:
        patient: of the case.
        digest: SHA-256 of the voxels in sagittal order.
        thumbnail: unit vector of ``THUMBNAIL ** 2`` values.
    """

    patient: str
    digest: str
    thumbnail: np.ndarray


def fingerprint(patient: str, sagittal: np.ndarray) -> Fingerprint:
    """Take the fingerprint of an image with the axes (slice, row, column)."""
    digest = hashlib.sha256(str((sagittal.shape, sagittal.dtype.str)).encode())
    for plane in sagittal:
        digest.update(plane.tobytes())
    return Fingerprint(patient, digest.hexdigest(), thumbnail(sagittal))


def thumbnail(sagittal: np.ndarray) -> np.ndarray:
    """Return the middle third of the slices as one small picture without its coarse shading, unit length.

    Shading (coil, body outline) is alike in all patients; what is left is the individual spine.
    """
    n = len(sagittal)
    middle = sagittal[n // 3 : max(n - n // 3, n // 3 + 1)].mean(axis=0, dtype=np.float32)
    small = ndimage.zoom(middle, THUMBNAIL / np.array(middle.shape), order=1, grid_mode=True, mode="nearest")
    fine = ndimage.gaussian_filter(small, 0.7) - ndimage.gaussian_filter(small, 4.0)
    fine -= fine.mean()
    return (fine / max(float(np.linalg.norm(fine)), 1e-12)).ravel()


def check(prints: Mapping[str, Fingerprint], part_of: Mapping[str, str]) -> Iterator[Finding]:
    """Compare all cases with one another.

    Args:
        prints: case -> fingerprint.
        part_of: case -> part of a split; empty without one.
    """
    if len(prints) < 2:
        return
    ids = list(prints)
    alike = np.stack([prints[i].thumbnail for i in ids])
    for a, b in zip(*np.nonzero(np.triu(alike @ alike.T > NEARLY_SAME, 1)), strict=True):
        yield from _pair(ids[a], ids[b], prints, part_of, float(alike[a] @ alike[b]))


def _pair(
    a: str, b: str, prints: Mapping[str, Fingerprint], part_of: Mapping[str, str], alike: float
) -> Iterator[Finding]:
    same, one_patient = prints[a].digest == prints[b].digest, prints[a].patient == prints[b].patient
    if one_patient and not same:
        return  # two series of one patient look alike, as they should
    parts = (part_of.get(a), part_of.get(b))
    leak = all(parts) and parts[0] != parts[1]
    where = f", and they are in {parts[0]} and {parts[1]}" if leak else ""
    what = "the same voxels" if same else f"nearly the same picture (correlation {alike:.2f})"
    yield Finding(
        "error" if leak or (same and not one_patient) else "warning",
        "duplicate" if same else "near-duplicate",
        b,
        f"it has {what} as {a}{where}",
        "remove one of the two"
        if same
        else "look at both; if they are one patient, remove one or give both the same patient",
    )
