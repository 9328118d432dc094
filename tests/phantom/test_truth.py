"""The truth against what an independent ruler finds on finely drawn labels."""

from dataclasses import replace

import numpy as np
import pytest

from cafrnet.labels import TABLE
from cafrnet.phantom import PhantomOptions, make_phantom
from cafrnet.phantom.anatomy import draw_anatomy
from cafrnet.phantom.options import DEFAULT

PIXEL_MM = 0.3
FINE = PhantomOptions(
    matrix=(900, 900),
    pixel_mm=PIXEL_MM,
    slices=1,
    contrast="t2",
    fov=("S", "T10"),
    supersampling=1,
    deformity=0,
    oblique_deg=0,
)
UPRIGHT = replace(FINE, curvature=0, degeneration=0)
BODIES = ["L5", "L4", "L3", "L2", "L1", "T12", "T11"]
DISCS = ["L4/L5", "L3/L4", "L2/L3", "L1/L2", "T12/L1", "T11/T12"]


@pytest.fixture(scope="module")
def upright():
    return make_phantom(4, UPRIGHT)


@pytest.fixture(scope="module")
def curved():
    return make_phantom(4, FINE)


def faces(phantom, lower, upper):
    """Return (y, z) in mm of the faces between voxels of two structures, one above the other."""
    plane = phantom.labels[:, :, 0]
    i, j = np.nonzero((plane[:, :-1] == lower) & (plane[:, 1:] == upper))
    world = phantom.scan.affine @ np.stack([i, j + 0.5, np.zeros(len(i)), np.ones(len(i))])
    return world[1], world[2]


def endplate(phantom, lower, upper):
    """Fit a parabola to the boundary: return its (slope_deg, z at any y)."""
    y, z = faces(phantom, lower, upper)
    middle = (y.min() + y.max()) / 2
    # the rounded rim is left out
    inner = np.abs(y - middle) < 0.36 * (y.max() - y.min())
    curve = np.polynomial.Polynomial.fit(y[inner], z[inner], 2)
    return np.degrees(np.arctan(curve.deriv()(middle))), curve


def around(name):
    """Return the ids below and above a structure, and its own."""
    column = TABLE.column
    at = column.index(TABLE[name].id)
    return column[at - 1], column[at], column[at + 1]


@pytest.mark.parametrize("name", [*BODIES, *DISCS])
def test_heights_of_an_upright_column(upright, name):
    truth = upright.truth["bodies" if name in BODIES else "discs"][name]
    below, own, above = around(name)
    low, high = endplate(upright, below, own)[1], endplate(upright, own, above)[1]
    corners = truth["corners_mm"]
    centre_y = truth["centre_mm"][1]
    assert high(centre_y) - low(centre_y) == pytest.approx(truth["middle_height_mm"], abs=PIXEL_MM)
    for side in ("anterior", "posterior"):
        found = high(corners[f"upper_{side}"][1]) - low(corners[f"lower_{side}"][1])
        assert found == pytest.approx(truth[f"{side}_height_mm"], abs=2 * PIXEL_MM), side


@pytest.mark.parametrize("name", BODIES)
def test_depth_and_wall_of_an_upright_body(upright, name):
    truth = upright.truth["bodies"][name]
    plane = upright.labels[:, :, 0] == TABLE[name].id
    i = np.nonzero(plane)[0]
    # at the rims, where the walls are not hollow, the corners are rounded by less than a millimetre
    assert (i.max() - i.min() + 1) * PIXEL_MM == pytest.approx(truth["depth_mm"], abs=1.5)
    front = upright.scan.affine[1, 3] + upright.scan.affine[1, 0] * (i.min() - 0.5)
    ahead = max(truth["corners_mm"][f"{end}_anterior"][1] for end in ("lower", "upper"))
    assert front == pytest.approx(ahead, abs=1.0)


def test_an_upright_column_has_no_angles(upright):
    assert all(angle == pytest.approx(0, abs=1e-6) for angle in upright.truth["angles_deg"].values())
    below, own, above = around("L3")
    assert endplate(upright, below, own)[0] == pytest.approx(0, abs=0.5)
    assert endplate(upright, own, above)[0] == pytest.approx(0, abs=0.5)


def test_lordosis_and_segment_angles(curved):
    angles = curved.truth["angles_deg"]
    assert 20 < angles["lumbar_lordosis_L1_S1"] < 75
    tops = {"S1": endplate(curved, TABLE["S"].id, TABLE["L5/S"].id)[0]}
    for name in BODIES:
        _, own, above = around(name)
        tops[name] = endplate(curved, own, above)[0]
    assert tops["L1"] - tops["S1"] == pytest.approx(angles["lumbar_lordosis_L1_S1"], abs=1.5)
    assert -tops["S1"] == pytest.approx(angles["sacral_slope"], abs=1.5)
    names = list(tops)
    for i in range(len(names) - 1):
        expected = angles[f"segment_{names[i + 1]}_{names[i]}"]
        assert tops[names[i + 1]] - tops[names[i]] == pytest.approx(expected, abs=1.5)


def test_wedges_of_bodies_add_up_with_discs(curved):
    truth = curved.truth
    total = sum(truth["bodies"][b]["wedge_deg"] for b in ("L5", "L4", "L3", "L2", "L1"))
    total += sum(truth["discs"][d]["wedge_deg"] for d in ("L5/S", "L4/L5", "L3/L4", "L2/L3", "L1/L2"))
    assert total == pytest.approx(truth["angles_deg"]["lumbar_lordosis_L1_S1"], abs=0.02)


def test_slips_show_in_the_corners():
    for seed in range(200):
        anatomy = draw_anatomy(np.random.default_rng(seed), replace(DEFAULT, deformity=3.0))
        slipped = [d for d in anatomy.column.discs if d.slip_mm > 0]
        if slipped:
            break
    disc = slipped[0]
    across = disc.upper.mid - disc.lower.mid
    lean = np.radians(disc.wedge_deg / 2)
    height = across @ disc.lower.up / np.cos(lean)
    # what is left along the lower endplate after the lean of the disc is the slip
    assert across @ disc.lower.forward + height * np.sin(lean) == pytest.approx(disc.slip_mm, abs=1e-6)


def test_the_lateral_curve_can_be_undone():
    anatomy = draw_anatomy(np.random.default_rng(1), replace(DEFAULT, deformity=3.0))
    assert anatomy.lateral_mm > 0
    model = np.array([[5.0, -20.0, 40.0], [-12.0, 10.0, -30.0], [0.0, 0.0, 0.0]])
    patient = anatomy.to_patient(model)
    x, y = anatomy.to_model(patient[:, 0], patient[:, 1], patient[:, 2])
    np.testing.assert_allclose(np.stack([x, y], 1), model[:, :2], atol=1e-3)


def test_anatomy_is_that_of_adults():
    """Ranges that radiology textbooks give, over many patients."""
    slopes, lordoses, heights, depths = [], [], [], []
    for seed in range(60):
        column = draw_anatomy(np.random.default_rng(seed), replace(DEFAULT, deformity=0)).column
        slopes.append(-column.sacrum[0].upper.angle_deg)
        lordoses.append(column.bodies[4].upper.angle_deg + slopes[-1])
        heights.append(np.linalg.norm(column.bodies[2].upper.mid - column.bodies[2].lower.mid))
        depths.append(column.bodies[2].lower.depth_mm)
    assert 30 < np.median(slopes) < 45
    assert 42 < np.median(lordoses) < 60
    assert 24 < np.median(heights) < 29
    assert 31 < np.median(depths) < 36
