"""Renaming by a shift, and finding the shift from one structure's right name."""

import numpy as np
import pytest

from cafrnet.anatomy import anchor, shift_levels
from cafrnet.errors import InputError, UsageError
from cafrnet.labels import SCHEMES, TABLE

from .spine import SAGITTAL, names, rotated, straight

ALL = np.arange(22, dtype=np.uint8)


def renamed(k, word):
    """Return the name of what a structure becomes, and of what is lost."""
    moved, lost = shift_levels(np.array([[[TABLE[word].id]]], np.uint8), k)
    value = int(moved[0, 0, 0])
    return "255" if value == 255 else TABLE[value].name, [TABLE[i].name for i in lost]


@pytest.mark.parametrize(
    ("k", "word", "becomes"),
    [
        (+1, "L5", "L4"),
        (+1, "L5/S", "L4/L5"),
        (+1, "L1", "T12"),
        (+1, "L1/L2", "T12/L1"),
        (+1, "T12/L1", "T11/T12"),
        (+3, "L5", "L2"),
        (+8, "L5", "T9"),
        (-1, "L4", "L5"),
        (-1, "L4/L5", "L5/S"),
        (-1, "T12", "L1"),
        (-8, "T9", "L5"),
    ],
)
def test_levels_move_by_name(k, word, becomes):
    assert renamed(k, word) == (becomes, [])


@pytest.mark.parametrize(
    ("k", "word"),
    [(-1, "L5"), (-1, "L5/S"), (-2, "L4"), (+1, "T9"), (+1, "T9/T10"), (+4, "T12"), (+2, "T10/T11")],
)
def test_what_leaves_the_table_is_unknown_and_listed(k, word):
    assert renamed(k, word) == ("255", [word])


@pytest.mark.parametrize("k", range(-8, 9))
def test_the_sacrum_canal_and_posterior_elements_stay_and_nothing_becomes_them(k):
    moved, _ = shift_levels(ALL, k)
    for word in ("background", "S", "spinal canal", "posterior elements"):
        identity = TABLE[word].id
        assert np.flatnonzero(moved == identity).tolist() == [identity]


def test_kinds_never_mix():
    for k in range(-8, 9):
        for old, new in enumerate(shift_levels(ALL, k)[0]):
            assert new == 255 or TABLE[int(new)].kind == TABLE[old].kind


def test_there_and_back_restores_all_that_did_not_leave_the_table():
    labels = np.random.default_rng(0).integers(0, 22, (5, 6, 7)).astype(np.uint8)
    labels[0] = 255
    for k in range(-8, 9):
        there, lost = shift_levels(labels, k)
        back, lost_again = shift_levels(there, -k)
        gone = np.isin(labels, lost)
        np.testing.assert_array_equal(back[~gone], labels[~gone])
        assert (back[gone] == 255).all()
        assert lost_again == ()
    assert shift_levels(labels, 0)[1] == ()


def test_the_input_is_not_changed_and_any_integer_type_will_do():
    labels = straight(names("S", "L5/S", "L5")).astype(np.int32)
    before = labels.copy()
    moved, _ = shift_levels(labels, 1)
    np.testing.assert_array_equal(labels, before)
    assert (moved.dtype, moved.shape) == (np.uint8, labels.shape)


@pytest.mark.parametrize("k", [9, -9, 0.5, True])
def test_impossible_shifts(k):
    with pytest.raises(UsageError, match="a whole number from -8 to 8"):
        shift_levels(ALL, k)


def test_a_value_outside_the_table():
    with pytest.raises(InputError, match=r"holds the label values \[77\]"):
        shift_levels(np.array([2, 77]), 1)


def test_other_schemes_keep_what_a_value_says_beyond_its_level():
    spider = np.array([0, 1, 101, 201, 100, 9, 10])
    moved, lost = shift_levels(spider, 1, SCHEMES["spider"])
    assert moved.tolist() == [0, 2, 102, 202, 100, 255, 255]
    assert lost == (9, 10)  # 10, T8, has no name here: it would stand beside levels that moved
    tptbox = np.array([26, 24, 124, 224, 23, 61, 45])
    moved, lost = shift_levels(tptbox, 1, SCHEMES["tptbox"])
    assert (moved.tolist(), lost) == ([26, 23, 123, 223, 22, 61, 45], ())
    moved, lost = shift_levels(tptbox, -1, SCHEMES["tptbox"])
    assert (moved.tolist(), lost) == ([26, 255, 255, 255, 24, 61, 45], (24, 124, 224))
    total = np.array([50, 100, 45, 91, 41, 80, 29, 1, 2])
    moved, lost = shift_levels(total, 1, SCHEMES["totalspineseg"])
    assert (moved.tolist(), lost) == ([50, 95, 44, 82, 32, 255, 255, 1, 2], (29, 80))
    assert shift_levels(spider, 0, SCHEMES["spider"])[0].tolist() == spider.tolist()


COLUMN = names("S", "L5/S", "L5", "L4/L5", "L4", "L3/L4", "L3")
#: The middle of each structure of the column that stands upright on -130 mm, in mm of its own frame.
MIDDLE = {"S": -110.0, "L5/S": -85.0, "L5": -68.0, "L4/L5": -51.0, "L4": -34.0}


@pytest.mark.parametrize(("found", "name", "k"), [("L5", "L5", 0), ("L5", "L4", 1), ("L4", "L5", -1)])
def test_an_anchor_in_a_body(found, name, k):
    assert anchor(straight(COLUMN), SAGITTAL, name, (2.0, 3.0, MIDDLE[found])) == k


def test_an_anchor_in_a_disc_and_after_the_shift_the_name_is_right():
    labels = straight(COLUMN)
    point = (-3.0, 1.0, MIDDLE["L4/L5"])
    k = anchor(labels, SAGITTAL, "l2/l3", point)
    assert k == 2
    moved, _ = shift_levels(labels, k)
    assert anchor(moved, SAGITTAL, "L2/L3", point) == 0


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("degrees", [-35, 20])
@pytest.mark.parametrize("flip", [(), (0,), (1, 2), (0, 1, 2)])
def test_an_anchor_in_oblique_and_flipped_affines(axis, degrees, flip):
    labels, affine = straight(COLUMN), rotated(SAGITTAL, degrees, axis)
    point = (rotated(np.eye(4), degrees, axis) @ [2.0, 3.0, MIDDLE["L4"], 1.0])[:3]
    for a in flip:
        labels, affine = np.flip(labels, a), affine.copy()
        affine[:3, 3] += affine[:3, a] * (labels.shape[a] - 1)
        affine[:3, a] *= -1
    labels, affine = labels.transpose(2, 0, 1), affine[:, [2, 0, 1, 3]]
    assert anchor(labels, affine, "L3", point) == 1
    index = np.rint(np.linalg.inv(affine) @ [*point, 1])[:3]
    assert anchor(labels, affine, "L3", index, voxel=True) == 1


def test_an_anchor_at_the_very_edge_of_the_volume():
    labels, affine = np.full((2, 2, 2), 2, np.uint8), np.diag([2.0, 2, 2, 1])
    assert anchor(labels, affine, "L4", (2.9, -0.9, 2.9)) == 1  # voxel centres at 0 and 2, edges at -1 and 3
    with pytest.raises(
        InputError, match=r"outside the volume, which spans -1 to 3, -1 to 3, -1 to 3 mm in RAS"
    ):
        anchor(labels, affine, "L4", (3.1, 0, 0))


def test_negative_indices_do_not_count_from_the_end():
    with pytest.raises(InputError, match=r"voxel \(-1, 0, 0\) lies outside .* end at \(5, 149, 59\)"):
        anchor(straight(COLUMN), SAGITTAL, "L5", (-1, 0, 0), voxel=True)


def test_an_anchor_on_background_names_the_nearest_structure():
    labels = straight(COLUMN)
    with pytest.raises(InputError) as told:
        anchor(labels, SAGITTAL, "L5", (2.0, 24.0, MIDDLE["L4"]))
    assert str(told.value) == (
        "the point (2, 24, -34) mm lies on background; the nearest structure is L4, 10.0 mm away, at "
        "(2.0, 14.0, -34.0) mm = voxel (3, 92, 23)"
    )
    assert anchor(labels, SAGITTAL, "L4", (3, 92, 23), voxel=True) == 0
    with pytest.raises(InputError, match="there is no vertebra or disc in the label map"):
        anchor(np.zeros((3, 3, 3), np.uint8), np.eye(4), "L5", (1, 1, 1))


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("L5", 12, "lies on L4/L5, a disc, but L5 is a body; give a point inside the body"),
        ("L4/L5", 2, "lies on L5, a body, but L4/L5 is a disc"),
        ("L5", 20, "lies on the spinal canal, which has no level; the nearest structure is"),
        ("L5", 21, "lies on the posterior elements, which has no level"),
        ("L5", 255, "lies on 255, unknown"),
        ("L5", 1, "lies on the sacrum, which never becomes L5"),
    ],
)
def test_anchors_on_what_has_another_kind(name, value, message):
    labels = straight(COLUMN)
    labels[3, 10, 10] = value
    with pytest.raises(InputError, match=message):
        anchor(labels, SAGITTAL, name, (3, 10, 10), voxel=True)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("S", "S never moves; name a vertebra or a disc"),
        ("spinal canal", "never moves"),
        ("L5/S1", "did you mean 'L5/S'"),
        ("L6", "no vertebra or disc is called 'L6'"),
    ],
)
def test_names_that_no_level_has(name, message):
    with pytest.raises(UsageError, match=message):
        anchor(straight(COLUMN), SAGITTAL, name, (0, 0, -68))


@pytest.mark.parametrize("point", [(1, 2), (1, 2, float("nan")), (1, 2, float("inf"))])
def test_points_that_are_none(point):
    with pytest.raises(UsageError, match="three finite numbers"):
        anchor(straight(COLUMN), SAGITTAL, "L5", point)
    with pytest.raises(UsageError, match="three whole numbers"):
        anchor(straight(COLUMN), SAGITTAL, "L5", (1, 2, 0.5), voxel=True)
