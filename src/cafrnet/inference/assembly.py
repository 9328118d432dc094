"""A scan's result in the making: slices come in a few at a time, names and labels come out at the end.

Axes: s = slice, r, c = native rows and columns, k = class, y, x = model grid.
"""

from __future__ import annotations

import numpy as np

from ..anatomy.instances import Grid
from ..anatomy.kinds import BODY, DISC, SACRUM, Voxels, by_kind, voxels_of
from ..anatomy.name import name_voxels
from ..anatomy.naming import Naming
from ..preprocessing import ModelGrid
from ..preprocessing.picture import picture_rows
from ..scan import Scan
from .assemble import DROPPED, native_labels, native_names
from .model import Model

#: Volumes in a single slice are counted as if it were so thick: that of a clinical scan.
SINGLE_SLICE_MM = 4.0


class Assembly:
    """Collects what the network says about one scan.

    Args:
        scan: the scan.
        grid: how the model grid lies on its slices.
        model: whose answers come.
    """

    def __init__(self, scan: Scan, grid: ModelGrid, model: Model) -> None:
        self._scan, self._grid, self._model, self._options = scan, grid, model, model.postprocessing
        self._native = np.zeros(grid.native_shape, np.uint8)  # kinds, in the end ids
        self._parts: list[Voxels] = []
        self._ids = np.zeros(0, np.uint8)

    def add(self, first: int, logits: np.ndarray) -> None:
        """Take the logits [n, k, y, x] of slices ``first``, ``first + 1`` ... in ascending order."""
        kinds = by_kind(logits) if self._options.kinds else logits
        for k in range(len(logits)):
            self._native[first + k] = native_labels(kinds[k], self._grid)
        if self._options.kinds:
            self._parts.append(voxels_of(logits, kinds, first))

    def name(self) -> Naming | None:
        """Name the column, after all slices came; None where post-processing is off."""
        if not self._options.kinds:
            return None
        self._voxels = Voxels.together(self._parts)
        self._parts.clear()
        naming, self._ids = name_voxels(
            self._voxels,
            grid_of(self._scan, self._grid),
            model_to_world(self._scan, self._grid),
            not_trained=self._model.not_trained_ids,
            model=self._model.naming,
            options=self._options,
        )
        return naming

    def labels(self) -> np.ndarray:
        """Return the label map in the scan's own array order, after :meth:`name`."""
        if self._options.kinds:
            at, kind = self._voxels.at, self._voxels.kind
            value = np.where(self._ids, self._ids, DROPPED)
            no_sacrum = not self._ids[self._voxels.kind == SACRUM].all()  # it was dropped
            ends = np.searchsorted(at[:, 0], np.arange(len(self._native) + 1))
            for s, native in enumerate(self._native):
                own = slice(ends[s], ends[s + 1])
                named = np.zeros((2, self._grid.size, self._grid.size), np.uint8)
                for layer, which in zip(named, (BODY, DISC), strict=True):
                    here = kind[own] == which
                    layer[at[own, 1][here], at[own, 2][here]] = value[own][here]
                if no_sacrum:
                    native[native == SACRUM] = 0
                native[:] = native_names(native, named, self._grid)
        return np.ascontiguousarray(self._scan.frame.to_array(self._native))


def grid_of(scan: Scan, grid: ModelGrid) -> Grid:
    """Return what naming needs to know of the model grid."""
    back = model_to_world(scan, grid)[:3, 2]  # from front to back, in the world
    first, last = _filled_rows(scan, grid)
    rows = max(0, round(first)), min(grid.size - 1, round(last))
    return Grid(
        pixel_mm=grid.pixel_mm,
        slice_mm=scan.frame.spacing_mm[0] if grid.native_shape[0] > 1 else SINGLE_SLICE_MM,
        rows=rows,
        turn_deg=float(np.degrees(np.arctan2(-back[2], -back[1]))),
        unseen_mm=(max(0.0, rows[0] - first) + max(0.0, last - rows[1])) * grid.pixel_mm,
    )


def model_to_world(scan: Scan, grid: ModelGrid) -> np.ndarray:
    """Return the 4 x 4 matrix from (slice, y, x) of the model grid to world mm in RAS."""
    native = np.eye(4)  # (slice, y, x) -> (slice, row, column)
    for axis, (scale, edge) in enumerate(zip(grid.scale, (grid.top, grid.left), strict=True), 1):
        native[axis, axis], native[axis, 3] = scale, scale / 2 + edge - 0.5
    array = np.zeros((4, 4))
    array[3, 3] = 1
    for axis, (own, flipped) in enumerate(zip(scan.frame.axes, scan.frame.flipped, strict=True)):
        array[own, axis] = -1 if flipped else 1
        array[own, 3] = scan.voxels.shape[own] - 1 if flipped else 0
    return scan.rigid_affine @ array @ native


def _filled_rows(scan: Scan, grid: ModelGrid) -> tuple[float, float]:
    """Return the first and the last row that hold picture, in rows of the model grid, outside of it too."""
    filled = np.array(picture_rows(scan.frame.to_sagittal(scan.voxels)))
    first, last = ((filled + 0.5 - grid.top) / grid.scale[0] - 0.5).tolist()
    return first, last
