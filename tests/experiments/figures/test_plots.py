"""Sensitivity, robustness, learning curve, class counts, maps: drawn from tables, with what they must say."""

import pytest

from cafrnet.datasets import open_dataset
from cafrnet.errors import InputError, UsageError
from cafrnet.evaluation.tables import write_csv
from cafrnet.experiments.factors import FACTORS
from cafrnet.experiments.figures.classes import class_counts
from cafrnet.experiments.figures.learning_curve import learning_curve
from cafrnet.experiments.figures.maps import attention_pictures, embedding_plane
from cafrnet.experiments.figures.robustness import robustness_curves
from cafrnet.experiments.figures.sensitivity import Setting, sensitivity
from cafrnet.experiments.layout import Folder
from cafrnet.experiments.parts import draw_sensitivity
from cafrnet.experiments.probes import embeddings
from cafrnet.experiments.probes import learning_curve as curve
from cafrnet.experiments.probes import robustness_summary as robust
from cafrnet.experiments.tables.context import Context

from ..probes.folders import holdout, put_network, run_of
from ..small import row_scores, run_scores
from .pictures import drawn_well


def test_sensitivity_says_whether_noise_is_known(tmp_path):
    known = Setting("loss.clr", ("0", "0.1"), ((0.7, 0.72), (0.75, 0.74)), "0.1", 0.005)
    unknown = Setting("loss.ce", ("1", "2"), ((0.7,), (0.75,)), "1")
    drawn_well(sensitivity([known], tmp_path / "a.png"), "twice the standard deviation between seeds")
    drawn_well(sensitivity([known, unknown], tmp_path / "b.png"), "unknown (one seed)")
    with pytest.raises(UsageError, match="no settings"):
        sensitivity([], tmp_path / "c.png")
    with pytest.raises(UsageError, match="a default among them"):
        sensitivity([Setting("x", ("0",), ((0.7,),), "1")], tmp_path / "c.png")


def test_points_that_are_not_there_are_named(tmp_path):
    factor = next(f for f in FACTORS if f.name == "temperature")
    there = {"cafr_net": 0.8, "temperature-0": 0.7}
    scores = {n: row_scores(n, run_scores({"c": v}, converged=n == "cafr_net")) for n, v in there.items()}
    context = Context("hand", "d" * 64, 1, (0,), 5, 20, 16, (0,), "small", "s" * 64)
    (drawn,) = draw_sensitivity([factor], None, scores, Folder(tmp_path), context).figures
    assert drawn.caption.startswith(context.caption())
    drawn_well(drawn, "Not run: CLR temperature: 0.5; CLR temperature: 0.2.")
    drawn_well(drawn, "temperature-0: not converged (1 of 1 runs); no claim.")
    del scores["temperature-0"]
    assert not draw_sensitivity([factor], None, scores, Folder(tmp_path), context).figures


def test_robustness_tells_what_failed_from_what_had_nothing_left(tmp_path):
    path = tmp_path / "robustness_summary.csv"
    base = {"row": "a", "cases": 5, "dsc": 0.8, "dsc_after_shift": 0.8, "levels_right": 1.0}
    base |= {"failed": 0, "nothing_left": 0}
    lines = [{**base, "kind": "none", "level": 0, "strength": 0}]
    lines += [{**base, "kind": "noise", "level": k, "strength": k / 50, "failed": 1} for k in (1, 2)]
    lines += [{**base, "kind": "top_cut", "level": 5, "strength": 0.5, "clean_dsc": 0.9, "nothing_left": 1}]
    write_csv(path, robust.SUMMARY, lines)
    words = ("mean over 5 cases", "segmented: 2;", "left to score: 1.")
    drawn_well(robustness_curves(path, tmp_path / "a.png"), *words)
    with pytest.raises(UsageError, match="metric 'hd'"):
        robustness_curves(path, tmp_path / "a.png", metric="hd")
    write_csv(path, robust.SUMMARY, lines[:1])
    with pytest.raises(UsageError, match="holds no artefact"):
        robustness_curves(path, tmp_path / "a.png")
    with pytest.raises(InputError, match="can't be read"):
        robustness_curves(tmp_path / "none.csv", tmp_path / "a.png")


def test_learning_curve(tmp_path):
    path = tmp_path / "learning_curve.csv"
    lines = [
        {"row": "a", "train_cases": n, "cases": 6, "dsc": d, "low": d - 0.1, "high": d + 0.1}
        for n, d in ((3, 0.4), (12, 0.7))
    ]
    write_csv(path, curve.COLUMNS, [*lines, {"row": "b", "train_cases": 3, "cases": 6, "dsc": 0.5}])
    drawn_well(learning_curve(path, tmp_path / "a.png"), "Mean over 6 test cases", "same number of steps")
    write_csv(path, curve.COLUMNS, [])
    with pytest.raises(UsageError, match="no score"):
        learning_curve(path, tmp_path / "a.png")


def test_fig_2_counts_and_says_what_lies_below_the_mark(tiny_dataset, tmp_path):
    drawn = class_counts(open_dataset(tiny_dataset), tmp_path / "fig2.png")
    # seven structures in 24 slices each: five sevenths are 71 %, six sevenths 86 %
    drawn_well(drawn, "8 cases, 24 sagittal slices", "5 rarest of 7 structures stay below the mark at 80 %")


def test_attention_pictures(tiny_dataset, tmp_path):
    run = put_network(run_of(tmp_path), holdout("Case1", "Case2"))
    drawn_well(attention_pictures(run, tiny_dataset, tmp_path / "a.png", cases=1), "Eq. 6", "of cafr_net")


def test_embedding_plane(tmp_path):
    points, numbers = tmp_path / "p.csv", tmp_path / "n.csv"
    place = {"row": "a", "fold": 0, "seed": 0}
    columns = ("row", "fold", "seed", "case", "id", "x", "y")
    write_csv(points, columns, [{**place, "case": "c", "id": i, "x": i, "y": i} for i in (2, 3, 12)])
    write_csv(numbers, embeddings.COLUMNS, [{**place, "between_to_within": 2.0}])
    drawn_well(embedding_plane(points, numbers, tmp_path / "a.png"), "t-SNE", "mean nothing")
    write_csv(points, columns, [])
    with pytest.raises(UsageError, match="no point"):
        embedding_plane(points, numbers, tmp_path / "a.png")
