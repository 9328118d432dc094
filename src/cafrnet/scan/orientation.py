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

#: Axis directions of a sagittal frame: slices to the right, rows to inferior, columns to posterior.
SAGITTAL_AXES = ("R", "I", "P")
#: Directions that deviate less than this are rounding, not shear.
SILENT_DEG = 0.05
#: Directions that deviate more than this are not "slightly" off: the scan is refused.
LARGEST_REPAIR_DEG = 5.0
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
        InputError: wrong shape, not finite, a zero spacing, a singular matrix, or directions more than
            5 degrees away from orthogonal.
    """
    affine = np.asarray(affine, np.float64)
    if affine.shape != (4, 4) or not np.isfinite(affine).all():
        raise InputError(f"{source}: its affine is not a finite 4 x 4 matrix; export the scan again")
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    if (spacing <= 0).any():
        raise InputError(
            f"{source}: a voxel spacing of {spacing.min():g} mm came, a positive one was expected"
        )
    directions = affine[:3, :3] / spacing
    if abs(linalg.det(directions)) < 1e-3:
        raise InputError(f"{source}: its affine is singular (two axes point the same way); export it again")
    nearest_directions = linalg.polar(directions)[0]
    cosines = np.clip((directions * nearest_directions).sum(axis=0), -1.0, 1.0)
    angle_deg = float(np.degrees(np.arccos(cosines)).max())
    if angle_deg > LARGEST_REPAIR_DEG:
        raise InputError(
            f"{source}: its axes are {angle_deg:.1f} degrees away from orthogonal, at most "
            f"{LARGEST_REPAIR_DEG:g} can be repaired; resample the scan to an orthogonal grid"
        )
    if angle_deg > SILENT_DEG:
        logger.warning("%s: axes %.2f degrees off orthogonal were repaired internally", source, angle_deg)
    repaired = affine.copy()
    repaired[:3, :3] = nearest_directions * spacing
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
            in sagittal slices (an axis of a single voxel has no spacing to speak of and is left out).
    """
    ornt = nib.orientations.io_orientation(affine)
    change = nib.orientations.ornt_transform(ornt, nib.orientations.axcodes2ornt(SAGITTAL_AXES))
    axes = tuple(int(a) for a in np.argsort(change[:, 0]))
    flipped = tuple(bool(change[a, 1] < 0) for a in axes)
    spacing = np.linalg.norm(affine[:3, :3], axis=0)[list(axes)]
    lengths = [shape[a] for a in axes]
    widest = max((s for s, n in zip(spacing[1:], lengths[1:], strict=True) if n > 1), default=0.0)
    if lengths[0] > 1 and widest > LARGEST_SPACING_RATIO * spacing[0]:
        plane = "axial" if spacing[1] >= spacing[2] else "coronal"
        raise InputError(
            f"{source}: a scan in {plane} slices came (voxels of {spacing[0]:.2f} mm left-right, {spacing[2]:.2f} mm "
            f"front-back and {spacing[1]:.2f} mm up-down), a sagittal one was expected; "
            "choose the sagittal series"
        )
    return SagittalFrame(axes, flipped, tuple(float(s) for s in spacing))  # type: ignore[arg-type]
