"""Separation of clusters whose spread can be counted by hand."""

import numpy as np
import pytest
import torch

from cafrnet.errors import UsageError
from cafrnet.evaluation.tables import write_csv
from cafrnet.experiments.probes import embeddings
from cafrnet.experiments.probes.cells import CELLS, Cells, choose_cells, sample_features
from cafrnet.experiments.probes.embeddings import (
    between_to_within,
    case_interval,
    differences,
    separation,
    silhouettes,
    tsne,
)
from cafrnet.experiments.probes.networks import load_network
from cafrnet.experiments.probes.tables import read_csv

from ..small import row_scores, run_scores
from .folders import holdout, put_network, run_of


def cells(values, classes, cases):
    return Cells(np.array(values, float)[:, None], np.array(classes), np.array(cases))


def test_two_pairs_of_points():
    # means 1 and 11 around 6: between 4 * 25 = 100; each point 1 away from its mean: within 4
    assert between_to_within(np.array([[0.0], [2], [10], [12]]), np.array([0, 0, 1, 1])) == 25


def test_equal_means_are_not_separated_and_one_class_has_no_ratio():
    points = np.array([[0.0], [2], [0], [2]])
    assert between_to_within(points, np.array([0, 0, 1, 1])) == 0
    assert between_to_within(points, np.zeros(4)) is None
    assert between_to_within(np.zeros((4, 1)), np.array([0, 0, 1, 1])) is None


def test_equal_cases_have_an_interval_of_no_width():
    three = cells([0, 2, 10, 12] * 3, [0, 0, 1, 1] * 3, np.repeat(["a", "b", "c"], 4))
    assert case_interval(three) == (25, 25)
    assert case_interval(cells([0, 2, 10, 12], [0, 0, 1, 1], ["a"] * 4)) is None


def test_the_jackknife_by_hand():
    two = cells([0, 2, 10, 12, 0, 4, 10, 14], [0, 0, 1, 1] * 2, np.repeat(["a", "b"], 4))
    # without b: 25. Without a: means 2 and 12 around 7, between 100, within 4 * 4: 6.25
    whole = between_to_within(two.features, two.classes)
    error = np.sqrt(0.5 * 2 * (9.375**2))
    low, high = case_interval(two)
    assert (low + high) / 2 == pytest.approx(whole)
    assert high - whole == pytest.approx(12.7062 * error, rel=1e-4)  # Student's t, one degree of freedom


def test_silhouettes_per_case():
    pytest.importorskip("sklearn")
    far = cells([0, 0, 100, 100, 0, 0, 100, 100], [0, 0, 1, 1, 0, 0, 1, 1], np.repeat(["a", "b"], 4))
    assert silhouettes(far) == {"a": 1, "b": 1}
    swapped = cells([0, 0, 100, 100, 100, 0], [0, 0, 1, 1, 0, 1], ["a"] * 4 + ["b"] * 2)
    assert silhouettes(swapped)["b"] < 0 < silhouettes(swapped)["a"]
    assert silhouettes(cells([1, 2], [0, 0], ["a", "a"])) == {}


def test_at_most_so_many_cells_of_each_class():
    labels = np.repeat([-1, 0, 5], [50, 100, 3])
    at = choose_cells(labels, np.random.default_rng(0))
    assert (labels[at] == 0).sum() == CELLS
    assert (labels[at] == 5).sum() == 3
    assert len(set(at)) == len(at) == CELLS + 3


def test_two_runs_are_measured_at_the_same_cells(tiny_dataset, tmp_path):
    torch.manual_seed(0)
    one = put_network(run_of(tmp_path, "with"), holdout("Case1", "Case2"))
    two = put_network(run_of(tmp_path, "without"), holdout("Case1", "Case2"), "clr=false")
    found = [sample_features(run, tiny_dataset) for run in (one, two)]
    assert np.array_equal(found[0].classes, found[1].classes)
    assert found[0].features.shape == found[1].features.shape
    assert found[0].features.shape[1] == 24  # three taps of eight channels, no convolution of CLR
    assert found[0].features.mean(axis=0) == pytest.approx(0, abs=1e-9)
    assert not np.allclose(found[0].features, found[1].features)
    assert load_network(one.path)[0].fuse is not None
    assert load_network(two.path)[0].fuse is None


def test_the_tables_of_two_runs(tiny_dataset, tmp_path, monkeypatch):
    pytest.importorskip("sklearn")
    monkeypatch.setattr(embeddings, "TSNE_CELLS", 60)
    cases = [f"Case{k}" for k in range(1, 9)]
    runs = [
        put_network(run_of(tmp_path, row), holdout(*cases), w)
        for row, w in (("a", "clr=true"), ("b", "clr=false"))
    ]
    path = separation(runs, tiny_dataset, tmp_path / "out")
    lines = read_csv(path, embeddings.COLUMNS)
    assert [x["row"] for x in lines] == ["a", "b"]
    assert all(x["low"] < x["between_to_within"] < x["high"] and -1 <= x["silhouette"] <= 1 for x in lines)
    rows = {row: row_scores(row, run_scores({})) for row in "ab"}
    (pair,) = read_csv(differences(rows, [("a", "b")], tmp_path / "out"), embeddings.DIFFERENCES)
    assert pair["difference"] == pytest.approx(lines[0]["silhouette"] - lines[1]["silhouette"], abs=1e-5)
    assert 0 <= pair["p"] <= 1
    points = read_csv(tmp_path / "out/embeddings_tsne.csv", ("x", "y", "id"))
    assert {x["row"] for x in points} == {"a", "b"}
    assert all(x["id"] > 0 for x in points)


def put_silhouettes(out, rows, cases=10):
    lines = [
        {"row": row, "fold": 0, "seed": 0, "case": f"c{k}", "silhouette": value}
        for row, value in rows.items()
        for k in range(cases)
    ]
    write_csv(out / "embeddings_cases.csv", embeddings.CASE_COLUMNS, lines)


def test_pairs_are_corrected_together_and_what_did_not_converge_has_no_p(tmp_path):
    """All ten cases differ in one direction: 2 of 2^10 ways to give them signs, twice that for two tests."""
    silhouettes_of = {"full": 0.3, "lafr": 0.2, "clr": 0.3, "baseline": 0.1, "rising": 0.4}
    put_silhouettes(tmp_path, silhouettes_of)
    rows = {n: row_scores(n, run_scores({}, converged=n != "rising")) for n in silhouettes_of}
    pairs = [("full", "lafr"), ("clr", "baseline"), ("rising", "baseline")]
    *tested, rising = read_csv(differences(rows, pairs, tmp_path), embeddings.DIFFERENCES)
    assert [line["p"] for line in tested] == pytest.approx([2 / 2**10] * 2, rel=1e-3)
    assert [line["p_holm"] for line in tested] == pytest.approx([4 / 2**10] * 2, rel=1e-3)
    assert rising["difference"] == pytest.approx(0.3)
    assert (rising["p"], rising["p_holm"], rising["low"]) == (None, None, None)
    assert rising["reason"] == "rising: not converged (1 of 1 runs)"


def test_too_few_cells_have_no_plane():
    assert tsne(cells([1, 2], [1, 2], ["a", "a"]), 0) == []


def test_bad_input(tiny_dataset, tmp_path):
    with pytest.raises(UsageError, match="no trained runs"):
        separation([], tiny_dataset, tmp_path)
    put_silhouettes(tmp_path, {"a": 0.5})
    with pytest.raises(UsageError, match="no run of other"):
        differences({"a": row_scores("a", run_scores({}))}, [("a", "other")], tmp_path)
