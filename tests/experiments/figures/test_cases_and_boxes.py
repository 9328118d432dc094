"""Fig 5's ranking and the box plots' sides, by hand."""

import pytest

from cafrnet.datasets import open_dataset
from cafrnet.errors import UsageError
from cafrnet.experiments.figures.boxes import Truth, class_scores, per_class_boxes, split_by_frequency
from cafrnet.experiments.figures.cases import best_to_worst, ranked_cases
from cafrnet.experiments.figures.views import find_predictions

from ..probes.folders import put_scores, put_stairs, run_of
from .pictures import drawn_well
from .test_disagreement import planted


def test_quartiles_of_nine_cases():
    scores = {f"c{k}": k / 10 for k in range(9)}
    assert ranked_cases(scores) == [
        ("best", "c8"),
        ("upper quartile", "c6"),
        ("median", "c4"),
        ("lower quartile", "c2"),
        ("worst", "c0"),
    ]


@pytest.mark.parametrize("n", [1, 2, 3, 4])
def test_few_cases_are_shown_once_each(n):
    found = ranked_cases({f"c{k}": float(k) for k in range(n)})
    assert [case for _, case in found] == [f"c{k}" for k in reversed(range(n))]
    assert found[0][0] == "best"
    assert n == 1 or found[-1][0] == "worst"


def test_fig_5(tmp_path):
    data = put_stairs(tmp_path / "data")
    rows = {}
    for row, dsc in (("a", 0.9), ("b", 0.5)):
        for case in ("Case1", "Case2"):
            run = planted(data, tmp_path, row, case=case)
        rows[row] = [put_scores(run, {"Case1": {2: dsc}, "Case2": {2: dsc - 0.1}})]
    predictions = find_predictions(rows)
    drawn = best_to_worst(open_dataset(data), rows, predictions, tmp_path / "fig5.png", reference="a")
    drawn_well(drawn, "DSC of a among 2 test cases: best Case1", "worst Case2")
    assert drawn.caption.endswith("the mean over its structures.")
    rows["b"].append(put_scores(run_of(tmp_path, "b", seed=1), {"Case1": {2: 0.7}, "Case2": {2: 0.6}}))
    drawn = best_to_worst(open_dataset(data), rows, predictions, tmp_path / "fig5.png", reference="a")
    drawn_well(drawn, "over the seeds, while the label map is that of the lowest seed alone")
    with pytest.raises(UsageError, match="no runs of c"):
        best_to_worst(open_dataset(data), rows, predictions, tmp_path / "f.png", reference="c")


def test_what_fewer_than_half_of_the_truths_hold_is_rare(tmp_path):
    """Of four truths, all hold L5 (2), which is found in one; one holds S (1), which is invented in three."""
    run = put_scores(run_of(tmp_path), {c: {12: 0.7} for c in "wxyz"})
    with run.cases.open("a") as file:
        file.write("w,2,found,0.9,1\n" + "".join(f"{c},2,missed,0,\n" for c in "xyz"))
        file.write("w,1,found,0.9,1\n" + "".join(f"{c},1,invented,0,\n" for c in "xyz"))
    truth = Truth.of([run.cases])
    assert [truth.count(i) for i in (1, 2, 12, 10)] == [1, 4, 4, 0]
    distances = {"a": class_scores([run.cases], "hd95_mm")}
    assert len(distances["a"][2]) == 1
    assert split_by_frequency(distances, truth) == ([2, 12], [1])
    overlaps = {"a": class_scores([run.cases], "dsc")}
    assert len(overlaps["a"][1]) == 4
    assert split_by_frequency(overlaps, truth) == ([2, 12], [1])


def test_seeds_are_averaged_and_canal_left_out(tmp_path):
    runs = [put_scores(run_of(tmp_path, seed=s), {"x": {2: d, 20: 1.0}}) for s, d in ((0, 0.4), (1, 0.6))]
    assert class_scores([r.cases for r in runs], "dsc") == {2: {"x": 0.5}}


def test_the_boxes(tmp_path):
    scores = {f"c{k}": {2: 0.8 + k / 100, 12: 0.7, **({10: 0.1} if k == 0 else {})} for k in range(4)}
    rows = {
        "a": [put_scores(run_of(tmp_path, "a"), scores)],
        "b": [put_scores(run_of(tmp_path, "b"), scores)],
    }
    drawn_well(per_class_boxes(rows, tmp_path / "b.png"), "over 4 test cases", "stand apart: T9.")
    drawn_well(per_class_boxes(rows, tmp_path / "h.png", metric="hd95_mm"), "hd95_mm per structure")
    with pytest.raises(UsageError, match="'dice'"):
        per_class_boxes(rows, tmp_path / "b.png", metric="dice")
    with pytest.raises(UsageError, match="no structure of any case"):
        per_class_boxes({"a": []}, tmp_path / "b.png")
