"""A spine drawn with a ruler: blocks on top of each other, and files made of it."""

from pathlib import Path

import nibabel as nib
import numpy as np

from cafrnet.labels import TABLE

#: Height of each structure of the drawn column, in rows.
TALL = 4


def column(*ids: int, slices: int = 3, width: int = 6, margin: int = 4) -> np.ndarray:
    """Blocks of ``TALL`` rows, the first id lowest. Axes: slice, row (caudally), column; uint8."""
    array = np.zeros((slices, TALL * len(ids) + 2 * margin, width + 2 * margin), np.uint8)
    for k, identity in enumerate(ids):
        bottom = array.shape[1] - margin - TALL * k
        array[:, bottom - TALL : bottom, margin : margin + width] = identity
    return array


def ids(*names: str) -> tuple[int, ...]:
    """Ids of names."""
    return tuple(TABLE[name].id for name in names)


def sagittal_affine(spacing_mm=(4.0, 1.0, 1.0)) -> np.ndarray:
    """Axes of the array: to the right, caudally, posteriorly."""
    affine = np.eye(4)
    affine[:3, :3] = np.array([[1, 0, 0], [0, 0, -1], [0, -1, 0]]) * np.array(spacing_mm)
    return affine


def save(path: Path, array: np.ndarray, spacing_mm=(4.0, 1.0, 1.0)) -> Path:
    """Write an array with axes slice, row, column as NIfTI."""
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(array, sagittal_affine(spacing_mm)), path)
    return path
