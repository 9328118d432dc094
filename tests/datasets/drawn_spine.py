"""A tiny spine, drawn by hand, and how SpineMRI would store it."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np

#: Ids from the sacrum upwards: S, L5/S, L5, L4/L5, L4, L3/L4, L3.
COLUMN = (1, 11, 2, 12, 3, 13, 4)
BODY_ROWS, DISC_ROWS = 8, 3
#: Distance of slices, rows and columns.
SPACING_MM = (4.0, 3.0, 2.0)


def draw_labels(column: tuple[int, ...] = COLUMN, *, slices: int = 4, whole: bool = False) -> np.ndarray:
    """Draw a straight column, axes (slice, row, column).

    Bodies are 8 rows (24 mm) high, discs 3 (9 mm), all 15 columns (30 mm) deep. ``whole`` gives each vertebra
    its processes: 20 further columns behind, three rows of each.
    """
    labels = np.zeros((slices, 60, 50), np.uint8)
    row = 58
    for identity in column:
        height = DISC_ROWS if 11 <= identity <= 19 else BODY_ROWS
        labels[1:-1, row - height : row, 5:20] = identity
        if whole and 2 <= identity <= 10:
            labels[1:-1, row - 5 : row - 2, 20:40] = identity
        row -= height
    return labels


def draw_image(seed: int, shape: tuple[int, ...] = (4, 60, 50)) -> np.ndarray:
    """Return noise: no two seeds look alike."""
    return np.random.default_rng(seed).integers(1, 200, shape).astype(np.uint8)


def save(path: Path, sagittal: np.ndarray, affine_change: np.ndarray | None = None) -> Path:
    """Save axes (slice, row, column) as SpineMRI does: axes (AP, SI, LR), SI growing cranially."""
    slice_mm, row_mm, column_mm = SPACING_MM
    affine = np.array(
        [[0, 0, slice_mm, -8], [-column_mm, 0, 0, 40], [0, row_mm, 0, -90], [0, 0, 0, 1]], float
    )
    if affine_change is not None:
        affine = affine_change @ affine
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(sagittal[:, ::-1].transpose(2, 1, 0), affine), path)
    return path
