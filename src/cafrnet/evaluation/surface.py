"""How far two surfaces lie apart: HD, HD95, ASSD and NSD, all from one table of distances.

The surface of a mask is the mask minus its 6-connected erosion (4-connected in 2D), where everything outside
the array is background; so a structure that the field of view cuts has a surface there. Distances run between
voxel centres in mm, and every surface voxel counts the same. The expensive step, :func:`surface_distances`,
is done once; the metrics are then cheap functions of its result.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import binary_erosion, generate_binary_structure
from scipy.spatial import KDTree

from ..errors import UsageError

#: Distances that exceed a tolerance by no more than this are rounding of voxel coordinates.
ROUNDING_MM = 1e-6


def surface(mask: np.ndarray, in_plane_of: int | None = None) -> np.ndarray:
    """Return the surface voxels of a boolean mask, same shape.

    Args:
        mask: two or three axes.
        in_plane_of: if given, the axis along which nothing is eroded: each slice has its own 2D outline.
    """
    neighbours = generate_binary_structure(mask.ndim, 1)
    if in_plane_of is not None:
        index: list[slice | int] = [slice(None)] * mask.ndim
        for side in (0, 2):
            index[in_plane_of] = side
            neighbours[tuple(index)] = False
    return mask & ~binary_erosion(mask, neighbours)


@dataclass(frozen=True, eq=False)
class SurfaceDistances:
    """Each surface voxel's distance to the nearest surface voxel of the other mask.

    Attributes:
        truth_to_pred_mm: (n,) float64, one for each surface voxel of the truth.
        pred_to_truth_mm: (m,) float64, one for each surface voxel of the prediction.
        truth_points: (n, axes) array indices of the truth's surface voxels.
        pred_points: (m, axes) array indices of the prediction's surface voxels.
    """

    truth_to_pred_mm: np.ndarray
    pred_to_truth_mm: np.ndarray
    truth_points: np.ndarray
    pred_points: np.ndarray


def surface_distances(
    truth: np.ndarray, pred: np.ndarray, spacing_mm: Sequence[float], *, are_surfaces: bool = False
) -> SurfaceDistances:
    """Measure the distances between the surfaces of two masks, in both directions.

    Args:
        truth: boolean, two or three axes, not empty.
        pred: likewise, same shape.
        spacing_mm: distance of neighbouring voxel centres along each axis.
        are_surfaces: whether the masks are surfaces already.

    Raises:
        UsageError: shapes or number of axes differ, or a mask is empty (it has no surface to measure to).
    """
    if truth.shape != pred.shape or truth.ndim != len(spacing_mm):
        raise UsageError(
            f"masks of shape {truth.shape} and {pred.shape} with {len(spacing_mm)} spacings came; "
            "one grid with one spacing per axis was expected"
        )
    if not are_surfaces:
        truth, pred = surface(truth), surface(pred)
    t, p = np.argwhere(truth), np.argwhere(pred)
    if not len(t) or not len(p):
        raise UsageError("an empty mask came; it has no surface, so no distance to it is defined")
    scale = np.asarray(spacing_mm, float)
    return SurfaceDistances(
        _nearest_mm(t, p, pred[tuple(t.T)], scale), _nearest_mm(p, t, truth[tuple(p.T)], scale), t, p
    )


def _nearest_mm(points: np.ndarray, others: np.ndarray, shared: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Return each point's distance to the nearest of the others; ``shared`` marks those at distance 0."""
    distances = np.zeros(len(points))
    if not shared.all():
        tree = KDTree(others * scale, balanced_tree=False, compact_nodes=False)
        distances[~shared] = tree.query(points[~shared] * scale)[0]
    return distances


def hd_mm(distances: SurfaceDistances) -> float:
    """Hausdorff distance: the largest distance in either direction."""
    return float(max(distances.truth_to_pred_mm.max(), distances.pred_to_truth_mm.max()))


def hd95_mm(distances: SurfaceDistances) -> float:
    """Return the larger of the two directed 95th percentiles, each with linear interpolation."""
    both = (distances.truth_to_pred_mm, distances.pred_to_truth_mm)
    return float(max(np.percentile(d, 95) for d in both))


def assd_mm(distances: SurfaceDistances) -> float:
    """Average symmetric surface distance: the mean over the surface voxels of both masks together."""
    both = (distances.truth_to_pred_mm, distances.pred_to_truth_mm)
    return float(sum(d.sum() for d in both) / sum(len(d) for d in both))


def nsd(distances: SurfaceDistances, tolerance_mm: float) -> float:
    """Return the normalised surface Dice: the share of both surfaces at most ``tolerance_mm`` from the other.

    Reference: Nikolov et al., Clinically Applicable Segmentation of Head and Neck Anatomy (2021), with
    surface voxels instead of surface elements.
    """
    both = (distances.truth_to_pred_mm, distances.pred_to_truth_mm)
    near = sum(int((d <= tolerance_mm + ROUNDING_MM).sum()) for d in both)
    return near / sum(len(d) for d in both)
