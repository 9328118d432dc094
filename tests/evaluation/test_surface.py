import numpy as np
import pytest

from cafrnet.errors import UsageError
from cafrnet.evaluation.surface import assd_mm, hd95_mm, hd_mm, nsd, surface, surface_distances


def drawing(text: str) -> np.ndarray:
    rows = [line.split() for line in text.strip().splitlines()]
    return np.array([[cell == "#" for cell in row] for row in rows])


SQUARE = drawing("""
    . . . . . .
    . # # # . .
    . # # # . .
    . # # # . .
    . . . . . .
""")
SHIFTED = np.roll(SQUARE, 1, axis=1)


def test_surface_is_what_a_cross_erodes():
    assert (
        surface(SQUARE)
        == drawing("""
    . . . . . .
    . # # # . .
    . # . # . .
    . # # # . .
    . . . . . .
""")
    ).all()


def test_outside_the_image_is_background():
    assert surface(np.ones((3, 3), bool)).sum() == 8
    assert surface(np.ones((3, 3, 3), bool)).sum() == 26
    assert surface(np.ones((4, 5, 6), bool)).sum() == 4 * 5 * 6 - 2 * 3 * 4


def test_in_plane_surface_is_each_slice_outline():
    block = np.ones((3, 3, 4), bool)
    assert surface(block, in_plane_of=2).sum() == 4 * 8
    assert surface(block, in_plane_of=0).sum() == 3 * 10
    for k in range(3):
        assert (surface(block, in_plane_of=0)[k] == surface(block[k])).all()


def test_square_shifted_by_one():
    # truth -> pred: the left column 1 1 1, and the right middle 1 (pred's centre is no surface)
    d = surface_distances(SQUARE, SHIFTED, (1, 1))
    assert sorted(d.truth_to_pred_mm) == [0, 0, 0, 0, 1, 1, 1, 1]
    assert sorted(d.pred_to_truth_mm) == [0, 0, 0, 0, 1, 1, 1, 1]
    assert (hd_mm(d), hd95_mm(d), assd_mm(d)) == (1, 1, 0.5)
    assert (nsd(d, 1.0), nsd(d, 0.9)) == (1.0, 0.5)


def test_square_shifted_by_one_on_a_stretched_grid():
    # columns 3 mm apart: the left column needs 3, the right middle finds a neighbour 1 mm above it
    d = surface_distances(SQUARE, SHIFTED, (1, 3))
    assert sorted(d.truth_to_pred_mm) == [0, 0, 0, 0, 1, 3, 3, 3]
    assert (hd_mm(d), hd95_mm(d), assd_mm(d)) == (3, 3, 10 / 8)
    assert (nsd(d, 1.0), nsd(d, 2.0), nsd(d, 3.0)) == (5 / 8, 5 / 8, 1.0)


def test_square_and_l_shape():
    square = np.ones((4, 4), bool)  # 12 surface voxels
    ell = drawing("""
        # # . .
        # # . .
        # # # #
        # # # #
    """)  # 11 surface voxels: all but (2, 1)
    d = surface_distances(square, ell, (1, 1))
    assert sorted(d.truth_to_pred_mm) == [0] * 9 + [1, 1, 2]  # the lost corner is 2 away
    assert sorted(d.pred_to_truth_mm) == [0] * 9 + [1, 1]  # (1, 1) and (2, 2) lie inside the square
    assert hd_mm(d) == 2
    assert hd95_mm(d) == pytest.approx(1.45)  # place 0.95 * 11 = 10.45 between 1 and 2; the other way 1
    assert assd_mm(d) == pytest.approx(6 / 23)
    assert nsd(d, 1.0) == pytest.approx(22 / 23)
    assert nsd(d, 2.0) == 1.0


def test_hd95_is_the_larger_directed_percentile_and_interpolates():
    # ten voxels in a row at 0.5 mm, and one stray predicted voxel 2 mm behind the last
    truth, pred = np.zeros((2, 1, 14), bool)
    truth[0, :10] = pred[0, :10] = pred[0, 13] = True
    d = surface_distances(truth, pred, (1.0, 0.5))
    assert hd_mm(d) == 2.0
    assert hd95_mm(d) == pytest.approx(1.0)  # half-way between the 10th (0) and the 11th (2)
    assert assd_mm(d) == pytest.approx(2 / 21)
    assert hd95_mm(surface_distances(pred, truth, (1.0, 0.5))) == pytest.approx(1.0)


def test_anisotropic_diagonal_between_two_voxels():
    truth, pred = np.zeros((2, 3, 5, 9), bool)
    truth[0, 0, 0] = pred[2, 3, 8] = True  # 2 x 4.4, 3 x 0.5, 8 x 0.25 mm apart
    d = surface_distances(truth, pred, (4.4, 0.5, 0.25))
    assert hd_mm(d) == pytest.approx(np.sqrt(8.8**2 + 1.5**2 + 2.0**2))
    assert hd95_mm(d) == assd_mm(d) == hd_mm(d)
    assert nsd(d, 2.0) == 0


def test_cube_inside_a_cube():
    outer, inner = np.zeros((2, 9, 9, 9), bool)
    outer[1:8, 1:8, 1:8] = True
    inner[3:6, 3:6, 3:6] = True  # two voxels inside on every side
    d = surface_distances(outer, inner, (1, 1, 1))
    assert d.pred_to_truth_mm.min() == d.pred_to_truth_mm.max() == 2
    assert hd_mm(d) == pytest.approx(np.sqrt(12))  # corner to corner
    assert len(d.truth_to_pred_mm) == 7**3 - 5**3


def test_rounding_does_not_push_a_voxel_over_the_tolerance():
    truth, pred = np.zeros((2, 1, 40), bool)
    truth[0, 17] = pred[0, 27] = True
    d = surface_distances(truth, pred, (0.1, 0.1))
    assert nsd(d, 1.0) == 1.0


def test_points_are_where_the_distances_belong():
    d = surface_distances(SQUARE, SHIFTED, (1, 3))
    far = d.truth_points[d.truth_to_pred_mm == 3]
    assert far.tolist() == [[1, 1], [2, 1], [3, 1]]


@pytest.mark.parametrize("empty", [0, 1])
def test_empty_mask_is_refused(empty):
    masks = [SQUARE, SQUARE]
    masks[empty] = np.zeros_like(SQUARE)
    with pytest.raises(UsageError, match="empty"):
        surface_distances(*masks, (1, 1))


def test_spacing_for_each_axis():
    with pytest.raises(UsageError, match="3 spacings"):
        surface_distances(SQUARE, SQUARE, (1, 1, 1))
