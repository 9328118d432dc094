"""Artefacts on images whose result can be written down."""

import numpy as np
import pytest

from cafrnet.errors import UsageError
from cafrnet.experiments.probes import artefacts
from cafrnet.experiments.probes.artefacts import ARTEFACTS, Box, degrade, seed_of
from cafrnet.scan import Scan

pytest.importorskip("monai")
DEGRADING = [kind for kind, a in ARTEFACTS.items() if a.apply]
CUTTING = [kind for kind, a in ARTEFACTS.items() if not a.apply]


def box(image, spacing_mm=(4.0, 1.0, 1.0), seed=0):
    return Box(np.asarray(image, np.float32), spacing_mm, seed)


def test_ghosts_of_one_bright_point_lie_at_quarters_with_a_quarter_of_the_strength():
    point = np.zeros((1, 1, 16))
    point[0, 0, 3] = 1.0
    found = artefacts.ghosting(box(point), 0.8)[0, 0]
    expected = np.zeros(16)
    expected[[3, 7, 11, 15]] = 0.8, 0.2, 0.2, 0.2
    assert found == pytest.approx(expected, abs=1e-6)


def test_ghosting_leaves_an_even_image_as_it_is():
    assert artefacts.ghosting(box(np.full((1, 2, 16), 0.7)), 1.0) == pytest.approx(0.7, abs=1e-6)


def test_a_stronger_bias_field_has_the_same_shape():
    even = np.ones((2, 8, 8))
    weak, strong = (np.log(artefacts.bias_field(box(even), s)) for s in (0.1, 0.3))
    assert weak.std() > 0.01
    assert strong == pytest.approx(3 * weak, abs=1e-4)


def test_noise_on_nothing_has_the_mean_of_rayleigh():
    found = artefacts.noise(box(np.zeros((4, 100, 100))), 0.1)
    assert found.min() >= 0
    assert found.mean() == pytest.approx(0.1 * np.sqrt(np.pi / 2), rel=0.02)


def test_gamma_is_a_power():
    found = artefacts.gamma(box([[[0, 0.25, 0.5, 1.0]]]), 2.0)
    assert found[0, 0] == pytest.approx([0, 0.0625, 0.25, 1.0], abs=1e-5)


def test_inversion_folds_the_bright_end_down():
    ramp = box([[[0, 0.5, 0.8, 0.9, 1.0]]])
    assert artefacts.inversion(ramp, 0.2)[0, 0] == pytest.approx([0, 0.5, 0.8, 0.7, 0.6])
    assert artefacts.inversion(ramp, 1.0)[0, 0] == pytest.approx([1.0, 0.5, 0.2, 0.1, 0])


def test_coarse_pixels_average_and_coarser_ones_stay():
    board = np.indices((8, 8)).sum(axis=0)[None] % 2
    assert artefacts.resolution(box(board), 2.0) == pytest.approx(0.5)
    assert artefacts.resolution(box(board, (4.0, 3.0, 3.0)), 2.0) == pytest.approx(board)


@pytest.mark.parametrize("kind", DEGRADING)
def test_grid_and_padding_stay_and_the_seed_decides(kind, stairs_scan):
    padded = np.zeros((40, 60, 5), np.int16)
    padded[4:36, 6:54] = stairs_scan.voxels
    scan = Scan(padded, stairs_scan.affine)
    strength = ARTEFACTS[kind].strengths[2]
    worse, rows = degrade(scan, kind, strength, seed_of(0, "a", kind))
    again, _ = degrade(scan, kind, strength, seed_of(0, "a", kind))
    assert worse.voxels.shape == padded.shape
    assert np.array_equal(worse.affine, scan.affine)
    assert rows == slice(0, 60)
    assert np.array_equal(worse.voxels, again.voxels)
    outside = np.ones(padded.shape, bool)
    outside[4:36, 6:54] = False
    assert not worse.voxels[outside].any()
    if kind in ("noise", "bias_field"):
        other, _ = degrade(scan, kind, strength, seed_of(0, "b", kind))
        assert not np.allclose(worse.voxels, other.voxels)


@pytest.mark.parametrize("kind", CUTTING)
def test_a_cut_keeps_rows_where_they_were_in_the_patient(kind, stairs_scan):
    cut, rows = degrade(stairs_scan, kind, 0.25, 0)
    assert rows == (slice(12, 48) if kind == "top_cut" else slice(0, 36))
    whole, part = (s.frame.to_sagittal(s.voxels) for s in (stairs_scan, cut))
    assert np.array_equal(part, whole[:, rows])

    def place(scan, row):  # world position of the voxel in sagittal slice 0, this row, column 0
        index = np.zeros(scan.frame.to_sagittal(scan.voxels).shape, bool)
        index[0, row, 0] = True
        at = np.argwhere(scan.frame.to_array(index))[0]
        return scan.affine[:3, :3] @ at + scan.affine[:3, 3]

    assert place(cut, 0) == pytest.approx(place(stairs_scan, rows.start))


def test_five_strengths_each_rising():
    assert all(len(a.strengths) == 5 and list(a.strengths) == sorted(a.strengths) for a in ARTEFACTS.values())


def test_an_unknown_artefact_is_named_with_the_nearest(stairs_scan):
    with pytest.raises(UsageError, match=r"'noice'.*'noise'"):
        degrade(stairs_scan, "noice", 1.0, 0)
