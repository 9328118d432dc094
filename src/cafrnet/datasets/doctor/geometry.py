"""Whether an image lies where its header says, and its label map lies on it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from scipy import linalg

from ...errors import InputError
from ...scan import Scan
from ...scan.alignment import is_rounding, is_same_grid, mismatch
from ...scan.nifti import unit_mm
from .findings import Finding

#: Voxel sizes this many times off the dataset's median are pointed out.
SPACING_FACTOR = 2.0


def pair(case: str, scan: Scan, labels_affine: np.ndarray) -> Iterator[Finding]:
    """Compare the affines of an image and its label map."""
    try:
        shift, tilt_deg = mismatch(scan.affine, np.asarray(labels_affine, float), scan.voxels.shape)
    except (linalg.LinAlgError, ValueError):
        shift = tilt_deg = np.inf
    if is_rounding(shift, tilt_deg):
        return
    far = not is_same_grid(shift, tilt_deg)
    yield Finding(
        "error" if far else "warning",
        "affine",
        case,
        f"the label map's affine is {shift:.2f} voxels and {tilt_deg:.2f} degrees off the image's",
        "resample the label map to the image, or copy the image's header if the arrays do belong together"
        if far
        else "nothing need be done: arrays are paired by index and the image's affine counts",
    )


def image(case: str, scan: Scan) -> Iterator[Finding]:
    """Check the orientation and the header of an image."""
    try:
        _ = scan.frame
    except InputError as error:
        yield Finding(
            "error",
            "orientation",
            case,
            str(error),
            "take the sagittal series of this patient, or leave it out",
        )
    if np.array_equal(np.abs(scan.affine[:3, :3]), np.eye(3)):
        yield Finding(
            "warning",
            "orientation",
            case,
            "its affine is the identity (1 mm voxels, unrotated): the geometry was probably lost",
            "export the scan again from its source with its orientation",
        )
    nifti = scan.header.get("nifti")
    if nifti is None:
        return
    stated = np.asarray(nifti["pixdim"][1:4], float) * unit_mm(nifti)
    if (np.abs(stated / scan.spacing_mm - 1) > 0.01).any():
        yield Finding(
            "warning",
            "spacing",
            case,
            f"its header states voxels of {_mm(stated)} mm, its affine gives {_mm(scan.spacing_mm)} mm",
            "the affine is what is used; if it is the wrong one, correct the file",
        )


def odd_spacings(spacings_mm: dict[str, tuple[float, ...]]) -> Iterator[Finding]:
    """Point out cases whose voxels are much larger or smaller than the dataset's.

    Args:
        spacings_mm: case -> distance of slices, rows and columns of its sagittal frame.
    """
    if len(spacings_mm) < 3:
        return
    median = np.median(list(spacings_mm.values()), axis=0)
    for case, spacing in spacings_mm.items():
        ratio = np.asarray(spacing) / median
        if (ratio > SPACING_FACTOR).any() or (ratio < 1 / SPACING_FACTOR).any():
            yield Finding(
                "warning",
                "spacing",
                case,
                f"slices, rows and columns are {_mm(spacing)} mm apart; the median is {_mm(median)}",
                "check that the voxel size is right; if it is, nothing need be done",
            )


def _mm(values: Sequence[float] | np.ndarray) -> str:
    return " x ".join(f"{v:.3g}" for v in values)
