"""Equalisation: solved by hand, what it must not depend on, and agreement with scikit-image.

Models that were trained with scikit-image's pictures have to see the same ones.
"""

import sys
from dataclasses import replace

import numpy as np
import pytest

from cafrnet.phantom import SMALL, make_phantom
from cafrnet.preprocessing import Preprocessing, prepare
from cafrnet.preprocessing.contrast import BINS, equalise, equalise_adaptively, limit_counts
from cafrnet.preprocessing.intensity import apply_contrast
from cafrnet.scan import read_scan


def noise(edge=64, seed=0, power=2.0):
    return (np.random.default_rng(seed).random((edge, edge)) ** power).astype(np.float32)


def histogram(**counts):
    out = np.zeros((1, BINS), int)
    for place, count in counts.items():
        out[0, int(place[1:])] = count
    return out


# By hand


def test_equalising_gives_the_share_that_is_at_most_as_bright():
    image = np.array([[0, 0.2, 0.4], [0, 0.6, 1.0]])
    # four pixels above 0; each lies in a bin of its own; the first and the last at the outer edge of theirs
    assert equalise(image)[0, 1] == equalise(image)[0, 0] == 0.25
    assert equalise(image)[1, 2] == 1
    assert equalise(image)[0, 2] == pytest.approx(0.5, abs=0.25)
    assert np.all(np.diff(equalise(image)[image > 0]) > 0)


def test_one_tile_without_a_limit_is_plain_equalisation():
    image = np.array([[0.0, 0.0, 0.0, 0.0], [0.3, 0.3, 0.3, 0.3], [0.3, 0.3, 0.6, 0.6], [0.6, 0.6, 1.0, 1.0]])
    # cumulative counts 4, 10, 14, 16 of 16; stretched from 4..16 to 0..1
    expected = np.select([image == 0, image == 0.3, image == 0.6], [0, 6 / 12, 10 / 12], 1)
    assert np.allclose(equalise_adaptively(image, 4, 1.0), expected, atol=2e-4)


def test_no_limit_is_the_same_as_a_limit_of_all_pixels():
    assert np.array_equal(equalise_adaptively(noise(), 8, 0.0), equalise_adaptively(noise(), 8, 1.0))


def test_at_the_middle_of_a_tile_only_that_tile_counts():
    image = noise(32)
    image[0, 0], image[0, 31] = 0, 1  # keeps the range
    changed = image.copy()
    changed[8:16, 8:16] = changed[8:16, 8:16][::-1] ** 2
    difference = equalise_adaptively(image, 8, 1.0) != equalise_adaptively(changed, 8, 1.0)
    rows, columns = np.nonzero(difference)
    # the tile 8..15 has its middle at 12; its weight is 0 at the middles 4 and 20
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (5, 19, 5, 19)


def test_cut_counts_go_to_bins_at_regular_distances():
    # 4 counts too many, 255 bins with room: every 63rd, and the round is finished, though 4 are gone by then
    limited = limit_counts(histogram(b10=14), 10)
    assert np.flatnonzero(limited).tolist() == [0, 10, 63, 126, 189, 252]
    assert limited[0, [0, 10, 63]].tolist() == [1, 10, 1]


def test_many_cut_counts_are_shared_evenly_first():
    # 600 too many: 2 for each bin, of which one is full; the 90 that remain: every (255 // 90 = 2)nd bin
    limited = limit_counts(histogram(b7=700), 100)[0]
    assert np.all(limited[::2] == 3)
    assert limited[1::2].tolist() == [2, 2, 2, 100, *[2] * 124]


def test_counts_below_the_limit_stay():
    counts = np.random.default_rng(0).integers(0, 9, (5, BINS))
    assert np.array_equal(limit_counts(counts, 8), counts)


@pytest.mark.parametrize("limit", [1, 2, 5, 10, 40])
def test_no_count_is_above_the_limit_and_none_is_lost(limit):
    rng = np.random.default_rng(limit)
    counts = rng.multinomial(1024, rng.dirichlet(np.full(BINS, 0.05)), 30)
    limited = limit_counts(counts, limit)
    assert limited.max() <= limit
    assert (limited.sum(axis=1) >= min(1024, limit * BINS)).all()  # all of them, or as many as there is room
    assert np.array_equal(np.concatenate([limit_counts(c[None], limit) for c in counts]), limited)


def test_a_lower_limit_amplifies_less():
    image = 0.5 + 0.02 * (noise(64, power=1) - 0.5)
    image[:8], image[-8:] = 0, 1
    spread = [equalise_adaptively(image, 16, clip)[24:40].std() for clip in (0.005, 0.02, 0.08, 1.0)]
    assert np.all(np.diff(spread) > 0)
    assert spread[-1] > 10 * image[24:40].std()


# What it must (not) depend on


@pytest.mark.parametrize("clip", [0.01, 0.1, 1.0])
def test_within_a_single_tile_brighter_stays_brighter(clip):
    image = noise()
    order = np.argsort(image.ravel())
    assert np.all(np.diff(equalise_adaptively(image, 64, clip).ravel()[order]) >= 0)
    assert np.all(np.diff(equalise(image).ravel()[order]) >= 0)


@pytest.mark.parametrize(("gain", "offset"), [(1, 500), (3, 0), (7, 300)])
def test_gain_and_offset_change_nothing(gain, offset):
    whole = np.random.default_rng(2).integers(0, 8000, (64, 64))
    a, b = (equalise_adaptively(x / 65535, 8, 0.01) for x in (whole, whole * gain + offset))
    assert np.array_equal(a, b)


def test_results_are_numbers_from_0_to_1_and_always_the_same():
    for power in (0.2, 1, 8):
        image = noise(96, 1, power)
        for tile in (2, 12, 19, 96):
            out = equalise_adaptively(image, tile, 0.01)
            assert out.dtype == np.float32
            assert (out.min(), out.max()) == (0, 1)
            assert np.array_equal(out, equalise_adaptively(image.copy(), tile, 0.01))
        assert 0 <= equalise(image).min() <= equalise(image).max() <= 1


@pytest.mark.parametrize("grey", [1e-6, 0.4, 1.0])
def test_a_constant_slice_stays_constant(grey):
    image = np.full((32, 32), grey, np.float32)
    assert np.all(equalise_adaptively(image, 8, 0.01) == 1)
    assert np.ptp(equalise(image)) == 0


@pytest.mark.parametrize("contrast", ["he", "clahe", "he_clahe"])
def test_slices_are_equalised_one_by_one_and_empty_ones_stay_empty(contrast):
    images = np.stack([np.zeros((64, 64), np.float32), noise(), noise(seed=1, power=5)])
    settings = Preprocessing(size=64, contrast=contrast)
    out = apply_contrast(images, settings)
    assert out.dtype == np.float32
    assert not out[0].any()
    for k in (1, 2):
        assert np.array_equal(out[k], apply_contrast(images[k : k + 1], settings)[0])


def test_both_steps_are_equalisation_and_then_clahe():
    image = noise()
    both = apply_contrast(image[None], Preprocessing(size=64, contrast="he_clahe"))[0]
    expected = equalise_adaptively(equalise(image), 8, 0.01)
    assert np.array_equal(both, expected)
    assert not np.array_equal(both, apply_contrast(image[None], Preprocessing(size=64))[0])


def test_contrast_does_without_scikit_image(monkeypatch):
    monkeypatch.setitem(sys.modules, "skimage", None)  # importing it fails
    for contrast in ("he", "clahe"):
        assert apply_contrast(noise()[None], Preprocessing(size=64, contrast=contrast)).any()


# The same pictures as scikit-image's


def assert_as_scikit_image(images, tile, clip, atol):
    exposure = pytest.importorskip("skimage.exposure")
    for image in images:
        theirs = exposure.equalize_adapthist(image, kernel_size=tile, clip_limit=clip)
        difference = np.abs(equalise_adaptively(image, tile, clip) - theirs)
        assert difference.max() <= atol
        assert difference.mean() <= atol / 4
        assert np.allclose(equalise(image), exposure.equalize_hist(image, mask=image > 0), atol=1e-6)


@pytest.mark.parametrize("clip", [0.0, 0.003, 0.01, 0.05, 0.3, 1.0])
@pytest.mark.parametrize(("edge", "tile"), [(128, 32), (64, 8), (64, 16), (96, 64), (50, 8)])
def test_random_images_are_equal(edge, tile, clip):
    images = [noise(edge, seed, power) for seed, power in enumerate((0.3, 1, 3, 10))]
    images.append(np.maximum(noise(edge, 9) - 0.6, 0))
    assert_as_scikit_image(images, tile, clip, 1e-6)


@pytest.mark.parametrize("clip", [0.01, 0.05, 1.0])
@pytest.mark.parametrize(("edge", "tile"), [(96, 12), (35, 7), (96, 19), (64, 5)])
def test_random_images_differ_by_rounding_with_other_tiles(edge, tile, clip):
    images = [noise(edge, seed, power) for seed, power in enumerate((0.3, 1, 3))]
    assert_as_scikit_image(images, tile, clip, 5e-4)


@pytest.mark.parametrize("contrast", ["t1", "t2"])
def test_phantoms_are_equal(contrast):
    phantom = make_phantom(5, replace(SMALL, slices=2, contrast=contrast))
    images = prepare(phantom.scan, Preprocessing(contrast="none")).images
    assert images.shape == (2, 256, 256)
    assert_as_scikit_image(images, 32, 0.01, 1e-6)


@pytest.mark.real
def test_real_slices_are_equal(real_data):
    files = sorted((real_data / "train/MR").glob("*.nii.gz"))[::15]
    assert files
    for file in files:
        images = prepare(read_scan(file), Preprocessing(contrast="none")).images
        assert_as_scikit_image(images[::5], 32, 0.01, 1e-6)
        assert_as_scikit_image(images[1:2], 51, 0.03, 5e-4)
