"""What a phantom shows: all structures, in order, touching, in the contrast asked for."""

import json
from dataclasses import replace

import nibabel as nib
import numpy as np
import pytest
from scipy import ndimage

from cafrnet.errors import UsageError
from cafrnet.labels import TABLE, UNKNOWN
from cafrnet.phantom import SMALL, PhantomOptions, make_phantom

FULL = replace(SMALL, fov="full", contrast="t2")
COARSE = PhantomOptions(matrix=(100, 100), pixel_mm=3.0, slices=12, supersampling=1)


@pytest.fixture(scope="module")
def whole():
    return make_phantom(3, FULL)


def test_all_structures_occur(whole):
    assert set(np.unique(whole.labels)) - {UNKNOWN} == {label.id for label in TABLE}
    assert set(whole.truth["view"].values()) >= {"whole"}
    assert all(whole.truth["view"][TABLE[i].name] == "whole" for i in TABLE.column)


def test_array_order_and_types_are_those_of_spinemri(whole):
    assert nib.aff2axcodes(whole.scan.affine) == ("P", "S", "R")
    assert whole.scan.voxels.dtype == np.uint16
    assert whole.labels.dtype == np.uint8
    assert whole.labels.shape == whole.scan.voxels.shape
    assert whole.scan.frame.spacing_mm[0] > 3 * whole.scan.frame.spacing_mm[1]


def test_clinical_size_is_drawn_when_nothing_is_asked():
    options = PhantomOptions(supersampling=1, slices=None)
    shapes = []
    for seed in range(2):
        scan = make_phantom(seed, options).scan
        shapes.append(scan.voxels.shape)
        assert 448 <= scan.voxels.shape[0] <= 880
        assert 12 <= scan.voxels.shape[2] <= 15
        assert 0.3 <= scan.spacing_mm[0] <= 0.65
        assert 4.0 <= scan.spacing_mm[2] <= 5.0
        assert 48 <= scan.spacing_mm[2] * scan.voxels.shape[2] <= 67


def test_structures_follow_each_other_upwards(whole):
    heights = []
    for i in TABLE.column:
        index = np.argwhere(whole.labels == i).mean(axis=0)
        heights.append((whole.scan.affine @ [*index, 1])[2])
    assert (np.diff(heights) > 4).all()


@pytest.mark.parametrize(
    "label", [label for label in TABLE if label.neighbours], ids=lambda label: label.name
)
def test_neighbours_touch(whole, label):
    around = ndimage.binary_dilation(whole.labels == label.id, np.ones((3, 3, 1)))
    for neighbour in label.neighbours:
        assert (whole.labels[around] == neighbour).sum() > 20


def test_each_body_and_disc_is_one_piece(whole):
    for i in TABLE.of_kind("body", "disc", "sacrum"):
        pieces, _ = ndimage.label(whole.labels == i, np.ones((3, 3, 3)))
        sizes = np.bincount(pieces.ravel())[1:]
        assert sizes.max() / sizes.sum() > 0.98, TABLE[i].name


def test_a_gap_at_the_endplates_belongs_to_neither_and_changes_no_picture(whole):
    gap = make_phantom(3, replace(FULL, endplate_gap_mm=2.4))
    assert np.array_equal(gap.scan.voxels, whole.scan.voxels)
    taken = (whole.labels != gap.labels) & (gap.labels == 0)
    assert {TABLE[int(i)].kind for i in np.unique(whole.labels[taken]) if i != UNKNOWN} == {"body", "disc"}
    assert (gap.labels[whole.labels == 0] == 0).all()
    lost = {
        kind: 1 - np.isin(gap.labels, ids).sum() / np.isin(whole.labels, ids).sum()
        for kind in ("body", "disc")
        for ids in [[label.id for label in TABLE if label.kind == kind]]
    }
    assert 0.05 < lost["body"] < 0.12  # 2.4 of about 27 mm
    assert 0.2 < lost["disc"] < 0.4  # 2.4 of about 8 mm


def test_the_canal_runs_behind_the_bodies_and_processes_behind_the_canal(whole):
    labels = whole.scan.frame.to_sagittal(whole.labels)  # columns run posteriorly
    for i in TABLE.of_kind("body")[:6]:
        slices, rows, columns = np.nonzero(labels == i)
        middle = (slices == int(np.median(slices))) & (rows == int(np.median(rows)))
        row = labels[int(np.median(slices)), int(np.median(rows))]
        assert columns[middle].max() < np.flatnonzero(row == 20).min()
    canal = np.nonzero(labels == 20)[2].mean()
    assert np.nonzero(labels == 21)[2].mean() > canal


def test_lateral_slices_hold_pedicles_and_processes_but_no_canal():
    phantom = make_phantom(3, replace(FULL, deformity=0, oblique_deg=0))
    labels = phantom.scan.frame.to_sagittal(phantom.labels)
    x = phantom.scan.affine[0, 3] + phantom.scan.affine[0, 2] * np.arange(labels.shape[0])
    beside = labels[np.abs(np.abs(x) - 15).argmin()]
    assert (beside == 20).sum() == 0
    assert (beside == 21).sum() * phantom.scan.spacing_mm[0] ** 2 > 500
    # a pedicle joins the body: posterior elements touch bodies
    joined = ndimage.binary_dilation(beside == 21) & np.isin(beside, TABLE.of_kind("body"))
    assert joined.sum() > 20


def signals(contrast: str) -> dict[str, float]:
    """Median signal of the canal, of L3 and of the fat behind the spine, without noise and coil."""
    phantom = make_phantom(11, replace(FULL, contrast=contrast, noise=0))
    assert phantom.truth["contrast"] == contrast
    voxels = phantom.scan.frame.to_sagittal(phantom.scan.voxels).astype(float)
    labels = phantom.scan.frame.to_sagittal(phantom.labels)
    middle = labels.shape[0] // 2
    row = int(np.nonzero(labels[middle] == TABLE["L5"].id)[0].mean())
    last = np.flatnonzero(labels[middle, row] == 21).max(initial=np.flatnonzero(labels[middle, row]).max())
    behind = voxels[middle, row - 4 : row + 4, last + 1 :]
    tissue = behind[behind > 0.02 * voxels.max()]
    return {
        "canal": float(np.median(voxels[labels == 20])),
        "body": float(np.median(voxels[labels == TABLE["L4"].id])),
        "fat": float(np.quantile(tissue, 0.75)) if tissue.size else 0.0,
    }


def test_t2_has_bright_fluid():
    s = signals("t2")
    assert s["canal"] > 1.3 * s["body"]
    assert s["fat"] > s["body"]


def test_t1_has_bright_fat_and_dark_fluid():
    s = signals("t1")
    assert s["fat"] > s["body"] > 1.3 * s["canal"]


def test_stir_has_dark_fat_and_bright_fluid():
    s = signals("stir")
    assert s["canal"] > 3 * s["body"]
    assert s["canal"] > 3 * s["fat"]


def test_random_contrast_gives_all_three():
    kinds = {make_phantom(seed, replace(COARSE, slices=1)).truth["contrast"] for seed in range(25)}
    assert kinds == {"t1", "t2", "stir"}


def test_same_seed_same_phantom_other_seed_another():
    first, again, other = (make_phantom(seed, COARSE) for seed in (7, 7, 8))
    assert (first.scan.voxels == again.scan.voxels).all()
    assert (first.labels == again.labels).all()
    assert first.truth == again.truth
    assert first.truth != other.truth


def test_a_generator_moves_on():
    rng = np.random.default_rng(7)
    assert make_phantom(rng, COARSE).truth["bodies"] != make_phantom(rng, COARSE).truth["bodies"]


def test_contrast_leaves_the_patient_as_it_is():
    t1, t2 = (make_phantom(5, replace(COARSE, contrast=c)) for c in ("t1", "t2"))
    assert (t1.labels == t2.labels).all()
    assert t1.truth["bodies"] == t2.truth["bodies"]


def test_noise_is_switchable():
    quiet, loud = (make_phantom(5, replace(COARSE, contrast="t2", noise=n)) for n in (0.0, 3.0))
    air = (slice(-3, None), slice(20, -20), slice(None))
    share = [p.scan.voxels[air].std() / np.quantile(p.scan.voxels, 0.99) for p in (quiet, loud)]
    assert share[1] > share[0] + 0.01


@pytest.mark.parametrize("seed", range(6))
def test_the_view_tells_what_the_labels_hold(seed):
    phantom = make_phantom(seed, replace(COARSE, fov="random"))
    present = set(np.unique(phantom.labels))
    for i in TABLE.column:
        view = phantom.truth["view"][TABLE[i].name]
        assert view != "whole" or i in present, TABLE[i].name
        assert view != "absent" or i not in present, TABLE[i].name


def test_a_cut_field_of_view_loses_levels_and_says_so():
    phantom = make_phantom(2, replace(COARSE, fov=("L4", "T12")))
    view = phantom.truth["view"]
    assert all(view[name] == "whole" for name in ("L4", "L3/L4", "L3", "L2", "L1", "T12"))
    assert view["S"] == "absent"
    assert view["T9"] == "absent"
    present = set(np.unique(phantom.labels))
    assert TABLE["S"].id not in present
    assert TABLE["T9"].id not in present
    assert phantom.truth["bodies"]["T9"]["view"] == "absent"


def test_what_lies_above_t9_is_unknown():
    phantom = make_phantom(2, replace(COARSE, fov="full", matrix=(100, 100)))
    assert TABLE["T9"].id in phantom.labels
    tall = make_phantom(2, PhantomOptions(matrix=(100, 160), pixel_mm=3.0, slices=8, supersampling=1))
    assert tall.truth["view"]["T8"] == "whole"
    assert UNKNOWN in tall.labels


def test_truth_is_json_and_its_centres_lie_in_their_labels(whole):
    truth = json.loads(json.dumps(whole.truth, allow_nan=False))
    inverse = np.linalg.inv(whole.scan.affine)
    for kind in ("bodies", "discs"):
        for name, entry in truth[kind].items():
            if entry["view"] == "whole" and name in TABLE.names:
                index = np.rint((inverse @ [*entry["centre_mm"], 1])[:3]).astype(int)
                assert whole.labels[tuple(index)] == TABLE[name].id, name


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"contrast": "t3"}, "no phantom contrast 't3'"),
        ({"fov": "half"}, "fov 'half' came"),
        ({"fov": ("T12", "L5")}, r"\(lowest, highest\)"),
        ({"fov": ("L6", "T12")}, "no label 'L6'"),
        ({"pixel_mm": 0.0}, "pixel_mm=0.0 is outside 0.2 to 3"),
        ({"matrix": (2, 2)}, "two numbers from 16"),
        ({"slices": 0}, "slices=0"),
        ({"deformity": float("nan")}, "deformity=nan"),
    ],
)
def test_options_that_cannot_be_drawn_are_refused(wrong, message):
    with pytest.raises(UsageError, match=message):
        PhantomOptions(**wrong)
