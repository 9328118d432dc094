"""Gradings against scores that were made to follow them."""

import shutil

import numpy as np
import pytest

from cafrnet.errors import InputError, UsageError
from cafrnet.experiments.probes.pathology import COLUMNS, cluster_interval, correlate, pathology
from cafrnet.experiments.probes.tables import read_csv

from .folders import put_scores, run_of

HEAD = "Patient,IVD label,Pfirrmann,Modic\n"


@pytest.fixture
def gradings(tmp_path):
    """Patient k has grades k and k + 1 of its two lowest discs; Modic is 0 everywhere."""
    path = tmp_path / "gradings.csv"
    path.write_text(HEAD + "".join(f"{k},1,{k},0\n{k},2,{k + 1},0\n" for k in range(1, 9)) + "99,1,5,0\n")
    return path


def followed(tmp_path, cases=8):
    """DSC falls by a tenth with each grade; the vertebrae L5 (2), L4 (3) have 0.5 and 0.7."""
    scores = {f"Case{k}": {11: 1 - k / 10, 12: 1 - (k + 1) / 10, 2: 0.5, 3: 0.7} for k in range(1, cases + 1)}
    return put_scores(run_of(tmp_path), scores)


def test_scores_that_fall_with_the_grade_have_rho_minus_one(tiny_dataset, gradings, tmp_path):
    run = followed(tmp_path)
    table = read_csv(pathology([run], tiny_dataset, tmp_path / "out", gradings=gradings), COLUMNS)
    line = next(x for x in table if (x["grading"], x["structure"]) == ("Pfirrmann", "dsc_disc"))
    assert (line["discs"], line["cases"], line["grades"]) == (16, 8, 9)
    assert (line["spearman"], line["low"], line["high"]) == (-1, -1, -1)
    assert line["per_grade"].startswith("1: 0.900 (n=1); 2: 0.800 (n=2)")
    discs = read_csv(tmp_path / "out/pathology_discs.csv", ("disc", "dsc_vertebrae_beside"))
    assert [(x["disc"], x["dsc_vertebrae_beside"]) for x in discs[:2]] == [("L5/S", 0.5), ("L4/L5", 0.6)]


def test_what_cannot_be_correlated_says_why(tiny_dataset, gradings, tmp_path):
    table = read_csv(
        pathology([followed(tmp_path)], tiny_dataset, tmp_path / "out", gradings=gradings), COLUMNS
    )
    reasons = {(x["grading"], x["structure"]): x["reason"] for x in table}
    assert reasons["Modic", "dsc_disc"] == "every disc has the same grade"
    few = followed(tmp_path / "few", cases=7)
    table = read_csv(pathology([few], tiny_dataset, tmp_path / "few", gradings=gradings), COLUMNS)
    assert table[0]["spearman"] is None
    assert table[0]["reason"] == "too few: 14 discs of 7 patients, at least 8 of each were expected"


def test_all_series_of_a_patient_have_its_grades(tiny_dataset, gradings, tmp_path):
    """Case1 and Case2 are of patient 1: two scans of one disc, and one patient."""
    shutil.copytree(tiny_dataset, tmp_path / "data")
    lines = "".join(f"Case{k},{max(1, k - 1)}\n" for k in range(1, 9))
    (tmp_path / "data/patients.csv").write_text(f"case,patient\n{lines}")
    run = put_scores(run_of(tmp_path), {"Case1": {11: 0.4}, "Case2": {11: 0.6}})
    (line, *_) = read_csv(pathology([run], tmp_path / "data", tmp_path / "out", gradings=gradings), COLUMNS)
    assert (line["discs"], line["cases"], line["patients"]) == (2, 2, 1)
    discs = read_csv(tmp_path / "out/pathology_discs.csv", ())
    assert [(d["patient"], d["case"], d["Pfirrmann"]) for d in discs] == [(1, "Case1", 1), (1, "Case2", 1)]


def test_an_empty_grade_is_none_and_words_are_refused(tiny_dataset, gradings, tmp_path):
    run = followed(tmp_path)
    text = gradings.read_text()
    gradings.write_text(text.replace("1,1,1,0\n", "1,1,,0\n"))
    table = read_csv(pathology([run], tiny_dataset, tmp_path / "out", gradings=gradings), COLUMNS)
    assert {(x["grading"], x["discs"]) for x in table} == {("Pfirrmann", 15), ("Modic", 16)}
    for row, message in (
        ("2,1,severe,0", "row 3 below the header, column 'Pfirrmann': 'severe' came; a number or an empty"),
        ("2,,2,0", "row 3 below the header, column 'IVD label': nothing came; the number of a disc"),
        ("2,1.5,2,0", "column 'IVD label': 1.5 came"),
        (",1,2,0", "column 'Patient': nothing came"),
        ("2,1,nan,0", "column 'Pfirrmann': nan came"),
    ):
        gradings.write_text(text.replace("2,1,2,0", row))
        with pytest.raises(InputError, match=f"gradings.csv, .*{message}"):
            pathology([run], tiny_dataset, tmp_path / "out", gradings=gradings)


def test_the_interval_draws_patients_not_discs():
    grade = np.tile([1.0, 2.0, 3.0], 10)
    score = np.tile([0.9, 0.8, 0.7], 10)
    case = np.repeat(np.arange(10), 3)
    falling = cluster_interval(grade, score, case, np.random.default_rng(0), resamples=50)
    assert falling == pytest.approx((-1, -1))
    mixed = np.where(case % 2 == 0, score, 1.6 - score)  # half of the cases run the other way
    low, high = cluster_interval(grade, mixed, case, np.random.default_rng(0), resamples=200)
    assert low < 0 < high


def test_equal_scores_have_no_correlation():
    discs = [{"row": "a", "case": f"c{k}", "patient": k, "g": float(k), "s": 0.5} for k in range(9)]
    assert (
        correlate("a", "g", "s", discs, np.random.default_rng(0))["reason"] == "every disc has the same score"
    )


def test_seeds_are_averaged(tiny_dataset, gradings, tmp_path):
    runs = [put_scores(run_of(tmp_path, seed=s), {"Case1": {11: d}}) for s, d in ((0, 0.4), (1, 0.6))]
    pathology(runs, tiny_dataset, tmp_path / "out", gradings=gradings)
    (disc,) = read_csv(tmp_path / "out/pathology_discs.csv", ())
    assert disc["dsc_disc"] == 0.5


def test_bad_input(tiny_dataset, gradings, tmp_path):
    run = followed(tmp_path)
    with pytest.raises(UsageError, match="no such file"):
        pathology([run], tiny_dataset, tmp_path)
    with pytest.raises(UsageError, match="no finished runs"):
        pathology([], tiny_dataset, tmp_path)
    gradings.write_text("Patient,Pfirrmann\n1,2\n")
    with pytest.raises(InputError, match="IVD label were expected"):
        pathology([run], tiny_dataset, tmp_path, gradings=gradings)
    gradings.write_text(HEAD + "77,1,2,0\n")
    with pytest.raises(UsageError, match="none of its patients"):
        pathology([run], tiny_dataset, tmp_path, gradings=gradings)
