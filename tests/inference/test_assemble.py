"""The short way back to the native grid equals the long one, and the grid is where it should be."""

import numpy as np
import pytest
from scipy import ndimage

from cafrnet.inference.assemble import native_labels
from cafrnet.preprocessing import ModelGrid


def long_way(logits: np.ndarray, grid: ModelGrid) -> np.ndarray:
    """Interpolate every class everywhere with SciPy, then argmax."""
    rows, cols = grid.native_positions()
    where = np.stack(
        np.meshgrid(np.clip(rows, 0, grid.size - 1), np.clip(cols, 0, grid.size - 1), indexing="ij")
    )
    full = np.stack([ndimage.map_coordinates(k, where, order=1) for k in logits])
    labels = full.argmax(axis=0)
    labels[(rows < -0.5) | (rows > grid.size - 0.5)] = 0
    labels[:, (cols < -0.5) | (cols > grid.size - 0.5)] = 0
    return labels


@pytest.mark.parametrize("seed", range(5))
def test_equals_interpolating_everything(seed):
    rng = np.random.default_rng(seed)
    logits = ndimage.gaussian_filter(rng.normal(size=(6, 32, 32)), (0, 2, 2)).astype(np.float32)
    spacing, top, left = rng.uniform(0.3, 1.4, 2), *rng.uniform(-20, 20, 2)
    grid = ModelGrid((1, 90, 70), tuple(spacing), 1.1, 32, top, left)
    short, long = native_labels(logits, grid), long_way(logits, grid)
    assert short.shape == (90, 70)
    assert (short != long).mean() < 1e-4  # ties in the last bit of a float32
    assert len(np.unique(long)) > 3


def test_outside_the_window_is_background():
    logits = np.zeros((2, 32, 32), np.float32)
    logits[1] = 1
    grid = ModelGrid((1, 64, 64), (1.0, 1.0), 1.0, 32, 10.0, 20.0)
    labels = native_labels(logits, grid)
    assert labels.sum() == 32 * 32
    assert labels[10:42, 20:52].all()


def test_untrained_classes_never_win_between_pixels():
    logits = np.full((3, 32, 32), -1e4, np.float32)
    logits[0, :, :16], logits[1, :, 16:] = 5, 5
    logits[0, :, 16:], logits[1, :, :16] = -5, -5
    grid = ModelGrid((1, 200, 200), (0.2, 0.2), 1.0, 32, 0.0, 0.0)
    assert set(np.unique(native_labels(logits, grid))) == {0, 1}


def test_a_shape_comes_back_where_it_was():
    grid = ModelGrid((1, 100, 100), (0.5, 0.5), 1.0, 64, -14.0, -14.0)
    rows, cols = np.mgrid[:100, :100]
    native = (np.hypot(rows - 50, cols - 40) < 20)[None]
    on_grid = grid.sample(native.astype(np.float32))[0]
    back = native_labels(np.stack([0.5 - on_grid, on_grid - 0.5]), grid)
    both = (back & native[0]).sum()
    assert 2 * both / (back.sum() + native.sum()) > 0.98
