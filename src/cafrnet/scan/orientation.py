"""Which array axis is which: sagittal slices with rows running caudally and columns posteriorly.

Everything is read from the affine, nothing from the order of the array axes, so that any of the 48 axis
orders and flips, and any oblique affine, gives the same answer.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

import nibabel as nib
import numpy as np
from scipy import linalg

from ..errors import InputError

logger = logging.getLogger(__name__)

#: RAS to LPS and back: the x of DICOM and ITK grows to the left and their y to the back.
FLIP_XY = np.diag([-1.0, -1.0, 1.0, 1.0])
#: Axis directions of a sagittal frame: slices to the right, rows to inferior, columns to posterior.
SAGITTAL_AXES = ("R", "I", "P")
#: Axes whose angle deviates from a right one by less than this: rounding, not shear.
SILENT_DEG = 0.05
#: Axes whose angle deviates by more than this are not "slightly" off: the scan is refused.
LARGEST_REPAIR_DEG = 5.0
#: Distances of neighbouring voxels that a scan may have. The finest matrices of clinical scanners, with
#: interpolation, are about 0.2 mm; what is beyond is a header in metres or microns. The memory that a model's
#: window takes grows with the square of the finest: 0.3 GB at this one.
SMALLEST_MM, LARGEST_MM = 0.05, 100.0
#: A scan is sagittal while no other axis is spaced more than this many times the left-right one.
LARGEST_SPACING_RATIO = 2.0


def orthonormal(affine: np.ndarray, source: str = "affine") -> np.ndarray:
    """Return the affine with its directions replaced by the nearest orthonormal ones (polar decomposition).

    Args:
        affine: 4 x 4, array index -> world mm.
        source: named in messages.

    Returns:
        4 x 4 float64; spacing and origin unchanged.

    Raises:
        InputError: wrong shape, not finite, a spacing of 0 or outside :data:`SMALLEST_MM` to
            :data:`LARGEST_MM`, a singular matrix, or two axes whose angle is more than 5 degrees away from a
            right one.
    """
    affine = np.asarray(affine, np.float64)
    if affine.shape != (4, 4) or not np.isfinite(affine).all():
        raise InputError(f"{source}: its affine is not a finite 4 x 4 matrix; export the scan again")
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    if (spacing <= 0).any():
        raise InputError(
            f"{source}: a voxel spacing of {spacing.min():g} mm came, a positive one was expected"
        )
    if spacing.min() < SMALLEST_MM or spacing.max() > LARGEST_MM:
        raise InputError(
            f"{source}: voxels of {' x '.join(f'{s:g}' for s in spacing)} mm came, {SMALLEST_MM:g} to "
            f"{LARGEST_MM:g} mm were expected; does its header count in metres or microns, or say so wrongly "
            "(NIfTI: xyzt_units)? Correct the unit, or export the scan again in mm"
        )
    directions = affine[:3, :3] / spacing
    if abs(linalg.det(directions)) < 1e-3:
        raise InputError(f"{source}: its affine is singular (two axes point the same way); export it again")
    cosines = np.abs(np.triu(directions.T @ directions, 1)).max()
    angle_deg = float(np.degrees(np.arcsin(min(cosines, 1.0))))
    if angle_deg > LARGEST_REPAIR_DEG:
        raise InputError(
            f"{source}: its axes are {angle_deg:.1f} degrees away from orthogonal, at most "
            f"{LARGEST_REPAIR_DEG:g} can be repaired; resample the scan to an orthogonal grid"
        )
    if angle_deg > SILENT_DEG:
        logger.warning("%s: axes %.2f degrees off orthogonal were repaired internally", source, angle_deg)
    repaired = affine.copy()
    repaired[:3, :3] = linalg.polar(directions)[0] * spacing
    return repaired


@dataclass(frozen=True)
class SagittalFrame:
    """The way between an array in its own order and its sagittal slices, without any interpolation.

    Attributes:
        axes: for (slice, row, column) the array axis it comes from.
        flipped: for (slice, row, column) whether that array axis runs backwards.
        spacing_mm: distance between slices, rows and columns.
    """

    axes: tuple[int, int, int]
    flipped: tuple[bool, bool, bool]
    spacing_mm: tuple[float, float, float]

    def to_sagittal(self, array: np.ndarray) -> np.ndarray:
        """Return a view with axes (slice, row, column): to the right, caudally, posteriorly."""
        flips = tuple(slice(None, None, -1 if f else 1) for f in self.flipped)
        return array.transpose(self.axes)[flips]

    def to_array(self, sagittal: np.ndarray) -> np.ndarray:
        """Undo :meth:`to_sagittal`, exactly (a view)."""
        flips = tuple(slice(None, None, -1 if f else 1) for f in self.flipped)
        return sagittal[flips].transpose(np.argsort(self.axes))


def sagittal_frame(affine: np.ndarray, shape: tuple[int, ...], source: str = "scan") -> SagittalFrame:
    """Find the sagittal frame of an array.

    Args:
        affine: 4 x 4 with orthogonal directions, array index -> RAS mm.
        shape: the array's three lengths.
        source: named in messages.

    Raises:
        InputError: another axis is spaced more than twice the left-right one, so the scan was not acquired
            in sagittal slices; or it is a single slice of another plane. A single sagittal slice is accepted.
    """
    ornt = nib.orientations.io_orientation(affine)
    change = nib.orientations.ornt_transform(ornt, nib.orientations.axcodes2ornt(SAGITTAL_AXES))
    axes = tuple(int(a) for a in np.argsort(change[:, 0]))
    flipped = tuple(bool(change[a, 1] < 0) for a in axes)
    spacing = np.linalg.norm(affine[:3, :3], axis=0)[list(axes)]
    _refuse_other_planes(spacing, [shape[a] for a in axes], source)
    return SagittalFrame(axes, flipped, tuple(float(s) for s in spacing))  # type: ignore[arg-type]


def _refuse_other_planes(spacing: np.ndarray, lengths: list[int], source: str) -> None:
    """Raise InputError for axial or coronal slices; both arguments are for (slice, row, column)."""
    if lengths[0] == 1:
        return
    across = [np.inf if n == 1 else s for s, n in zip(spacing[1:], lengths[1:], strict=True)]
    if max(across) > LARGEST_SPACING_RATIO * spacing[0]:
        plane = "axial" if across[0] >= across[1] else "coronal"
        if 1 in lengths[1:]:
            raise InputError(
                f"{source}: a single slice came, {plane} by its affine; a sagittal one was expected. "
                "If it is sagittal, its orientation was lost: give it the affine of its scan, or save it as "
                "PNG and give the pixel size (--pixel-mm)"
            )
        raise InputError(
            f"{source}: a scan in {plane} slices came (voxels of {spacing[0]:.2f} mm left-right, "
            f"{spacing[2]:.2f} mm front-back and {spacing[1]:.2f} mm up-down), a sagittal one was expected; "
            "choose the sagittal series, or, if this is one, give the file its true orientation"
        )
