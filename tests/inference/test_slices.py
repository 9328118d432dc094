"""Slices that do not fit each other are said, by hand-made pictures; those of one patient are not."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from cafrnet.inference.slices import slice_flags

PIXEL_MM = 1.25


def patient(slices=9, seed=0):
    """Blurred noise that changes slowly from slice to slice, between 0.2 and 0.8."""
    rng = np.random.default_rng(seed)
    blurred = gaussian_filter(rng.normal(size=(slices + 12, 160, 128)), (3, 4, 4))[6:-6]
    return (0.5 + 0.3 * np.clip(blurred / (3 * blurred.std()), -1, 1)).astype(np.float32)


def messages(images):
    flags = slice_flags(images, PIXEL_MM)
    assert all(flag.kind == "slices" and flag.ids == () for flag in flags)
    return [flag.message for flag in flags]


@pytest.mark.parametrize("seed", range(5))
def test_nothing_is_said_of_one_patient(seed):
    assert messages(patient(seed=seed)) == []


def test_nothing_is_said_of_one_slice_or_of_no_picture():
    assert messages(patient()[:1]) == []
    assert messages(np.zeros((4, 64, 64), np.float32)) == []


def test_noise_is_no_displacement():
    noise = np.random.default_rng(3).uniform(0, 1, (8, 160, 128)).astype(np.float32)
    assert messages(noise) == []


def test_a_patient_who_moved_between_two_halves():
    images = patient()
    images[1::2] = np.roll(images[1::2], 16, axis=1)
    (said,) = messages(images)
    assert " 20 mm " in said
    assert "8 of 8 neighbours" in said


@pytest.mark.parametrize(("rows", "way"), [(16, "higher"), (-24, "lower")])
def test_the_way_of_a_displacement(rows, way):
    images = patient()
    images[4:] = np.roll(
        images[4:], rows, axis=1
    )  # anatomy moved down the picture: what it shows lies higher
    (said,) = messages(images)
    assert said.startswith(f"slice 5 shows the patient {abs(rows) * 1.25:.0f} mm {way} than slice 4 ")
    assert "1 of 8 neighbours" in said


def test_less_than_4_mm_is_left_to_the_patient():
    images = patient()
    images[4:] = np.roll(images[4:], 3, axis=1)  # 3.75 mm
    assert messages(images) == []


def test_a_slice_that_outshines_the_others():
    images = patient() / 8
    images[3] *= 8
    (said,) = messages(images)
    assert said.startswith("slice 4 is up to 8 times as bright as the others")
    assert messages(np.concatenate([patient()[:1] * 1.2, patient()[1:] / 2])) == []


def test_slices_without_picture_between_others():
    images = patient()
    images[[2, 3, 4, 6]] = 0
    (said,) = messages(images)
    assert said.startswith("slices 3-5, 7 are without a picture")


def test_outer_slices_may_be_empty():
    images = patient()
    images[[0, 1, 8]] = 0.001
    assert messages(images) == []
