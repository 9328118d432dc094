"""From a scan to model input, in one readable function."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..scan import Scan
from .grid import ModelGrid
from .intensity import apply_contrast, limits, normalise
from .settings import Preprocessing


@dataclass(frozen=True, eq=False)
class Prepared:
    """Model input and what is needed to get back.

    Attributes:
        images: [slice, y, x] float32 in [0, 1]; rows run caudally, columns posteriorly.
        grid: how the model grid lies on the native slices.
    """

    images: np.ndarray
    grid: ModelGrid


def prepare(scan: Scan, settings: Preprocessing) -> Prepared:
    """Turn a scan into model input: orient, resample each slice, normalise, adjust contrast.

    Raises:
        InputError: the scan is not sagittal.
    """
    sagittal = scan.frame.to_sagittal(scan.voxels)
    grid = ModelGrid.around(sagittal, scan.frame.spacing_mm[1:], settings.pixel_mm, settings.size)
    low, high = limits(scan.voxels, settings)
    images = np.concatenate([grid.sample(normalise(one[None], low, high)) for one in sagittal])
    return Prepared(np.clip(apply_contrast(images, settings), 0, 1), grid)


def prepare_truth(truth: np.ndarray, scan: Scan, grid: ModelGrid) -> np.ndarray:
    """Bring a truth in the scan's array order to the model grid by nearest neighbour: [slice, y, x]."""
    return grid.sample(scan.frame.to_sagittal(truth), nearest=True)
