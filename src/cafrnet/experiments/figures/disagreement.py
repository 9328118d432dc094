"""Figs 4 and 6: zooms at the places where models differ most, chosen by a rule and not by hand.

The rule: among voxels within 5 mm (in the slice) of a structure 1-19 of the truth, count for each voxel how
many models give another structure than the reference. The window of 60 x 60 mm with the largest sum over all
slices of a case is shown. Nothing in it asks who is right; the count of wrong voxels beside each panel does.

Axes: s = slice, r = row, c = column.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import distance_transform_edt

from ...evaluation.regions import regions_of
from ...evaluation.signal import Thresholds, signal_of
from .views import View

#: How far from a structure of the truth a difference counts.
NEIGHBOURHOOD_MM = 5.0
#: Edge of a window.
WINDOW_MM = 60.0
#: Fig 4's three kinds of region, by the evaluator's names for them.
REGIONS = {
    "low contrast": "low contrast",
    "junction": "complex boundary",
    "homogeneous": "homogeneous signal",
}


@dataclass(frozen=True)
class Window:
    """A window on one slice.

    Attributes:
        case: id.
        index: of the slice.
        rows, columns: of the window.
        differences: voxels in it times models that differ from the reference there.
        region: the region that was looked at; empty for everywhere near a structure.
    """

    case: str
    index: int
    rows: slice
    columns: slice
    differences: int
    region: str = ""


def differences(view: View, reference: str) -> np.ndarray:
    """Count at each voxel the models whose structure 1-19 is not the reference's: [s, r, c] integers.

    Zero farther than 5 mm from every structure of the truth in its slice, and where the truth is unknown.
    """
    maps = view.predictions
    count = sum((maps[name] != maps[reference]).astype(np.int32) for name in maps if name != reference)
    near = np.stack([_near(plane, view.in_plane_mm) for plane in view.structures])
    return np.where(near & (view.truth != 255), count, 0)


def _near(plane: np.ndarray, spacing_mm: tuple[float, float]) -> np.ndarray:
    if not plane.any():
        return plane
    return distance_transform_edt(~plane, sampling=spacing_mm) <= NEIGHBOURHOOD_MM


def largest_window(count: np.ndarray, height: int, width: int) -> tuple[int, int, int, int]:
    """Find the window with the largest sum; of equals the first slice, then row, then column.

    Args:
        count: [s, r, c] integers.
        height, width: of the window in voxels, at most those of a slice.

    Returns:
        (slice, first row, first column, sum).
    """
    corner = np.zeros((len(count), count.shape[1] + 1, count.shape[2] + 1), np.int64)
    corner[:, 1:, 1:] = count.cumsum(axis=1, dtype=np.int64).cumsum(axis=2)
    sums = (
        corner[:, height:, width:]
        - corner[:, :-height, width:]
        - corner[:, height:, :-width]
        + corner[:, :-height, :-width]
    )
    s, r, c = (int(i) for i in np.unravel_index(sums.argmax(), sums.shape))
    return s, r, c, int(sums[s, r, c])


def window_of(view: View, reference: str, mask: np.ndarray | None = None, region: str = "") -> Window:
    """Return the window of one case by the rule, within a region if one is given as [s, r, c] boolean."""
    count = differences(view, reference)
    count = count if mask is None else np.where(mask, count, 0)
    size = [min(n, round(WINDOW_MM / s)) for n, s in zip(count.shape[1:], view.in_plane_mm, strict=True)]
    s, r, c, total = largest_window(count, *size)
    return Window(view.id, s, slice(r, r + size[0]), slice(c, c + size[1]), total, region)


def region_masks(view: View, ids: Sequence[int], thresholds: Thresholds | None) -> dict[str, np.ndarray]:
    """Return the bands of Fig 4's regions as [s, r, c] booleans; a region that the case lacks is left out.

    Args:
        view: the case.
        ids: the structures that its dataset annotates.
        thresholds: pooled over a test set; the case's own where None.
    """
    signal = signal_of(view.raw, view.truth, ids, view.spacing_mm, 0)
    found = {}
    for region in regions_of(signal, ids, thresholds or signal.own_thresholds()):
        if region.name in REGIONS:
            whole = np.zeros(view.truth.shape, bool)
            whole[signal.box] = region.band
            found[region.name] = whole
    return found


def choose(
    views: Iterable[tuple[View, Mapping[str, np.ndarray]]], reference: str, wanted: Sequence[str], rows: int
) -> list[Window]:
    """Choose the windows of a figure.

    Args:
        views: each case with its regions' masks.
        reference: the model that the others are held against.
        wanted: regions, one window each, of different cases where possible; empty for no regions.
        rows: how many windows, of different cases, without regions.

    Returns:
        Windows with at least one difference, the largest first (with regions: in their order).
    """
    found: dict[str, list[Window]] = {}
    for view, masks in views:
        for region in wanted or [""]:
            if region == "" or region in masks:
                window = window_of(view, reference, masks.get(region), region)
                found.setdefault(region, []).append(window)
    ranked = {
        k: sorted((w for w in v if w.differences), key=lambda w: -w.differences) for k, v in found.items()
    }
    if not wanted:
        return ranked.get("", [])[:rows]
    chosen: list[Window] = []
    for region in wanted:
        left = ranked.get(region, [])
        taken = {w.case for w in chosen}
        chosen += [next((w for w in left if w.case not in taken), left[0])] if left else []
    return chosen
