"""A label map on its scan's voxels, whatever order its axes have, without any interpolation.

Editors save in an axis order of their own, and Slicer may save only the box around the segments. Both are the
same lattice of voxels: one index is a permuted, mirrored and shifted form of the other.
"""

from __future__ import annotations

import itertools
import logging

import numpy as np

from ...errors import InputError
from ...scan import Scan

logger = logging.getLogger(__name__)

#: How far a voxel may lie off the scan's lattice, in voxels: with a warning, and at most.
SILENT_VOXELS, MOST_VOXELS = 0.05, 0.3
WHAT_TO_DO = (
    "In Slicer, set the scan as the segmentation's reference geometry (Segment Editor, 'Specify geometry', "
    "beside the source volume) and save again; elsewhere, resample the label map to the scan with "
    "nearest neighbour"
)


def on_scan(labels: np.ndarray, affine: np.ndarray, scan: Scan, source: str) -> np.ndarray:
    """Return a label map in its scan's shape and axis order; 0 where the map does not reach.

    Args:
        labels: whole numbers, three axes.
        affine: of the label map, array index -> mm in RAS.
        scan: the scan it belongs to.
        source: names the label map in messages.

    Raises:
        InputError: voxels of another size, rotated or shifted by a part of a voxel; or something is marked
            outside the scan.
    """
    to_scan = np.linalg.inv(scan.affine) @ affine
    turn, shift = np.rint(to_scan[:3, :3]), np.rint(to_scan[:3, 3])
    if not _permutes(turn):
        raise InputError(f"{source}: its voxels are not those of {scan.source}. {WHAT_TO_DO}")
    off = _off(to_scan, turn, shift, labels.shape)
    if off > MOST_VOXELS:
        raise InputError(
            f"{source}: its voxels lie up to {off:.2g} voxels off those of {scan.source}. {WHAT_TO_DO}"
        )
    if off > SILENT_VOXELS:
        logger.warning("%s lies %.2f voxels off its scan; its voxels were taken for the scan's", source, off)
    marked = np.argwhere(labels)
    at = (marked @ turn.T + shift).astype(int)
    inside = ((at >= 0) & (at < scan.voxels.shape)).all(axis=1)
    if not inside.all():
        raise InputError(f"{source} marks {int((~inside).sum())} voxels outside {scan.source}. {WHAT_TO_DO}")
    result = np.zeros(scan.voxels.shape, labels.dtype)
    result[tuple(at.T)] = labels[tuple(marked.T)]
    return result


def _permutes(turn: np.ndarray) -> bool:
    """Whether a matrix only exchanges and mirrors axes."""
    once = np.abs(turn)
    return bool(((once == 0) | (once == 1)).all() and (once.sum(0) == 1).all() and (once.sum(1) == 1).all())


def _off(to_scan: np.ndarray, turn: np.ndarray, shift: np.ndarray, shape: tuple[int, ...]) -> float:
    """Return how far the rounded way lies off the true one at the corners, where it is largest, in voxels."""
    corners = np.array(list(itertools.product(*((0, n - 1) for n in shape))), float)
    true = corners @ to_scan[:3, :3].T + to_scan[:3, 3]
    return float(np.abs(true - (corners @ turn.T + shift)).max())
