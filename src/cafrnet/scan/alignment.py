"""Whether two arrays are of one grid, whatever order each has its axes in; and the one in the other's order.

Tools that reorient mirror or exchange the axes of an array and correct its affine: each voxel stays where it
is in the patient, under another index.
"""

from __future__ import annotations

from collections.abc import Sequence

import nibabel as nib
import numpy as np
from scipy import linalg

from ..errors import InputError

#: From here on two affines place two grids. Some label maps of SpineMRI lie off their images by less.
LARGEST_SHIFT_VOXELS = 1.0
LARGEST_TILT_DEG = 1.0
#: Up to here the difference is rounding in a header.
SILENT_SHIFT_VOXELS = 0.01
SILENT_TILT_DEG = 0.05


def mismatch(image: np.ndarray, labels: np.ndarray, shape: Sequence[int]) -> tuple[float, float]:
    """Return how far two affines place one array apart.

    Args:
        image, labels: 4 x 4, array index -> mm.
        shape: of the array.

    Returns:
        Shift of the array's centre and growth of its half-extent by different spacings (the larger), in
        voxels of the image; and the rotation between the two, in degrees.
    """
    spacings = [np.linalg.norm(a[:3, :3], axis=0) for a in (image, labels)]
    turns = [linalg.polar(a[:3, :3] / s)[0] for a, s in zip((image, labels), spacings, strict=True)]
    half = (np.asarray(shape) - 1) / 2
    centre = np.append(half, 1.0)
    shift = np.linalg.solve(image[:3, :3], (labels @ centre - image @ centre)[:3])
    growth = half * np.abs(spacings[1] / spacings[0] - 1)
    # |R1 - R2| (Frobenius) = 2 sqrt(2) sin(angle / 2): exact near zero, where arccos is not.
    sine = np.clip(linalg.norm(turns[0] - turns[1]) / np.sqrt(8), 0, 1)
    return float(max(np.abs(shift).max(), growth.max())), float(2 * np.degrees(np.arcsin(sine)))


def is_rounding(shift_voxels: float, tilt_deg: float) -> bool:
    """Whether a :func:`mismatch` is no more than headers round."""
    return shift_voxels <= SILENT_SHIFT_VOXELS and tilt_deg <= SILENT_TILT_DEG


def is_same_grid(shift_voxels: float, tilt_deg: float) -> bool:
    """Whether a :func:`mismatch` still is that of one grid; False for NaN."""
    return shift_voxels < LARGEST_SHIFT_VOXELS and tilt_deg < LARGEST_TILT_DEG


def aligned(
    labels: np.ndarray, affine: np.ndarray, to: np.ndarray, shape: Sequence[int], source: str
) -> tuple[np.ndarray, str]:
    """Return a label map in the axis order of the grid that it was made on.

    Args:
        labels: three axes.
        affine: of the labels, 4 x 4, array index -> mm.
        to, shape: affine and shape of the grid.
        source: names the label map in messages.

    Returns:
        The labels (as they came where the orders agree), and what a person should know: that axes were
        turned, that it lies a little off; empty if nothing.

    Raises:
        InputError: another shape, or placed one voxel or one degree off, or more.
    """
    try:
        order = nib.orientations.io_orientation(np.linalg.inv(to) @ affine)
        turned = nib.orientations.apply_orientation(labels, order)
        placed = affine @ nib.orientations.inv_ornt_aff(order, labels.shape)
        if tuple(shape) not in (turned.shape, labels.shape):
            raise InputError(
                f"{source}: its shape {labels.shape} is not that of the scan, {tuple(shape)}; bring it back "
                "to the scan's grid"
            )
        shift, tilt_deg = mismatch(to, placed if turned.shape == tuple(shape) else affine, shape)
    except (np.linalg.LinAlgError, nib.orientations.OrientationError, ValueError):
        shift = tilt_deg = np.inf
    if not is_same_grid(shift, tilt_deg):
        raise InputError(
            f"{source}: its affine puts it {shift:.1f} voxels and {tilt_deg:.1f} degrees off the scan; bring "
            "it back to the scan's grid (nearest neighbour), or copy the scan's header onto it if the two "
            "arrays do belong together"
        )
    said = []
    if not np.array_equal(order, [[0, 1], [1, 1], [2, 1]]):
        labels = np.ascontiguousarray(turned)
        said.append("its axes were turned to those of the scan")
    if not is_rounding(shift, tilt_deg):
        said.append(f"it lies {shift:.2f} voxels and {tilt_deg:.2f} degrees off the scan")
    return labels, f"{source}: {' and '.join(said)}" if said else ""
