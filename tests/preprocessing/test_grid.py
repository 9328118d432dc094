"""A scan taller than the window gets larger pixels, within what training shows."""

import numpy as np
import pytest

from cafrnet.preprocessing.grid import ModelGrid


def test_pixels_grow_for_a_tall_scan_and_only_so_far():
    def grid(rows: int) -> ModelGrid:
        return ModelGrid.around(np.arange(rows * 4.0).reshape(1, rows, 4) + 1, (1.0, 1.0), 1.0, 64)

    assert grid(65).pixel_mm == 1.0  # half a row lost at each end
    assert grid(77).pixel_mm == pytest.approx(76 / 64, abs=0.02)
    assert grid(200).pixel_mm == 1.25
    rows, _ = grid(76).native_positions()
    assert rows[1] >= -0.5  # the ends are in the window
    assert rows[-1] <= 63.5
