import json

import numpy as np
import pytest

from cafrnet.errors import UsageError
from cafrnet.evaluation.pairing import pair
from cafrnet.evaluation.truths import find_truths, of_part

from .drawn import column, save

ARRAY = column(2)


@pytest.fixture
def dataset(tmp_path):
    """A dataset in the SpineMRI layout with three cases."""
    root = tmp_path / "data"
    for n in (5, 12, 101):
        save(root / f"train/MR/Case{n}.nii.gz", ARRAY)
        save(root / f"train/Mask/mask_case{n}.nii.gz", ARRAY)
    (root / "dataset.yaml").write_text("name: drawn\nvalues:\n  0: [0, 1]\n")
    return root


def pairs_of(truth, pred):
    found = pair(find_truths(truth), truth, pred)
    return [(t.id, None if p is None else p.name) for t, p in found.pairs], [p.name for p in found.extra]


def test_dataset_folder(dataset):
    truths = find_truths(dataset)
    assert [t.id for t in truths] == ["Case5", "Case12", "Case101"]
    assert truths[0].image == dataset / "train/MR/Case5.nii.gz"
    assert truths[0].sets.values[0] == (0, 1)


def test_the_mask_folder_of_a_dataset_and_one_of_its_masks(dataset):
    masks = find_truths(dataset / "train/Mask")
    assert [t.id for t in masks] == ["Case5", "Case12", "Case101"]
    assert masks[0].image is not None
    one = find_truths(dataset / "train/Mask/mask_case12.nii.gz")
    assert [(t.id, t.sets.values[0]) for t in one] == [("Case12", (0, 1))]


def test_plain_folder_with_and_without_a_description(tmp_path):
    save(tmp_path / "a/b/truth/x_seg.nii.gz", ARRAY)
    assert find_truths(tmp_path / "a/b/truth")[0].sets.values[0] == (0,)
    (tmp_path / "a/dataset.yaml").write_text("values:\n  0: [0, 20]\n")
    found = find_truths(tmp_path / "a/b/truth")
    assert [(t.id, t.image, t.sets.values[0]) for t in found] == [("x_seg", None, (0, 20))]
    (tmp_path / "a/b/truth/dataset.yaml").write_text("scheme: spinemri\n")
    assert find_truths(tmp_path / "a/b/truth")[0].sets.values[2] == (2, 21)


def test_pairs_by_stem_whatever_the_case(dataset, tmp_path):
    pred = tmp_path / "pred"
    for name in ("Case5_seg.nii.gz", "seg_case12.nii", "CASE101_msk.nii.gz", "Case7.nii.gz"):
        save(pred / name, ARRAY)
    save(pred / "case5_preview.nii.gz", ARRAY)
    found, extra = pairs_of(dataset, pred)
    assert found == [
        ("Case5", "Case5_seg.nii.gz"),
        ("Case12", "seg_case12.nii"),
        ("Case101", "CASE101_msk.nii.gz"),
    ]
    assert extra == ["Case7.nii.gz"]


def test_missing_prediction_and_subfolders(dataset, tmp_path):
    save(tmp_path / "pred/deep/case12.nii.gz", ARRAY)
    found, _ = pairs_of(dataset, tmp_path / "pred")
    assert found == [("Case5", None), ("Case12", "case12.nii.gz"), ("Case101", None)]


def test_two_files_are_a_pair(tmp_path):
    truth, pred = save(tmp_path / "a.nii.gz", ARRAY), save(tmp_path / "b.nii.gz", ARRAY)
    assert pairs_of(truth, pred) == ([("a", "b.nii.gz")], [])


def test_one_prediction_for_a_folder_of_truths(dataset, tmp_path):
    pred = save(tmp_path / "case12_seg.nii.gz", ARRAY)
    assert pairs_of(dataset, pred) == ([("Case12", "case12_seg.nii.gz")], [])
    with pytest.raises(UsageError, match="'other'"):
        pairs_of(dataset, save(tmp_path / "other.nii.gz", ARRAY))


def test_ambiguous_names(dataset, tmp_path):
    save(tmp_path / "pred/case5.nii.gz", ARRAY)
    save(tmp_path / "pred/Case5_seg.nii.gz", ARRAY)
    with pytest.raises(UsageError, match="both have the stem 'case5'"):
        pairs_of(dataset, tmp_path / "pred")


def test_nothing_there(dataset, tmp_path):
    (tmp_path / "empty").mkdir()
    for truth, pred, message in (
        (tmp_path / "no", dataset, "no such file"),
        (dataset, tmp_path / "no", "no such file"),
        (tmp_path / "empty", dataset, "holds no label map"),
        (dataset, tmp_path / "empty", "holds no label map"),
    ):
        with pytest.raises(UsageError, match=message):
            pairs_of(truth, pred)


def test_a_dataset_without_label_maps_is_no_truth(tmp_path):
    save(tmp_path / "data/train/MR/Case1.nii.gz", ARRAY)
    with pytest.raises(UsageError, match="without label maps"):
        find_truths(tmp_path / "data")


def write_split(path, **content):
    path.write_text(json.dumps(content))
    return path


def test_part_of_a_split(dataset, tmp_path):
    holdout = write_split(tmp_path / "a.json", train=["Case5"], val=["Case101"], test=["Case12"])
    truths = find_truths(dataset)
    assert [t.id for t in of_part(truths, holdout, "test", None)] == ["Case12"]
    assert [t.id for t in of_part(truths, holdout, "val", None)] == ["Case101"]
    folds = write_split(tmp_path / "b.json", folds=[["Case5"], ["Case12"], ["Case101"]])
    assert [t.id for t in of_part(truths, folds, "test", 2)] == ["Case101"]


def test_part_of_a_folder_of_label_maps(tmp_path):
    for n in (1, 2, 3):
        save(tmp_path / f"maps/mask_case{n}.nii.gz", ARRAY)
    split = write_split(tmp_path / "s.json", train=["Case1"], val=["Case2"], test=["Case3"])
    assert [t.id for t in of_part(find_truths(tmp_path / "maps"), split, "test", None)] == ["mask_case3"]


def test_unusable_splits(dataset, tmp_path):
    truths = find_truths(dataset)
    (tmp_path / "text.json").write_text("not JSON")
    other = write_split(tmp_path / "other.json", train=[], val=[], test=["Case99"])
    fine = write_split(tmp_path / "fine.json", train=["Case5"], val=[], test=["Case12"])
    for split, part, fold, message in (
        (tmp_path / "no.json", "test", None, "no such file"),
        (tmp_path / "text.json", "test", None, "JSON"),
        (other, "test", None, "Case99"),
        (fine, "tset", None, "did you mean 'test'"),
        (fine, "test", 0, "no folds"),
        (fine, "val", None, "empty"),
    ):
        with pytest.raises(UsageError, match=message):
            of_part(truths, split, part, fold)


def test_reading_nothing_keeps_arrays_out(dataset):
    """Finding truths opens no label map: a broken one fails its own case later, not the start."""
    (dataset / "train/Mask/mask_case5.nii.gz").write_bytes(b"broken")
    assert len(find_truths(dataset)) == 3
    assert np.all(ARRAY[ARRAY > 0] == 2)
