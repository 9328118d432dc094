"""The models on other data: on which, and that no score outlives what it was measured on."""

import csv
from dataclasses import replace

import pytest

pytest.importorskip("torch")

from cafrnet.experiments import external
from cafrnet.experiments.reproduce import Options, reproduce

from .small import Training, install, write_spines


@pytest.fixture
def tested(tmp_path, monkeypatch, no_measuring):
    """Return what tests the models on other datasets; the models are there."""
    install(monkeypatch, Training())
    spines = write_spines(tmp_path / "spines")
    options = Options(steps=20, folds=(0,), rows=("cafr_net",))
    reproduce(["table3"], spines, tmp_path / "r", options=options)

    def test_on(*others, what="table3"):
        found = reproduce([what], spines, tmp_path / "r", options=replace(options, external=others))
        return found.written

    return test_on


def score_of(folder):
    with (folder / "r/tables/external_other.csv").open(newline="") as file:
        return [float(row["dsc"]) for row in csv.DictReader(file)]


def write_other(root):
    write_spines(root, 2, mark=5)
    (root / "dataset.yaml").write_text("name: other\nvalues:\n  0: [0]\n")
    return root


def test_a_score_does_not_outlive_what_the_truth_stands_for(tested, tmp_path, monkeypatch):
    """L5 and L4 change names in the dataset's table: two of eleven structures are then wrong."""
    other = write_other(tmp_path / "other")
    tested(other)
    assert score_of(tmp_path) == pytest.approx([100])
    (other / "dataset.yaml").write_text("name: other\nvalues:\n  0: [0]\n  2: [3]\n  3: [2]\n")
    tested(other)
    assert score_of(tmp_path) == pytest.approx([100 * 9 / 11], abs=1e-3)
    monkeypatch.setattr(external, "predict", None)  # the second time nothing is predicted
    assert not tested(other).problems


def test_two_datasets_of_one_name_share_no_table(tested, tmp_path):
    one, two = write_other(tmp_path / "one"), write_other(tmp_path / "two")
    written = tested(one, two)
    assert [t.name for t in written.tables].count("external_other") == 1
    assert written.problems == [
        f"external {two}: another external dataset is called 'other' too; one table would overwrite the "
        "other, so give one of them another name, in its dataset.yaml"
    ]


def test_a_scan_of_the_training_data_is_refused(tested, tmp_path):
    other = write_other(tmp_path / "other")
    (other / "train/MR/Case2.nii.gz").write_bytes((tmp_path / "spines/train/MR/Case7.nii.gz").read_bytes())
    (problem,) = tested(other).problems
    assert "the images of Case2 are among those that the models were trained on" in problem
    assert not (tmp_path / "r/external").exists()


def test_there_must_be_models_of_tables_3_and_4(tested, tmp_path):
    written = tested(write_other(tmp_path / "other"), what="learning-curve")
    assert [p for p in written.problems if "no finished model of Tables 3 and 4 to test" in p]
    assert not (tmp_path / "r/tables/external_other.csv").exists()


def test_the_caption_says_what_was_checked(tested, tmp_path):
    (table,) = (t for t in tested(write_other(tmp_path / "other")).tables if t.name == "external_other")
    assert "Tested on other (2 labelled cases, hash " in table.caption
    assert "none of whose image files is one of those above, byte for byte" in table.caption
    assert table.notes == ("CAFR-Net: convergence unknown; no claim.",)
