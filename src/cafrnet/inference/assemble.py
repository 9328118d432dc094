"""From logits on the model grid to labels on the native grid, without ever holding all classes there.

Axes: k = class, y, x = model grid, r, c = native rows and columns.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from ..anatomy.kinds import BODY, DISC, KINDS
from ..labels import TABLE
from ..preprocessing import ModelGrid

#: Stands for a structure that was dropped, while ids are brought to the native grid.
DROPPED = 254
#: Kind -> id, of kinds with one id; bodies and discs get theirs from the structure.
IDS = np.array([0 if kind in ("body", "disc") else TABLE.of_kind(kind)[0] for kind in KINDS], np.uint8)


def native_labels(logits: np.ndarray, grid: ModelGrid) -> np.ndarray:
    """Interpolate the logits of one slice bilinearly and take the argmax at every native pixel.

    A bilinear value is a mean of its four corners. Where all four have the same winner, that class wins in
    between as well, whatever the weights; so only the pixels near a boundary are interpolated. The result is
    exactly that of interpolating everything (tested), at a fraction of the time and memory.

    Args:
        logits: [k, y, x], finite.
        grid: where the model grid lies.

    Returns:
        [r, c] uint8; 0 outside the model grid's window.
    """
    size = grid.size
    rows, cols = grid.native_positions()
    (y0, y1, wy, y_in), (x0, x1, wx, x_in) = _corners(rows, size), _corners(cols, size)
    winner = logits.argmax(axis=0).astype(np.uint8)
    labels = winner[y0[:, None], x0]
    same = labels == winner[y0[:, None], x1]
    same &= labels == winner[y1[:, None], x0]
    same &= labels == winner[y1[:, None], x1]
    r, c = np.nonzero(~same)
    per_pixel = np.ascontiguousarray(logits.transpose(1, 2, 0))
    a, b = wy[r, None], wx[c, None]
    upper = per_pixel[y0[r], x0[c]] * (1 - b) + per_pixel[y0[r], x1[c]] * b
    lower = per_pixel[y1[r], x0[c]] * (1 - b) + per_pixel[y1[r], x1[c]] * b
    labels[r, c] = (upper * (1 - a) + lower * a).argmax(axis=1)
    labels[~y_in] = 0
    labels[:, ~x_in] = 0
    return labels


def _corners(position: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Lower and upper neighbour, weight of the upper one, and whether the position lies in the window."""
    inside = (position >= -0.5) & (position <= size - 0.5)
    clamped = np.clip(position, 0, size - 1)
    low = np.floor(clamped).astype(np.intp)
    return low, np.minimum(low + 1, size - 1), (clamped - low).astype(np.float32), inside


def native_names(kinds: np.ndarray, named: np.ndarray, grid: ModelGrid) -> np.ndarray:
    """Replace the kinds of one native slice by ids.

    Sacrum, canal and posterior elements have one id each. A body or disc takes the id of its structure at the
    nearest model pixel; where that pixel is of another kind, as happens within a pixel of a boundary, that of
    a structure of its kind at most two pixels away; else it belongs to no structure and is background.

    Args:
        kinds: [r, c] uint8, indices of :data:`cafrnet.anatomy.kinds.KINDS`.
        named: [2, y, x] uint8: ids of bodies, ids of discs; 0 where there is neither, :data:`DROPPED` where a
            structure was dropped.
        grid: where the model grid lies.

    Returns:
        [r, c] uint8 ids.
    """
    rows, cols = (np.clip(np.rint(p), 0, grid.size - 1).astype(np.intp) for p in grid.native_positions())
    labels = IDS[kinds]
    for ids, kind in zip(named, (BODY, DISC), strict=True):
        r, c = np.nonzero(kinds == kind)
        if len(r):
            labels[r, c] = _widened(_widened(ids))[rows[r], cols[c]]
    labels[labels == DROPPED] = 0
    return labels


def _widened(ids: np.ndarray) -> np.ndarray:
    """Let each structure grow by one pixel, into empty pixels only."""
    return np.where(ids, ids, ndimage.maximum_filter(ids, 3)) if ids.any() else ids
