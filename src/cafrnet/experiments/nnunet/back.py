"""nnU-Net's label maps, brought back onto the scans' own grids."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ...datasets import Case
from ...errors import InputError
from ...scan import read_labels, write_labels
from .raw import CLASSES

#: Largest distance in mm between where a corner voxel should lie and where it lies.
APART_MM = 0.1


def bring_back(case: Case, made: Path, path: Path) -> None:
    """Check a label map of nnU-Net against the scan, and write it in the scan's own shape, affine and codes.

    Args:
        case: the scan.
        made: what nnU-Net wrote; its labels are cafrnet's ids already.
        path: of the label map.

    Raises:
        InputError: no such file, another shape, another place in the patient, or an id that is none of 0-19.
    """
    scan = case.read()
    labels, affine = read_labels(made)
    if labels.shape != scan.voxels.shape:
        raise InputError(
            f"{made}: its shape {labels.shape} is not that of the scan, {scan.voxels.shape}; it was made "
            "from another image"
        )
    apart = corners_apart_mm(affine, scan.affine, labels.shape)
    if apart > APART_MM:
        raise InputError(f"{made} lies up to {apart:.2f} mm from its scan; it was made from another image")
    if labels.max(initial=0) >= CLASSES:
        raise InputError(f"{made} holds the value {labels.max()}; ids from 0 to {CLASSES - 1} were expected")
    write_labels(labels.astype(np.uint8), scan, path)


def corners_apart_mm(first: np.ndarray, second: np.ndarray, shape: tuple[int, ...]) -> float:
    """Return how far apart two affines put the corners of a volume, at most.

    Args:
        first, second: 4 x 4, array index -> mm.
        shape: of the volume.
    """
    corners = np.array([[i, j, k, 1] for i in (0, shape[0]) for j in (0, shape[1]) for k in (0, shape[2])])
    moved = corners @ (np.asarray(first) - np.asarray(second)).T
    return float(np.linalg.norm(moved[:, :3], axis=1).max())
