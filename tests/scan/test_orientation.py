"""The sagittal view depends on where voxels lie, never on the order of the array."""

from __future__ import annotations

from itertools import permutations, product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nibabel.affines import apply_affine

from cafrnet.errors import InputError
from cafrnet.scan import Scan, orthonormal, sagittal_frame

#: Every order of the axes with every combination of signs: 6 x 8 = 48.
REORDERINGS = [(order, flips) for order in permutations(range(3)) for flips in product((1, -1), repeat=3)]
#: Slices to the right, rows caudally, columns posteriorly: the frame itself.
RIP = np.array([[4.4, 0, 0, -10], [0, 0, -0.5, 20], [0, -0.7, 0, 30], [0, 0, 0, 1.0]])
ROTATIONS = st.tuples(st.tuples(*[st.floats(-1, 1)] * 3), st.floats(-40, 40))


def reordered(
    voxels: np.ndarray, affine: np.ndarray, order: tuple[int, ...], flips: tuple[int, ...]
) -> tuple[np.ndarray, np.ndarray]:
    """Return the same volume at the same place with its array axes in another order and direction."""
    change = np.zeros((4, 4))
    change[3, 3] = 1
    for new, (old, sign) in enumerate(zip(order, flips, strict=True)):
        change[old, new] = sign
        change[old, 3] = 0 if sign > 0 else voxels.shape[old] - 1
    return voxels.transpose(order)[tuple(slice(None, None, s) for s in flips)], affine @ change


def turned(affine: np.ndarray, axis: tuple[float, ...], angle_deg: float) -> np.ndarray:
    """Return the affine after a rotation about any axis through the origin (Rodrigues' formula)."""
    length = np.linalg.norm(axis)
    x, y, z = np.array([1.0, 0, 0]) if length < 1e-3 else np.array(axis) / length
    k = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    a = np.radians(angle_deg)
    rotation = np.eye(4)
    rotation[:3, :3] = np.eye(3) + np.sin(a) * k + (1 - np.cos(a)) * k @ k
    return rotation @ affine


@pytest.mark.parametrize(("order", "flips"), REORDERINGS)
def test_all_48_orders_give_the_same_sagittal_view_and_back(order, flips):
    voxels = np.arange(3 * 4 * 5).reshape(3, 4, 5)  # no two voxels alike, no two lengths alike
    array, affine = reordered(voxels, RIP, order, flips)
    scan = Scan(array, affine)
    view = scan.frame.to_sagittal(array)
    np.testing.assert_array_equal(view, voxels)
    np.testing.assert_array_equal(scan.frame.to_array(view), array)
    np.testing.assert_allclose(scan.frame.spacing_mm, (4.4, 0.7, 0.5))
    assert np.shares_memory(view, array)


@given(rotation=ROTATIONS, reordering=st.sampled_from(REORDERINGS))
def test_oblique_volumes_up_to_40_degrees_keep_their_axes(rotation, reordering):
    voxels = np.arange(3 * 4 * 5).reshape(3, 4, 5)
    array, affine = reordered(voxels, turned(RIP, *rotation), *reordering)
    frame = sagittal_frame(affine, array.shape)
    np.testing.assert_array_equal(frame.to_sagittal(array), voxels)
    np.testing.assert_allclose(frame.spacing_mm, (4.4, 0.7, 0.5))


def test_rows_run_caudally_and_columns_posteriorly():
    # two bright voxels: one high in front (A, S), one low behind (P, I), in a plain RAS array
    voxels = np.zeros((3, 10, 10), np.uint8)
    voxels[1, 8, 9], voxels[1, 2, 1] = 1, 2
    slice_ = Scan(voxels, np.eye(4)).frame.to_sagittal(voxels)[1]
    assert slice_[0, 1] == 1  # top row, near the left (front) edge
    assert slice_[8, 7] == 2  # near the bottom, near the right (back) edge


def sheared(angle_deg: float) -> np.ndarray:
    """The columns' axis leans by this angle towards the rows'."""
    affine = RIP.copy()
    lean = np.radians(angle_deg)
    affine[:3, 2] = 0.5 * np.array([0, -np.cos(lean), np.sin(lean)])
    return affine


def test_one_degree_of_shear_is_repaired_with_a_warning(caplog):
    scan = Scan(np.arange(60).reshape(3, 4, 5), sheared(1.0), "leaning")
    assert "leaning: axes 1.00 degrees off orthogonal were repaired" in caplog.text
    directions = scan.rigid_affine[:3, :3] / scan.spacing_mm
    np.testing.assert_allclose(directions.T @ directions, np.eye(3), atol=1e-12)
    np.testing.assert_array_equal(scan.affine, sheared(1.0))  # the original stays
    corner = [2, 3, 4]
    moved_mm = np.linalg.norm(apply_affine(scan.rigid_affine, corner) - apply_affine(scan.affine, corner))
    assert moved_mm < 0.05


def test_the_repair_is_shared_by_both_axes():
    # the nearest orthonormal directions turn each of the two axes by half the shear
    repaired = orthonormal(sheared(2.0))[:3, :3] / (4.4, 0.7, 0.5)
    assert np.degrees(np.arccos(repaired[:, 1] @ [0, 0, -1])) == pytest.approx(1.0)


def test_eight_degrees_of_shear_are_refused():
    with pytest.raises(InputError, match=r"8.0 degrees away from orthogonal.*resample"):
        Scan(np.arange(60).reshape(3, 4, 5), sheared(8.0))


def test_rounding_is_not_worth_a_warning(caplog):
    Scan(np.arange(60).reshape(3, 4, 5), RIP + 1e-7)
    assert not caplog.records


@pytest.mark.parametrize(
    ("spacing_mm", "plane"),
    [((0.5, 0.5, 4.4), "axial"), ((0.5, 4.4, 0.5), "coronal"), ((1.0, 1.0, 2.1), "axial")],
)
def test_other_planes_are_refused_by_name(spacing_mm, plane):
    scan = Scan(np.arange(60).reshape(3, 4, 5), np.diag([*spacing_mm, 1]), "knee")
    with pytest.raises(InputError, match=f"knee: a scan in {plane} slices came.*sagittal"):
        _ = scan.frame


@pytest.mark.parametrize("spacing_mm", [(1, 1, 1), (4.4, 0.5, 0.5), (1, 1, 2), (0.9, 0.4, 1.2)])
def test_isotropic_and_sagittal_volumes_are_accepted(spacing_mm):
    frame = Scan(np.arange(60).reshape(3, 4, 5), np.diag([*spacing_mm, 1])).frame
    np.testing.assert_allclose(frame.spacing_mm, np.array(spacing_mm)[[0, 2, 1]])


def test_a_single_slice_is_sagittal_or_refused():
    assert Scan(np.arange(20).reshape(1, 4, 5), np.diag([0.1, 1, 1, 1])).frame.axes == (0, 2, 1)
    for shape, plane in (((4, 5, 1), "axial"), ((4, 1, 5), "coronal")):
        said = f"a single slice came, {plane} by its affine.*give it the affine of its scan.*--pixel-mm"
        with pytest.raises(InputError, match=said):
            _ = Scan(np.arange(20).reshape(shape), np.eye(4)).frame


@pytest.mark.parametrize(
    ("affine", "message"),
    [
        (np.array([[1, 1, 0, 0], [0, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]]), "singular"),
        (np.diag([1, 0, 1, 1.0]), "spacing of 0 mm"),
        (np.diag([1, np.nan, 1, 1.0]), "not a finite 4 x 4"),
        (np.eye(3), "not a finite 4 x 4"),
        (
            np.diag([0.0044, 0.0005, 0.0005, 1.0]),
            "voxels of 0.0044 x 0.0005 x 0.0005 mm came, 0.05 to 100 mm",
        ),
        (np.diag([4.4, 0.5, 500, 1.0]), "voxels of 4.4 x 0.5 x 500 mm came.*metres or microns"),
    ],
)
def test_affines_that_place_nothing_are_refused(affine, message):
    with pytest.raises(InputError, match=message):
        Scan(np.arange(60).reshape(3, 4, 5), affine)


@pytest.mark.parametrize(
    ("voxels", "message"),
    [
        (np.zeros((3, 4, 5)), "every voxel has the value 0"),
        (np.full((3, 4, 5), 7), "every voxel has the value 7"),
        (np.ones((3, 4)), "three-dimensional"),
        (np.ones((3, 4, 5, 2)), r"\(3, 4, 5, 2\).*single three-dimensional volume"),
        (np.ones((3, 0, 5)), "three-dimensional"),
        (np.array([[[1, np.nan, np.inf]]]), "2 voxels are NaN or infinite"),
        (np.ones((3, 4, 5), complex), "complex128"),
    ],
)
def test_arrays_that_are_no_image_are_refused(voxels, message):
    with pytest.raises(InputError, match=message):
        Scan(voxels, np.eye(4))


def test_booleans_become_numbers():
    inside = np.arange(60).reshape(3, 4, 5) % 7 == 0
    scan = Scan(inside, np.diag([4.4, 0.5, 0.5, 1]))
    assert scan.voxels.dtype == np.uint8
    np.testing.assert_array_equal(scan.voxels, np.where(inside, 1, 0))


@pytest.mark.parametrize("spacing_mm", [(0.05, 0.05, 0.05), (100, 0.05, 100)])
def test_voxels_at_the_ends_of_what_is_plausible(spacing_mm):
    assert Scan(np.arange(60).reshape(3, 4, 5), np.diag([*spacing_mm, 1])).spacing_mm == spacing_mm
