"""The way to the model grid and what it must not depend on."""

import json

import numpy as np
import pytest

from cafrnet.errors import InputError, UsageError
from cafrnet.preprocessing import ModelGrid, Preprocessing, prepare, prepare_truth
from cafrnet.preprocessing.intensity import apply_contrast, limits, normalise
from cafrnet.scan import Scan

SETTINGS = Preprocessing(pixel_mm=2.0, size=64, contrast="none")


def test_identity_grid_copies_pixels():
    image = np.arange(1, 1 + 2 * 64 * 64, dtype=np.float32).reshape(2, 64, 64)
    grid = ModelGrid.around(image, (2.0, 2.0), 2.0, 64)
    image[0, 0, 0] = 5
    assert (grid.top, grid.left) == (0, 0)
    assert np.allclose(grid.sample(image), image)
    assert np.array_equal(grid.sample(image.astype(int), nearest=True), image.astype(int))


def test_window_is_centred_on_the_image_and_pads_with_zero():
    image = np.zeros((1, 40, 100), np.float32)
    image[0, 10:30, 60:90] = 7  # 20 rows and 30 columns of 1 mm
    grid = ModelGrid.around(image, (1.0, 1.0), 1.0, 64)
    assert (grid.top, grid.left) == (20 - 32, 75 - 32)
    sampled = grid.sample(image)[0]
    assert np.argwhere(sampled > 3.5).min(axis=0).tolist() == [22, 17]
    assert (sampled > 3.5).sum() == 20 * 30
    labels = grid.sample((image > 0).astype(np.uint8), nearest=True)[0]
    assert np.array_equal(labels > 0, sampled > 3.5)


def test_the_lower_end_of_a_picture_higher_than_the_window_is_seen():
    tall = np.ones((1, 180, 40), np.float32)
    tall[0, :10] = tall[0, 175:] = 0  # rows 10 to 174 hold picture: 165 mm, the largest window has 1.25 x 64
    grid = ModelGrid.around(tall, (1.0, 1.0), 1.0, 64)
    assert (grid.pixel_mm, grid.top + 80, grid.left + 40) == (1.25, 175, 20 + 0)
    tall[0, :95] = 0  # 80 mm fit into it, in its middle
    assert ModelGrid.around(tall, (1.0, 1.0), 1.0, 64).top == 95


def test_pixels_get_square_whatever_the_spacing():
    rows, cols = np.mgrid[:120, :60]
    disc = (((rows - 59.5) * 0.5) ** 2 + ((cols - 29.5) * 1.0) ** 2 < 20**2)[None].astype(np.float32)
    grid = ModelGrid.around(disc, (0.5, 1.0), 1.0, 64)
    out = grid.sample(disc)[0] > 0.5
    assert np.ptp(np.flatnonzero(out.any(axis=1))) == pytest.approx(
        np.ptp(np.flatnonzero(out.any(axis=0))), abs=1
    )


def test_shrinking_averages_instead_of_aliasing():
    stripes = np.tile([0.0, 1.0], 128)[None, None, :].repeat(256, axis=1).astype(np.float32)
    grid = ModelGrid.around(stripes + 1, (0.5, 0.5), 2.0, 64)
    inner = grid.sample(stripes)[0, 4:-4, 4:-4]
    assert np.allclose(inner, 0.5, atol=0.02)


def test_native_positions_invert_the_window():
    grid = ModelGrid((1, 37, 91), (0.7, 0.4), 1.3, 64, top=-3.2, left=11.7)
    rows, _ = grid.native_positions()
    y = 20
    native_centre = (y + 0.5) * 1.3 / 0.7 - 3.2 - 0.5
    assert np.interp(native_centre, np.arange(37), rows) == pytest.approx(y, abs=1e-9)


@pytest.mark.parametrize(
    ("gain", "offset", "dtype"),
    [(1, 0, np.int16), (256, 0, np.uint16), (3, -500, np.int32), (0.37, 12.5, np.float32)],
)
def test_gain_offset_and_bit_depth_change_nothing(tiny_scan, gain, offset, dtype):
    changed = Scan((tiny_scan.voxels * gain + offset).astype(dtype), tiny_scan.affine)
    for contrast in ("none", "he", "clahe"):
        settings = Preprocessing(pixel_mm=2.0, size=64, contrast=contrast)
        a, b = prepare(tiny_scan, settings).images, prepare(changed, settings).images
        assert np.abs(a - b).max() < 2e-3
        assert np.abs(a - b).mean() < 1e-5


def test_percentiles_are_of_the_voxels_above_the_minimum():
    voxels = np.concatenate([np.zeros(10_000), np.arange(1, 1001)])
    low, high = limits(voxels, SETTINGS)
    assert (low, high) == pytest.approx((5.995, 995.005))
    assert normalise(np.array([low, high, 0, 2000]), low, high).tolist() == [0, 1, 0, 1]


def test_marks_far_brighter_than_tissue_leave_it_its_contrast():
    tissue = np.linspace(101, 200, 991)  # above a minimum of 100; 98 of 100 voxels are at most 198.9
    for mark, high in ((350.0, 350), (60000.0, 100 + 4 * 98.9)):
        voxels = np.concatenate([[100], tissue, np.full(9, mark)])  # 0.9 % of what is above the minimum
        assert limits(voxels, Preprocessing())[1] == pytest.approx(high, abs=0.1)
        assert limits(3 * voxels - 500, Preprocessing())[1] == pytest.approx(3 * high - 500, abs=0.3)


def test_a_binary_image_is_normalised_not_divided_by_zero():
    voxels = np.zeros((4, 4, 4))
    voxels[1] = 9
    assert limits(voxels, SETTINGS) == (0, 9)


@pytest.mark.parametrize("contrast", ["he", "clahe"])
def test_contrast_steps_spread_a_dark_image_and_keep_empty_slices(contrast):
    rng = np.random.default_rng(0)
    images = np.stack([rng.random((64, 64)) ** 4 * 0.3, np.zeros((64, 64))]).astype(np.float32)
    out = apply_contrast(images, Preprocessing(size=64, contrast=contrast))
    assert out.dtype == np.float32
    assert out[0].std() > 1.5 * images[0].std()
    assert not out[1].any()
    assert 0 <= out.min() <= out.max() <= 1


def test_slices_keep_their_count_and_order(tiny_scan):
    ready = prepare(tiny_scan, SETTINGS)
    assert ready.images.shape == (3, 64, 64)
    truth = np.zeros(tiny_scan.voxels.shape, np.uint8)
    truth[:, :, 2] = 5
    on_grid = prepare_truth(truth, tiny_scan, ready.grid)
    assert [bool(s.any()) for s in on_grid] == [False, False, True]


def test_settings_refuse_what_is_wrong(tmp_path):
    with pytest.raises(UsageError, match="did you mean 'clahe'"):
        Preprocessing(contrast="clahee")
    with pytest.raises(UsageError, match="multiple of 32"):
        Preprocessing(size=250)
    with pytest.raises(UsageError, match="positive"):
        Preprocessing(pixel_mm=0)
    with pytest.raises(UsageError, match="did you mean 'pixel_mm'"):
        Preprocessing.from_dict({"pixel_m": 1})
    (tmp_path / "p.json").write_text("{")
    with pytest.raises(InputError, match="incomplete"):
        Preprocessing.load(tmp_path / "p.json")
    SETTINGS.save(tmp_path / "p.json")
    assert Preprocessing.load(tmp_path / "p.json") == SETTINGS
    assert json.loads((tmp_path / "p.json").read_text())["contrast"] == "none"
