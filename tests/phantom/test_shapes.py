"""Distances that can be worked out by hand."""

import numpy as np
import pytest

from cafrnet.phantom.shapes import along, capsule, coverage, ellipsoid, slab, smooth_max, smooth_min, turned


def test_capsule_is_the_distance_to_its_axis_less_its_radius():
    x, t, v = np.zeros(3), np.array([0.0, 5.0, 13.0]), np.array([3.0, 0.0, 0.0])
    distance = capsule(x, t, v, (0, 0, 0), (0, 10, 0), (2.0, 2.0))
    assert distance == pytest.approx([1.0, -2.0, 1.0])


def test_capsule_tapers_from_one_radius_to_the_other():
    distance = capsule(np.zeros(1), np.array([5.0]), np.array([0.0]), (0, 0, 0), (0, 10, 0), (1.0, 3.0))
    assert distance == pytest.approx([-2.0])


def test_a_flat_capsule_is_higher_than_thick():
    at_its_edge = capsule(
        np.zeros(1), np.zeros(1), np.array([6.0]), (0, 0, 0), (0, 1, 0), (2.0, 2.0), flat=3.0
    )
    assert at_its_edge == pytest.approx([0.0])


def test_slab_and_ellipsoid_are_zero_on_their_surface():
    assert slab(np.array([-1.0, 0.0, 3.0]), 0.0, 2.0) == pytest.approx([1.0, 0.0, 1.0])
    assert ellipsoid(np.array([0.0]), np.array([4.0]), np.array([0.0]), (1, 4, 2)) == pytest.approx([0.0])


def test_smooth_max_rounds_only_where_two_surfaces_meet():
    a, b = np.array([0.0, 5.0]), np.array([0.0, 0.0])
    assert smooth_max(a, b, 2.0) == pytest.approx([0.5, 5.0])  # the corner is cut by a quarter of the radius
    assert smooth_min(a, b, 2.0) == pytest.approx([-0.5, 0.0])
    assert smooth_max(a, b, 0.0) == pytest.approx([0.0, 5.0])


def test_coverage_is_one_half_on_the_surface():
    assert coverage(np.array([-1.0, 0.0, 0.25, 1.0]), 1.0) == pytest.approx([1.0, 0.5, 0.25, 0.0])


def test_turned_axes():
    forward, upward = turned(np.array([1.0]), np.array([3.0]), np.array([1.0, 1.0]), 90.0)
    assert (forward, upward) == (pytest.approx([2.0]), pytest.approx([0.0], abs=1e-12))


def test_along_interpolates():
    assert along(np.array([[0.5]]), np.array([0.0, 1.0]), np.array([2.0, 4.0])) == pytest.approx(3.0)
