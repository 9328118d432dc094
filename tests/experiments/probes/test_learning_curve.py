"""Nested training parts, and the table over them."""

import pytest

from cafrnet.datasets import Split
from cafrnet.errors import UsageError
from cafrnet.experiments.probes.learning_curve import COLUMNS, case_scores, learning_curve, small_splits
from cafrnet.experiments.probes.tables import read_csv

from .folders import put_scores, run_of

FOLDS = Split("drawn", 0, "folds", folds=tuple(tuple(f"c{k}{n}" for n in range(5)) for k in range(5)))


def test_each_subset_holds_the_smaller_ones_and_nothing_else_changes():
    found = small_splits(FOLDS, 1, sizes=(3, 6, 12), seed=4)
    assert [s.train_cases for s in found] == [3, 6, 12]
    parts = [s.split.parts() for s in found]
    assert [len(p["train"]) for p in parts] == [3, 6, 12]
    assert set(parts[0]["train"]) < set(parts[1]["train"]) < set(parts[2]["train"])
    whole = FOLDS.parts(1)
    assert all(p["val"] == whole["val"] and p["test"] == whole["test"] for p in parts)
    assert set(parts[2]["train"]) < set(whole["train"])


def test_the_seed_decides():
    one, same, other = (small_splits(FOLDS, 1, sizes=(3,), seed=s)[0].split.train for s in (0, 0, 1))
    assert one == same != other


def test_what_the_split_does_not_have_becomes_all_and_is_said(caplog):
    found = small_splits(FOLDS, 0, sizes=(3, 25))
    assert [s.train_cases for s in found] == [3, 15]
    assert "25 are left out, all 15 are the largest" in caplog.text


def test_a_small_split_survives_the_disk(tmp_path):
    (small,) = small_splits(FOLDS, 0, sizes=(3,))
    small.split.save(tmp_path / "split.json")
    assert Split.load(tmp_path / "split.json") == small.split


def test_the_table_by_hand(tmp_path):
    runs = {
        ("m", 3): [put_scores(run_of(tmp_path, "m-3"), {"a": {2: 0.2, 3: 0.4}, "b": {2: 0.5}})],
        ("m", 12): [
            put_scores(run_of(tmp_path, "m-12", seed=s), {"a": {2: d}, "b": {2: d}})
            for s, d in ((0, 0.6), (1, 0.8))
        ],
    }
    few, many = read_csv(learning_curve(runs, tmp_path), COLUMNS)
    assert (few["train_cases"], few["cases"], few["runs"]) == (3, 2, 1)
    assert few["dsc"] == pytest.approx((0.3 + 0.5) / 2)
    assert (many["dsc"], many["dsc_sd"], many["runs"]) == (pytest.approx(0.7), 0, 2)
    assert few["low"] < few["dsc"] < few["high"]


def test_one_case_has_no_interval(tmp_path):
    (line,) = read_csv(
        learning_curve({("m", 3): [put_scores(run_of(tmp_path), {"a": {2: 0.2}})]}, tmp_path), ()
    )
    assert (line["low"], line["reason"]) == (None, "too few cases")


def test_canal_and_processes_are_not_in_the_case_score(tmp_path):
    run = put_scores(run_of(tmp_path), {"a": {2: 0.5, 20: 1.0, 21: 1.0}})
    assert case_scores([run.cases]) == {"a": 0.5}


def test_bad_input(tmp_path):
    with pytest.raises(UsageError, match="whole numbers from 1"):
        small_splits(FOLDS, 0, sizes=(0,))
    with pytest.raises(UsageError, match="no runs came"):
        learning_curve({}, tmp_path)
