"""Splits: by patient, seeded, with a hash; holdout and folds."""

import json
import logging

import pytest
from drawn_spine import COLUMN, draw_image, draw_labels, save

from cafrnet.datasets import Split, make_split, open_dataset
from cafrnet.errors import InputError, UsageError


@pytest.fixture
def dataset(tmp_path):
    """24 cases of 12 patients; L3 (4) is marked in 3 patients, S (1) in 2."""
    for n in range(24):
        column = [i for i in COLUMN if (i != 4 or n < 6) and (i != 1 or n >= 20)]
        save(tmp_path / f"plain/images/c{n}.nii.gz", draw_image(n))
        save(tmp_path / f"plain/labels/c{n}.nii.gz", draw_labels(tuple(column)))
    rows = "".join(f"c{n},p{n // 2}\n" for n in range(24))
    (tmp_path / "plain/patients.csv").write_text("case,patient\n" + rows)
    return open_dataset(tmp_path / "plain")


def patients(dataset, ids):
    return {dataset.by_id[i].patient for i in ids}


def test_a_holdout_keeps_patients_together_and_spreads_rare_classes(dataset):
    split = make_split(dataset, seed=3)
    parts = split.parts()
    assert sorted(i for ids in parts.values() for i in ids) == sorted(dataset.by_id)
    owners = [patients(dataset, ids) for ids in parts.values()]
    assert sum(map(len, owners)) == 12 == len(set.union(*owners))
    assert {part: len(ids) for part, ids in parts.items()} == {"train": 16, "val": 4, "test": 4}
    counts = {part: split.labels_per_part[part] for part in parts}
    assert {part: counts[part]["L3"] for part in parts} == {"train": 2, "val": 2, "test": 2}
    assert {part: counts[part]["S"] for part in parts} == {"train": 2, "val": 0, "test": 2}
    assert counts["test"]["L5"] == len(parts["test"])


def test_the_same_seed_gives_the_same_split_and_hash(dataset):
    one, again, other = (make_split(dataset, seed=s) for s in (1, 1, 2))
    assert one == again
    assert one.hash == again.hash
    assert one.hash != other.hash
    assert len(one.hash) == 64


def test_folds_rotate(dataset):
    split = make_split(dataset, folds=4)
    assert [len(f) for f in split.folds] == [6, 6, 6, 6]
    for k in range(4):
        parts = split.parts(k)
        assert parts["test"] == list(split.folds[k])
        assert parts["val"] == list(split.folds[(k + 1) % 4])
        owners = [patients(dataset, ids) for ids in parts.values()]
        assert sum(map(len, owners)) == 12 == len(set.union(*owners))
    tested = [i for k in range(4) for i in split.parts(k)["test"]]
    assert sorted(tested) == sorted(dataset.by_id)


@pytest.mark.parametrize("folds", [None, 3])
def test_saved_splits_come_back(dataset, tmp_path, folds):
    split = make_split(dataset, folds=folds, seed=5)
    split.save(tmp_path / "split.json")
    assert Split.load(tmp_path / "split.json", dataset) == split
    raw = json.loads((tmp_path / "split.json").read_text())
    assert raw["hash"] == split.hash
    assert {"version", "dataset", "seed", "kind", "labels_per_part", "hash"} <= set(raw)
    assert ("folds" in raw) == (folds is not None)
    assert ("train" in raw) == (folds is None)


def change(path, edit):
    raw = json.loads(path.read_text())
    edit(raw)
    path.write_text(json.dumps(raw))


def test_a_changed_split_is_refused(dataset, tmp_path):
    path = tmp_path / "split.json"
    make_split(dataset).save(path)
    change(path, lambda raw: raw["train"].append(raw["test"].pop()))
    with pytest.raises(InputError, match="was changed"):
        Split.load(path)


def test_a_handmade_split_needs_no_hash_and_that_is_logged(dataset, tmp_path, caplog):
    path = tmp_path / "split.json"
    path.write_text(json.dumps({"train": ["c0"], "val": ["c2"], "test": ["c4"]}))
    assert Split.load(path, dataset).parts() == {"train": ["c0"], "val": ["c2"], "test": ["c4"]}
    assert "has no hash" in caplog.text


@pytest.mark.parametrize(
    ("content", "kind", "said"),
    [
        ({"train": ["c0"], "val": ["c2"], "test": ["c99"]}, UsageError, "no case 'c99'"),
        ({"train": ["c0"], "val": ["c1"], "test": ["c4"]}, UsageError, "patient p0 is in train"),
        ({"train": ["c0"], "val": ["c2"], "test": ["c0"]}, InputError, "c0 more than once"),
        ({"train": ["c0"]}, InputError, "not a split"),
        ({"folds": 3}, InputError, "not a split"),
        ({"train": [], "val": [], "test": [], "version": 99}, InputError, "version 99"),
        ([], InputError, "not a split"),
    ],
)
def test_bad_splits_are_named(dataset, tmp_path, content, kind, said):
    (tmp_path / "split.json").write_text(json.dumps(content))
    with pytest.raises(kind, match=said):
        Split.load(tmp_path / "split.json", dataset)


def test_unreadable_splits_are_named(tmp_path):
    with pytest.raises(UsageError, match="cafrnet data split"):
        Split.load(tmp_path / "none.json")
    (tmp_path / "text.json").write_text("train: 1")
    with pytest.raises(InputError, match="JSON"):
        Split.load(tmp_path / "text.json")


def test_folds_are_asked_for_only_where_there_are_some(dataset):
    with pytest.raises(UsageError, match="no folds"):
        make_split(dataset).parts(0)
    folds = make_split(dataset, folds=3)
    for wrong in (None, 3, -1):
        with pytest.raises(UsageError, match="from 0 to 2"):
            folds.parts(wrong)


def test_cases_without_a_truth_are_left_out_and_named(spinemri, caplog):
    root = spinemri(*range(1, 9))
    (root / "train/Mask/mask_case4.nii.gz").unlink()
    with caplog.at_level(logging.WARNING):
        split = make_split(open_dataset(root))
    assert split.left_out == ("Case4",)
    assert "Case4" not in split.ids
    assert "Case4" in caplog.text


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"folds": 2}, "three are needed"),
        ({"folds": 13}, "12 labelled patients"),
        ({"fractions": (0.5, 0.5, 0.5)}, "sum to 1"),
        ({"fractions": (0.9, 0.1)}, "sum to 1"),
        ({"fractions": (1.0, 0.0, 0.0)}, "positive"),
    ],
)
def test_impossible_splits_are_refused(dataset, asked, said):
    with pytest.raises(UsageError, match=said):
        make_split(dataset, **asked)


def test_a_truth_that_cannot_be_read_stops_the_split(spinemri):
    root = spinemri(*range(1, 5))
    (root / "train/Mask/mask_case3.nii.gz").write_bytes(b"\x1f\x8b nothing")
    with pytest.raises(InputError, match="mask_case3"):
        make_split(open_dataset(root))


@pytest.mark.real
def test_real_split(real_data):
    dataset = open_dataset(real_data)
    split = make_split(dataset)
    assert {p: len(ids) for p, ids in split.parts().items()} == {"train": 22, "val": 4, "test": 5}
    assert all(counts["T9/T10"] >= 1 for counts in split.labels_per_part.values())
    folds = make_split(dataset, folds=5)
    assert [folds.labels_per_part[f"fold {k}"]["T9/T10"] for k in range(5)] == [1] * 5
