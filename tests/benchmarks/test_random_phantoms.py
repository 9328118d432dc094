"""The random phantoms: a cut stays in its place in the world, and the report counts by hand."""

import numpy as np
import pytest
import random_phantoms
from out_of_distribution import Labelled

from cafrnet.labels import ValueSets
from cafrnet.preprocessing.picture import picture_rows
from cafrnet.scan import Scan


def test_a_cut_keeps_every_voxel_at_its_place():
    rng = np.random.default_rng(0)
    voxels = rng.random((3, 40, 20)).astype(np.float32)
    affine = np.array([[4.0, 0, 0, 5], [0, 0, -1, 6], [0, -2, 0, 7], [0, 0, 0, 1]])
    truth = np.arange(3 * 40 * 20).reshape(3, 40, 20)
    whole = Labelled(Scan(voxels, affine), truth, ValueSets.identity(), "x")
    left, (first, last) = random_phantoms.cut(whole, rng)
    assert 0.35 * 40 - 1 <= last - first <= 0.9 * 40
    assert (left.truth == truth[:, first:last]).all()
    assert (left.scan.voxels == voxels[:, first:last]).all()
    assert np.allclose(left.scan.affine @ [1, 0, 2, 1], affine @ [1, first, 2, 1])


@pytest.mark.parametrize(
    ("passed", "wrong", "bound"),
    [(59, 0, "5.0 %"), (299, 0, "1.0 %"), (0, 0, "100.0 %"), (1, 1, "100.0 %")],
)
def test_the_bound(passed, wrong, bound):
    # none of n: 1 - 0.05 ** (1 / n), which is 3 / n for many
    rows = [
        {"verdict": "pass", "what": "rows 1 to 2", "wrong": "L5" if k < wrong else ""} for k in range(passed)
    ]
    rows.append({"verdict": "review", "what": "as it is", "wrong": "L4 L5"})
    said = random_phantoms.report(rows).splitlines()
    assert said[0] == "whole: 1 scans, 0 pass, 0 of them with a wrong level; 1 hold one"
    assert said[1].startswith(f"cut: {passed} scans, {passed} pass, {wrong} of them")
    assert f"at most {bound} hold" in said[-1]


def test_what_is_dark_has_no_truth_and_no_picture():
    voxels = np.broadcast_to(np.linspace(0, 100, 64, dtype=np.float32), (3, 40, 64)).copy()
    affine = np.array([[4.0, 0, 0, 5], [0, 0, -1, 6], [0, -2, 0, 7], [0, 0, 0, 1]])
    whole = Labelled(Scan(voxels, affine), np.full((3, 40, 64), 2), ValueSets.identity(), "x")
    dark = random_phantoms.darkened(whole, (10, 30), np.random.default_rng(0))
    assert picture_rows(dark.scan.frame.to_sagittal(dark.scan.voxels)) == (10, 29)
    assert np.flatnonzero(dark.truth.any(axis=(0, 2))).tolist() == [*range(10, 30)]
    assert (dark.scan.voxels[:, 10:30] == voxels[:, 10:30]).all()
