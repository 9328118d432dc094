"""One scan through a model whose answer is known: any orientation, any grey scale, little memory."""

import weakref
from dataclasses import replace
from itertools import permutations, product

import numpy as np
import pytest

import cafrnet
from cafrnet.anatomy import NamingOptions
from cafrnet.errors import InputError, UsageError
from cafrnet.inference import load_model, segment_scan
from cafrnet.inference.answers import SLICES_AT_ONCE
from cafrnet.scan import Scan
from handmade import stairs, write_grey_model

TURNS = [(order, flips) for order in permutations(range(3)) for flips in product((1, -1), repeat=3)]


def turned(image: np.ndarray, labels: np.ndarray, affine: np.ndarray, order, flips):
    """Store the same patient in another array order."""
    image, labels = (a.transpose(order)[tuple(slice(None, None, f) for f in flips)] for a in (image, labels))
    change = np.zeros((4, 4))
    change[3, 3] = 1
    for new, (old, flip) in enumerate(zip(order, flips, strict=True)):
        change[old, new] = flip
        change[old, 3] = 0 if flip == 1 else image.shape[new] - 1
    return image, labels, affine @ change


class Spy:
    """An engine that looks at what goes through another one."""

    name = "spy"

    def __init__(self, engine) -> None:
        self.engine, self.sizes, self.alive, self._past = engine, [], 0, []

    def __call__(self, images):
        self.alive = max(self.alive, sum(ref() is not None for ref in self._past))
        self.sizes.append(len(images))
        logits = self.engine(images)
        self._past.append(weakref.ref(logits))
        return logits


def test_the_ids_come_back_voxel_for_voxel(model, stairs_scan):
    _, labels, _ = stairs()
    found = segment_scan(stairs_scan, model)
    assert found.labels.dtype == np.uint8
    assert np.array_equal(found.labels, labels)
    assert found.names == {k: cafrnet.inference.segment.TABLE[k].name for k in np.unique(labels) if k}
    assert {"preprocess", "model", "triage", "naming", "to_native_grid"} == set(found.timings_s)
    verdict = found.triage.verdict
    assert repr(found) == f"<Segmentation of {stairs_scan.source}: 13 structures, {verdict}>"


@pytest.mark.parametrize(("order", "flips"), TURNS)
def test_all_48_orientations_give_the_same_label_map(model, order, flips):
    image, labels, affine = turned(*stairs(), order, flips)
    assert np.array_equal(segment_scan(Scan(image, affine), model).labels, labels)


def test_orientation_does_not_matter_where_pixels_are_resampled(tmp_path):
    coarse = load_model(write_grey_model(tmp_path / "run", pixel_mm=1.7), threads=1)
    image, labels, affine = stairs()
    base = segment_scan(Scan(image, affine), coarse).labels
    assert (base == labels).mean() > 0.7  # mixed pixels at a boundary have the grey value of other ids
    for order, flips in TURNS[::5]:
        there, wanted, at = turned(image, base, affine, order, flips)
        assert np.array_equal(segment_scan(Scan(there, at), coarse).labels, wanted)


@pytest.mark.parametrize(
    ("gain", "offset", "dtype"),
    [
        (1, 0, np.uint8),
        (1, 7, np.uint8),
        (100, 0, np.uint16),
        (1, -500, np.int16),
        (1e4, 3, np.int32),
        (1e-3, 0.1, np.float32),
        (1e-30, 0, np.float64),
        (1e30, 0, np.float32),
    ],
)
def test_gain_offset_and_bit_depth_change_no_label(model, gain, offset, dtype):
    image, labels, affine = stairs()
    changed = (image.astype(np.float64) * gain + offset).astype(dtype)
    assert np.array_equal(segment_scan(Scan(changed, affine), model).labels, labels)


def test_logits_are_held_for_a_few_slices_only(model):
    image, _, affine = stairs(slices=4 * SLICES_AT_ONCE + 1)
    spy = Spy(model.engine)
    segment_scan(Scan(image, affine), replace(model, engine=spy))
    assert spy.sizes == [SLICES_AT_ONCE] * 4 + [1, 1]  # the last one: a slice once more, upside down
    assert spy.alive == 0  # the logits of the slices before were gone when the next ones were made


def test_a_class_that_was_not_trained_appears_only_where_the_order_says_so(tmp_path):
    without = [k for k in range(22) if k not in (5, 20)]
    model = load_model(write_grey_model(tmp_path / "run", trained=without), threads=1)
    image, labels, affine = stairs()
    scan = Scan(image, affine)
    assert model.not_trained == ("L2", "spinal canal")
    raw = segment_scan(scan, replace(model, postprocessing=NamingOptions.without("all")))
    assert not np.isin(raw.labels, (5, 20)).any()
    assert raw.naming is None
    rest = ~np.isin(labels, (5, 20))
    assert np.array_equal(raw.labels[rest], labels[rest])
    without_l2 = write_grey_model(tmp_path / "l2", trained=[k for k in range(22) if k != 5])
    named = segment_scan(scan, load_model(without_l2, threads=1))
    assert np.array_equal(named.labels, labels)  # what lies between L3 and L1 is L2


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_model_that_gives_no_numbers_is_an_error_not_a_label_map(model, stairs_scan, bad):
    class Broken(Spy):
        def __call__(self, images):
            logits = self.engine(images)
            logits[0, 3, 5, 5] = bad
            return logits

    with pytest.raises(InputError, match="NaN or infinite"):
        segment_scan(stairs_scan, replace(model, engine=Broken(model.engine)))


def test_logits_of_another_shape_are_an_error(model, stairs_scan):
    with pytest.raises(InputError, match=r"logits of shape .* came, .* was expected"):
        segment_scan(stairs_scan, replace(model, num_classes=20))


def test_one_slice_a_thin_strip_and_a_field_wider_than_the_window(model):
    image, _, affine = stairs()
    for part in (np.s_[:, :, 3:4], np.s_[:, 20:22, :], np.s_[10:12, :, :]):
        assert segment_scan(Scan(image[part], affine), model).labels.shape == image[part].shape
    wide = np.pad(image, ((40, 60), (30, 30), (0, 0)), constant_values=10)
    found = segment_scan(Scan(wide, affine), model).labels
    assert found.shape == wide.shape
    assert found[:10].max() == found[-10:].max() == 0  # outside the window


def test_not_sagittal_is_refused(model):
    image, _, _ = stairs()
    with pytest.raises(InputError, match="axial"):
        segment_scan(Scan(image, np.diag([1.0, 1.0, 5.0, 1.0])), model)


def test_the_front_door_takes_arrays_scans_files_and_says_what_is_missing(
    grey_model, model, tmp_path, stairs_scan, monkeypatch
):
    image, labels, affine = stairs()
    assert np.array_equal(cafrnet.segment(image, affine=affine, model=grey_model, threads=1).labels, labels)
    found = cafrnet.segment(stairs_scan, model=model)
    found.save(tmp_path / "x.nii.gz")
    assert np.array_equal(cafrnet.segment(tmp_path / "x.nii.gz", model=model).scan.voxels, labels)
    with pytest.raises(UsageError, match="without its affine"):
        cafrnet.segment(image, model=model)
    with pytest.raises(UsageError, match="affine came beside"):
        cafrnet.segment(stairs_scan, affine=affine, model=model)
    monkeypatch.setattr("cafrnet.bundles.places.DEFAULT", tmp_path / "none")
    with pytest.raises(UsageError, match="no trained model ships"):
        cafrnet.segment(stairs_scan)
    with pytest.raises(InputError, match="no such file"):
        cafrnet.segment(tmp_path / "gone.nii.gz", model=model)


def test_slices_that_do_not_fit_are_flagged_and_never_pass(model, stairs_scan):
    fits = segment_scan(stairs_scan, model)
    assert "slices" not in {flag.kind for flag in fits.naming.flags}
    voxels = stairs_scan.voxels.copy()
    voxels[:, :, 2] = voxels.min()  # the array's last axis counts slices
    found = segment_scan(Scan(voxels, stairs_scan.affine, source="gap"), model)
    (flag,) = [flag for flag in found.naming.flags if flag.kind == "slices"]
    assert flag.message.startswith("slice 3 is without a picture")
    assert flag.message in found.triage.reasons
    assert "slices" in [flag["kind"] for flag in found.record()["flags"]]
