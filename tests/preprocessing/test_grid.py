"""A scan taller or wider than the window gets larger pixels, within what training shows."""

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


def test_pixels_grow_for_a_wide_scan_and_its_sides_are_seen():
    def grid(columns: int) -> ModelGrid:
        return ModelGrid.around(np.arange(columns * 4.0).reshape(1, 4, columns) + 1, (1.0, 0.5), 1.0, 64)

    assert grid(130).pixel_mm == 1.0  # 65 mm: half a millimetre lost at each side
    assert grid(152).pixel_mm == pytest.approx(76 / 64)
    _, columns = grid(152).native_positions()
    assert -0.5 <= columns[0] < columns[-1] <= 63.5
    assert (grid(400).pixel_mm, grid(400).left) == (1.25, (400 - 160) / 2)  # 200 mm: its middle, 80 mm wide
    assert grid(400).top == (4 - 80) / 2  # not from below: it is not tall


def test_noise_of_air_is_no_part_of_a_picture_too_large_for_the_window():
    rng = np.random.default_rng(0)
    wide = rng.uniform(0.1, 4, (5, 60, 120))
    wide[:, :, 10:70] += np.linspace(0, 100, 60)[:, None]  # picture: grey from above downwards
    grid = ModelGrid.around(wide, (1.0, 1.0), 1.0, 64)
    assert (grid.pixel_mm, grid.top, grid.left) == (1.0, -2, 8)  # 60 pixels, from 10 on, in the middle of 64
    tall = ModelGrid.around(wide.transpose(0, 2, 1), (1.0, 1.0), 1.0, 64)
    assert (tall.pixel_mm, tall.top, tall.left) == (1.0, 8, -2)
