"""A dataset written for nnU-Net: one class per voxel, our folds, the same geometry."""

import json

import nibabel as nib
import numpy as np
import pytest

pytest.importorskip("torch")

from cafrnet.datasets import Split, make_split, open_dataset
from cafrnet.errors import UsageError
from cafrnet.experiments.nnunet.raw import IGNORE, class_of, write_raw, write_splits
from cafrnet.labels import ValueSets

from ..small import write_spines


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return open_dataset(write_spines(tmp_path_factory.mktemp("raw") / "data", cases=6))


@pytest.fixture(scope="module")
def split(data):
    return make_split(data, seed=0, folds=5)


def test_each_truth_value_gets_one_class_or_is_ignored():
    values = {0: (0, 1), 2: (2, 21), 3: (3, 4), 20: (20,), 21: (21,), 30: (255,)}
    found = class_of(ValueSets(values))
    assert found[0] == 0  # the sacrum is not marked: background there
    assert found[2] == 2  # a whole vertebra: 21 is no class of the paper's models
    assert found[3] == IGNORE  # L4 or L3: can't be said
    assert found[20] == found[21] == 0
    assert found[30] == found[255] == IGNORE


def test_images_and_truths_keep_their_voxels_and_place(data, split, tmp_path):
    raw = write_raw(data, split, tmp_path, "hash")
    about = json.loads(raw.about.read_text())
    assert raw.name == "Dataset501_spines"
    assert about["numTraining"] == 6
    assert list(about["labels"].values()) == list(range(20))  # nothing is ignored: no ignore label
    assert about["labels"]["background"] == 0
    assert about["labels"]["L5/S"] == 11
    case = data.cases[0]
    image, labels = nib.load(raw.image(case.id)), nib.load(raw.labels(case.id))
    scan = case.read()
    np.testing.assert_array_equal(np.asarray(image.dataobj), scan.voxels)
    np.testing.assert_allclose(image.affine, scan.affine, atol=1e-5)
    np.testing.assert_allclose(labels.affine, scan.affine, atol=1e-5)
    truth = case.read_truth()
    np.testing.assert_array_equal(np.asarray(labels.dataobj), np.where(truth < 20, truth, 0))


def test_what_is_unknown_is_ignored_and_only_then_there_is_such_a_label(data, split, tmp_path):
    root = write_spines(tmp_path / "data", cases=6)
    (root / "dataset.yaml").write_text("name: two words!\nvalues:\n  5: [5, 6]\n")
    raw = write_raw(open_dataset(root), split, tmp_path / "raw", "hash")
    assert raw.name == "Dataset501_two-words-"
    assert json.loads(raw.about.read_text())["labels"]["ignore"] == 20
    truth = data.cases[0].read_truth()
    labels = np.asarray(nib.load(raw.labels(data.cases[0].id)).dataobj)
    np.testing.assert_array_equal(labels == 20, truth == 5)


def test_it_is_written_once_and_anew_for_other_data(data, split, tmp_path):
    raw = write_raw(data, split, tmp_path, "hash")
    raw.image("Case1").unlink()
    write_raw(data, split, tmp_path, "hash")
    assert not raw.image("Case1").exists()
    write_raw(data, split, tmp_path, "other hash")
    assert raw.image("Case1").exists()
    raw.about.unlink()  # stopped before it was whole
    write_raw(data, split, tmp_path, "other hash")
    assert raw.about.exists()


def test_our_folds_become_its_splits_without_the_tested_cases(split, tmp_path):
    path = tmp_path / "splits_final.json"
    write_splits(split, path)
    theirs = json.loads(path.read_text())
    assert len(theirs) == 5
    for k, fold in enumerate(theirs):
        tested = set(split.folds[k])
        assert tested
        assert not tested & {*fold["train"], *fold["val"]}
        assert fold["val"] == list(split.folds[(k + 1) % 5])
        assert {*fold["train"], *fold["val"], *tested} == set(split.ids)


def test_a_split_without_folds_is_refused(tmp_path):
    holdout = Split("d", 0, "holdout", (0.7, 0.15, 0.15), ("a",), ("b",), ("c",))
    with pytest.raises(UsageError, match="has no folds"):
        write_splits(holdout, tmp_path / "s.json")
