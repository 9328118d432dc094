"""Strange scans: each is a scan that reads, and has exactly the one thing wrong that its name says."""

import numpy as np
import pytest

from cafrnet.errors import UsageError
from cafrnet.phantom import SMALL, make_phantom
from cafrnet.phantom.head import draw_head
from cafrnet.phantom.strange import STRANGE, strange_scan
from cafrnet.scan import Scan


@pytest.fixture(scope="module")
def base():
    drawn = make_phantom(4, SMALL)
    return drawn.scan, drawn.labels


def sagittal(scan):
    return scan.frame.to_sagittal(scan.voxels)


@pytest.mark.parametrize("kind", STRANGE)
def test_every_kind_is_a_sagittal_scan_and_the_same_seed_gives_the_same(kind, base):
    one, again, other = (strange_scan(kind, seed, base) for seed in (1, 1, 2))
    assert np.array_equal(one.voxels, again.voxels)
    assert np.array_equal(one.affine, again.affine)
    assert one.voxels.dtype == base[0].voxels.dtype
    assert kind in one.source
    assert sagittal(one).ndim == 3  # the header calls it sagittal
    by_chance = kind in ("noise", "bottle", "head", "cervical", "thoracic", "metal", "upside-down-cut")
    assert np.array_equal(one.voxels, other.voxels) != by_chance
    if kind in ("noise", "bottle", "head"):
        assert one.voxels.shape == base[0].voxels.shape


@pytest.mark.parametrize(("kind", "axis"), [("left-right", 0), ("upside-down", 1), ("front-back", 2)])
def test_a_header_that_lies_about_one_axis_mirrors_that_axis_only(kind, axis, base):
    assert np.array_equal(sagittal(strange_scan(kind, 0, base)), np.flip(sagittal(base[0]), axis))


def test_sideways_exchanges_rows_and_columns(base):
    lying = strange_scan("sideways", 0, base)
    assert sorted(lying.voxels.ravel()[::97]) != []
    plain = sagittal(base[0])
    # upwards becomes forwards to backwards: array index 0 (to the back) was index 1 (upwards)
    assert np.array_equal(sagittal(lying), plain.transpose(0, 2, 1)[:, ::-1, ::-1])


def test_kinds_that_change_a_scan_do_so_in_any_array_order(base):
    scan, labels = base
    order = (2, 0, 1)
    turned = Scan(scan.voxels.transpose(order), scan.affine[:, [*order, 3]])
    for kind in ("upside-down", "metal"):
        a, b = strange_scan(kind, 3, base), strange_scan(kind, 3, (turned, labels.transpose(order)))
        assert np.array_equal(sagittal(a), sagittal(b))


def test_metal_voids_lie_where_the_bodies_were(base):
    scan, labels = base
    metal = strange_scan("metal", 1, base)
    body = (labels >= 2) & (labels <= 5)
    dark = metal.voxels <= np.percentile(scan.voxels, 2)
    assert dark[body].mean() > 0.5 > 0.1 > (scan.voxels[body] <= np.percentile(scan.voxels, 2)).mean()
    spine = np.argwhere((labels >= 2) & (labels <= 7))
    far = np.ones(body.shape, bool)
    far[max(0, spine[:, 0].min() - 60) : spine[:, 0].max() + 61] = (
        False  # 3 times the largest void, at the front
    )
    assert far.any()
    assert np.array_equal(metal.voxels[far], scan.voxels[far])


def test_a_neck_has_half_the_size(base):
    assert strange_scan("cervical", 1, base).spacing_mm[0] == pytest.approx(0.5 * 1.17, rel=1e-3)


def test_axial_planes_are_shown_as_slices(base):
    scan = base[0]
    axial = strange_scan("axial", 0, base)
    every = round(4.0 / scan.spacing_mm[1])
    assert axial.voxels.shape[2] == len(range(0, scan.voxels.shape[1], every))
    assert axial.voxels.shape[0] == scan.voxels.shape[0]
    np.testing.assert_allclose(axial.voxels[:, 0, 5], scan.voxels[:, 5 * every, 0], atol=1)


def test_a_head_has_a_skull_and_no_air_inside():
    head = draw_head(np.random.default_rng(0), (90, 90, 12), (2.5, 2.5, 4.0))
    line = head[:, 45, 6]
    inside = np.flatnonzero(line > 0.5)
    assert 160 < (inside[-1] - inside[0]) * 2.5 < 175  # 2 * 85 mm
    assert (line[inside[0] : inside[-1]] > 0.02).all()
    assert 0.0 <= line[inside[0] + 4 : inside[0] + 6].min() < 0.2  # bone


def test_an_unknown_kind_names_the_nearest():
    with pytest.raises(UsageError, match="did you mean 'cervical'"):
        strange_scan("cervica", 0)


def test_a_base_is_drawn_where_none_is_given():
    assert strange_scan("upside-down", 0).voxels.shape == (256, 256, 12)


def test_upside_down_and_cut_is_the_lower_part_of_upside_down():
    base = make_phantom(3, SMALL)
    whole = strange_scan("upside-down", 5, (base.scan, base.labels))
    cut = strange_scan("upside-down-cut", 5, (base.scan, base.labels))
    rows, kept = whole.voxels.shape[1], cut.voxels.shape[1]
    assert 0.8 * rows - 1 <= kept <= 0.95 * rows + 1
    assert np.array_equal(cut.voxels, whole.voxels[:, :kept])
    assert np.array_equal(cut.affine, whole.affine)  # index 1 grows upwards, so the top is missing
