"""One column out of a label map, on columns drawn by hand."""

import itertools

import numpy as np
import pytest

from cafrnet.anatomy import check, column
from cafrnet.errors import InputError
from cafrnet.labels import TABLE

from .spine import BODY_MM, DISC_MM, SAGITTAL, curved, names, rotated, straight

LUMBAR = names("S", "L5/S", "L5", "L4/L5", "L4", "L3/L4", "L3", "L2/L3", "L2")


def ids(elements):
    return [e.id for e in elements]


def kinds(labels, affine=SAGITTAL):
    return [flag.kind for flag in check(column(labels, affine))]


def test_names_centres_volumes_and_heights():
    found = column(straight(names("L5", "L4/L5", "L4")), SAGITTAL)
    assert [(e.name, e.kind) for e in found] == [("L5", "body"), ("L4/L5", "disc"), ("L4", "body")]
    for e, low, high in zip(found, (-130, -106, -96), (-106, -96, -72), strict=True):
        assert e.centre_mm == pytest.approx(
            (0, 0, (low + high) / 2 - 1), abs=1.1
        )  # voxel centres, 2 mm apart
        # x: -14 to 14 in steps of 4 within the six slices from -10 to 10; y: 15 voxels of 2 mm
        assert e.volume_mm3 == pytest.approx(6 * 4 * 15 * 2 * (high - low))
        assert e.height_mm == pytest.approx(high - low - 2, abs=0.5)  # between voxel centres
        assert e.pieces == 1


@pytest.mark.parametrize("slope_deg", [0, 30, 60, 80])
def test_order_along_a_lordosis(slope_deg):
    labels = curved(LUMBAR, slope_deg=slope_deg)
    assert ids(column(labels, SAGITTAL)) == LUMBAR
    assert kinds(labels) == []


def test_a_sacrum_behind_the_lowest_disc_and_higher_than_it():
    leaning = curved(LUMBAR, slope_deg=110)
    z = {e.name: e.centre_mm[2] for e in column(leaning, SAGITTAL)}
    assert z["S"] > z["L5/S"]  # so that heights alone would put them the wrong way round
    assert ids(column(leaning, SAGITTAL)) == LUMBAR


def all_axis_orders():
    for order in itertools.permutations(range(3)):
        for flips in itertools.product((False, True), repeat=3):
            yield order, flips


@pytest.mark.parametrize(("order", "flips"), all_axis_orders())
def test_all_48_axis_orders_give_the_same_column(order, flips):
    labels = curved(LUMBAR, slope_deg=60)
    turned, affine = labels, rotated(SAGITTAL, 12, 1)
    expected = column(labels, affine)
    for axis, flip in enumerate(flips):
        if flip:
            turned = np.flip(turned, axis)
            affine = affine.copy()
            affine[:3, 3] += affine[:3, axis] * (turned.shape[axis] - 1)
            affine[:3, axis] *= -1
    turned, affine = turned.transpose(order), affine[:, [*order, 3]]
    found = column(turned, affine)
    assert ids(found) == ids(expected) == LUMBAR
    for a, b in zip(found, expected, strict=True):
        assert a.centre_mm == pytest.approx(b.centre_mm)
        assert (a.volume_mm3, a.height_mm) == pytest.approx((b.volume_mm3, b.height_mm))


def test_whole_vertebrae_whose_centres_lie_far_behind_the_discs():
    """Processes 60 mm long that reach down over the disc below, as in SpineMRI's labels."""
    labels = straight(LUMBAR[1:])
    for identity in names("L5", "L4", "L3", "L2"):
        rows = np.flatnonzero((labels == identity).any(axis=(0, 2)))
        labels[2:4, rows[0] + 6 : rows[-1] + 9, 38:60] = identity
        labels[2:4, rows[0] + 4 : rows[0] + 8, 36:40] = identity
    found = column(labels, SAGITTAL)
    assert ids(found) == LUMBAR[1:]
    assert found[1].centre_mm[1] < -8  # L5's centre has moved backwards
    assert kinds(labels) == []


def test_debris_is_dropped_by_its_volume_in_mm3():
    labels = straight(names("L5", "L4/L5", "L4"))
    labels[2, 5:7, 5:6] = names("T9")[0]  # two voxels of 16 mm3
    assert len(column(labels, SAGITTAL)) == 3
    assert len(column(labels, SAGITTAL, min_volume_mm3=33)) == 3
    assert len(column(labels, SAGITTAL, min_volume_mm3=32)) == 4


def test_pieces_side_by_side_are_one_structure():
    labels = straight(names("L5", "L4/L5", "L4"))
    labels[3][labels[3] == 12] = 0  # the disc is missing in one slice: its halves lie 8 mm apart
    found = column(labels, SAGITTAL)
    assert ids(found) == names("L5", "L4/L5", "L4")
    assert [e.pieces for e in found] == [1, 2, 1]
    assert kinds(labels) == []


def test_two_structures_with_one_name():
    labels = straight(names("L5", "L4/L5", "L5", "L3/L4", "L3"))
    assert ids(column(labels, SAGITTAL)) == names("L5", "L4/L5", "L5", "L3/L4", "L3")
    flags = check(column(labels, SAGITTAL))
    assert [(f.kind, f.ids) for f in flags] == [("duplicate", (2,)), ("gap", (3,))]
    assert flags[0].message == f"2 structures are called L5, up to {BODY_MM + DISC_MM:.0f} mm apart"


def test_a_good_column_may_begin_and_end_anywhere():
    whole = list(TABLE.column)
    for first, last in ((0, 5), (1, 6), (2, 9), (3, 8), (4, 5)):
        assert kinds(straight(whole[first:last])) == []
    assert check(()) == ()
    assert column(np.zeros((4, 4, 4), np.uint8), np.eye(4)) == ()


def test_canal_posterior_elements_and_unknown_are_not_of_the_column():
    labels = straight(names("L5", "L4/L5"))
    labels[:, :, 50:] = 20
    labels[:, :, :3] = 21
    labels[:, :20, 10:40] = 255
    assert ids(column(labels, SAGITTAL)) == names("L5", "L4/L5")


def test_names_upside_down():
    labels = straight(LUMBAR[1:][::-1])
    assert kinds(labels) == ["upside down"]


def test_two_swapped_names():
    labels = straight(names("L5/S", "L5", "L4/L5", "L3", "L3/L4", "L4", "L2/L3", "L2"))
    flags = check(column(labels, SAGITTAL))
    assert [f.kind for f in flags] == ["order", "order", "disc", "disc", "disc", "disc"]
    assert flags[0].message == "L3/L4 lies above L3, although by its name it is the lower one"
    assert flags[2].message == "above the disc L4/L5 lies L3, L4 was expected"


def test_a_disc_beside_the_wrong_body():
    labels = straight(names("L5", "L3/L4", "L4", "L3"))
    assert [(f.kind, f.ids) for f in check(column(labels, SAGITTAL))][:2] == [
        ("order", names_of("L3/L4", "L4")),
        ("disc", names_of("L3/L4", "L4")),
    ]


def names_of(*words):
    return tuple(names(*words))


def test_skipped_names():
    labels = straight(names("L5", "L4/L5", "L3", "L2/L3", "L2"))
    (flag,) = check(column(labels, SAGITTAL))
    assert (flag.kind, flag.ids) == ("gap", names_of("L4", "L3/L4"))
    assert flag.message.startswith("L4, L3/L4 missing between L4/L5 and L3, which lie 17 mm apart")


def test_a_sacrum_below_a_column_that_was_shifted():
    labels = straight(names("S", "L4/L5", "L4", "L3/L4", "L3"))
    (flag,) = check(column(labels, SAGITTAL))
    assert (flag.kind, flag.ids) == ("gap", names_of("L5/S", "L5"))


def test_room_for_a_body_between_names_that_follow_each_other():
    row = names("L5", "L4/L5", "L4", "L3/L4", "L3", "L2/L3", "L2")
    labels = straight([*row, 0, *names("L1/L2", "L1")])
    (flag,) = check(column(labels, SAGITTAL))
    assert (flag.kind, flag.ids) == ("gap", names_of("L2", "L1"))
    assert "58 mm apart, and a level here is 34 mm" in flag.message


@pytest.mark.parametrize("merged", ["L3", "L2/L3"])
def test_one_name_over_two_levels(merged):
    row = names("L5", "L4/L5", "L4", "L3/L4", "L3", "L2/L3", "L2")
    heights = [DISC_MM if TABLE[i].kind == "disc" else BODY_MM for i in row]
    heights[row.index(TABLE[merged].id)] = 2 * BODY_MM + DISC_MM
    flags = check(column(straight(row, heights=heights), SAGITTAL))
    assert ("merged", (TABLE[merged].id,)) in [(f.kind, f.ids) for f in flags]


def test_what_can_not_be_a_label_map():
    with pytest.raises(InputError, match="shape \\(4, 4\\)"):
        column(np.zeros((4, 4), np.uint8), np.eye(4))
    with pytest.raises(InputError, match="float64"):
        column(np.zeros((4, 4, 4)), np.eye(4))
    with pytest.raises(InputError, match="affine"):
        column(np.zeros((4, 4, 4), np.uint8), np.diag([1.0, 1, 0, 1]))
