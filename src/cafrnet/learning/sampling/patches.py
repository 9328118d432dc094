"""Stratified patch sampling: a window of a finer grid, placed for the sake of a class."""

from __future__ import annotations

import numpy as np


def patch_corner(
    truth_class: np.ndarray, wanted: int, edge: int, rarity: np.ndarray, rng: np.random.Generator
) -> tuple[int, int]:
    """Choose the upper left corner of a patch.

    Args:
        truth_class: [H, W] certain class of each pixel, -1 where there is none.
        wanted: class that the patch should show, or -1 to draw one of those in the slice, rare ones more
            often.
        edge: of the patch, at most H and W.
        rarity: [classes] how rare each class is in the data, at least 0; background 0.
        rng: source of chance.

    Returns:
        (row, column) with the whole patch inside the slice. A pixel of the class lies in the patch.

    Source: "stratified patch sampling ensures that underrepresented vertebral levels receive sufficient
    training representation" (Sect. 4.1). The paper gives no rule.
    """
    present = np.unique(truth_class[truth_class > 0])
    if wanted not in present:
        weight = rarity[present] if len(present) else np.empty(0)
        wanted = int(rng.choice(present, p=weight / weight.sum())) if weight.sum() > 0 else -1
    height, width = truth_class.shape
    if wanted < 0:
        return int(rng.integers(height - edge + 1)), int(rng.integers(width - edge + 1))
    pixels = np.argwhere(truth_class == wanted)
    row, col = pixels[rng.integers(len(pixels))] - rng.integers(edge // 4, 3 * edge // 4 + 1, 2)
    return int(np.clip(row, 0, height - edge)), int(np.clip(col, 0, width - edge))
