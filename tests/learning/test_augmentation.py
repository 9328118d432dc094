"""Augmentation moves image and truth together, never along the spine's order, and follows its seed."""

import numpy as np
import pytest

from cafrnet.learning.augmentation import Augmentation
from cafrnet.learning.recipes.schema import AugmentationRecipe

OFF = {"flip": 0, "rotation_deg": 0, "scale": 0, "shift_px": 0, "elastic": 0, "intensity": 0}


def pair() -> tuple[np.ndarray, np.ndarray]:
    truth = np.zeros((96, 96), np.uint8)
    truth[20:40, 30:60], truth[44:64, 30:60] = 3, 2
    return (truth / 4).astype(np.float32), truth


def test_all_off_changes_nothing():
    image, truth = pair()
    out = Augmentation(AugmentationRecipe(**OFF))(image, truth, 1)
    assert np.array_equal(out[0], image)
    assert np.array_equal(out[1], truth)


def test_the_flip_is_front_to_back_only():
    image, truth = pair()
    out = Augmentation(AugmentationRecipe(**{**OFF, "flip": 1}))(image, truth, 1)
    assert np.array_equal(out[0], image[:, ::-1])
    assert np.array_equal(out[1], truth[:, ::-1])


@pytest.mark.parametrize(
    "change", [{"rotation_deg": 15}, {"elastic": 1, "elastic_px": 4}, {"scale": 0.2, "shift_px": 10}]
)
def test_image_and_truth_move_together_and_order_stays(change):
    image, truth = pair()
    augment = Augmentation(AugmentationRecipe(**{**OFF, **change}))
    moved = 0
    for seed in range(20):
        i, t = augment(image, truth, seed)
        assert i.shape == truth.shape
        assert t.dtype == np.uint8
        assert set(np.unique(t)) <= {0, 2, 3}
        agree = np.abs(i - t / 4) < 0.13
        assert agree.mean() > 0.97  # only the blurred edges differ
        assert np.argwhere(t == 3)[:, 0].mean() < np.argwhere(t == 2)[:, 0].mean()
        moved += not np.array_equal(t, truth)
    assert moved >= 18


def test_intensity_changes_leave_the_truth_and_the_range():
    image, truth = pair()
    augment = Augmentation(AugmentationRecipe(**{**OFF, "intensity": 1}))
    for seed in range(10):
        i, t = augment(image, truth, seed)
        assert np.array_equal(t, truth)
        assert 0 <= i.min() <= i.max() <= 1
        assert not np.array_equal(i, image)


def test_the_seed_is_the_whole_of_the_chance():
    image, truth = pair()
    a, b = Augmentation(AugmentationRecipe()), Augmentation(AugmentationRecipe())
    b(image, truth, 99)  # what came before must not matter
    first, second = a(image, truth, 7), b(image, truth, 7)
    assert np.array_equal(first[0], second[0])
    assert np.array_equal(first[1], second[1])
    assert not np.array_equal(first[0], a(image, truth, 8)[0])
