"""One grid under two orders of axes: the same voxels again, or a refusal."""

import nibabel as nib
import numpy as np
import pytest

from cafrnet.errors import InputError
from cafrnet.scan import aligned
from cafrnet.scan.alignment import mismatch
from handmade import moved, stairs


def turn(angle_deg):
    """Return a turn about the left-right axis."""
    c, s = np.cos(np.radians(angle_deg)), np.sin(np.radians(angle_deg))
    return np.array([[1, 0, 0, 0], [0, c, -s, 0], [0, s, c, 0], [0, 0, 0, 1]])


def about_centre(affine, shape, angle_deg):
    """Return an affine turned about the array's centre."""
    there = np.eye(4)
    there[:3, 3] = (affine @ [*(np.array(shape) - 1) / 2, 1])[:3]
    return there @ turn(angle_deg) @ np.linalg.inv(there) @ affine


@pytest.mark.parametrize("turn_deg", [0.0, 0.9, 1.1, 30.0])
def test_mismatch_measures_the_turn_about_the_centre(turn_deg):
    affine = np.diag([2.0, 3.0, 4.0, 1.0])
    shift, tilt = mismatch(affine, about_centre(affine, (10, 10, 10), turn_deg), (10, 10, 10))
    assert shift == pytest.approx(0, abs=1e-9)
    assert tilt == pytest.approx(turn_deg, abs=1e-6)


@pytest.mark.parametrize("axes", [(0, 1, 2), (2, 0, 1), (1, 2, 0), (2, 1, 0)])
@pytest.mark.parametrize("flips", [(True, False, False), (True, False, True), (True, True, True)])
@pytest.mark.parametrize("tilt_deg", [0.0, 25.0])
def test_any_axis_order_is_the_same_map(axes, flips, tilt_deg):
    _, labels, affine = stairs()
    affine = turn(tilt_deg) @ affine
    other, at = moved(labels, affine, axes, flips)
    back, said = aligned(other, at, affine, labels.shape, "map")
    assert np.array_equal(back, labels)
    assert said == "map: its axes were turned to those of the scan"


def test_the_same_order_is_left_alone():
    _, labels, affine = stairs()
    assert aligned(labels, affine, affine, labels.shape, "map")[0] is labels


def test_a_mirrored_cube_is_told_by_its_affine_alone():
    labels, affine = np.arange(8).reshape(2, 2, 2), np.diag([2.0, 2.0, 2.0, 1.0])
    other, at = moved(labels, affine, (0, 1, 2), (False, True, False))
    assert other.shape == labels.shape
    assert not np.array_equal(other, labels)
    assert np.array_equal(aligned(other, at, affine, labels.shape, "map")[0], labels)


def test_what_headers_round_is_not_worth_a_word():
    """An oblique scan of 512 x 640 x 9 voxels, through the single precision and quaternions of a q-form."""
    shape = (512, 640, 9)
    affine = turn(17.3) @ np.diag([0.46875, 0.46875, 4.4, 1])
    affine[:3, 3] = (-131.7, 80.1, 233.9)
    image = nib.Nifti1Image(np.zeros((1, 1, 1), np.uint8), affine)
    image.set_sform(None, code=0)
    image.set_qform(affine, code=1)
    labels = np.zeros(shape, np.uint8)
    rounded = nib.Nifti1Image.from_bytes(image.to_bytes()).affine
    assert not np.array_equal(rounded, affine)
    assert aligned(labels, rounded, affine, shape, "map") == (labels, "")


def test_less_than_a_voxel_or_a_degree_is_said():
    _, labels, affine = stairs()
    near = affine.copy()
    near[1, 3] += 1.5  # mm; the pixels are of 2 mm
    back, said = aligned(labels, near, affine, labels.shape, "map")
    assert back is labels
    assert said == "map: it lies 0.75 voxels and 0.00 degrees off the scan"
    _, said = aligned(labels, about_centre(affine, labels.shape, 0.5), affine, labels.shape, "map")
    assert said == "map: it lies 0.00 voxels and 0.50 degrees off the scan"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda at, shape: at + np.pad(np.full((1, 1), 2.5), ((1, 2), (3, 0))), "1.2 voxels and 0.0 degrees"),
        (lambda at, shape: about_centre(at, shape, 1.5), "0.0 voxels and 1.5 degrees"),
        (lambda at, shape: at @ np.diag([1, 1.1, 1, 1]), "voxels and 0.0 degrees"),
        (lambda at, shape: np.eye(4), "degrees off the scan"),
        (lambda at, shape: np.diag([0.0, 1, 1, 1]), "off the scan"),
    ],
)
def test_another_place_is_refused(change, said):
    _, labels, affine = stairs()
    with pytest.raises(InputError, match=f"map: its affine puts it .*{said}.*copy the scan's header"):
        aligned(labels, change(affine, labels.shape), affine, labels.shape, "map")


def test_another_shape_is_refused():
    _, labels, affine = stairs()
    with pytest.raises(InputError, match=r"its shape \(31, 48, 5\) is not that of the scan, \(32, 48, 5\)"):
        aligned(labels[1:], affine, affine, labels.shape, "map")
