"""Figs 4 and 6: the rule finds what was planted, and nothing that lies elsewhere."""

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from cafrnet.datasets import open_dataset
from cafrnet.errors import InputError, UsageError
from cafrnet.evaluation.sets import annotated
from cafrnet.experiments.figures.disagreement import (
    REGIONS,
    choose,
    differences,
    largest_window,
    region_masks,
    window_of,
)
from cafrnet.experiments.figures.views import errors, find_predictions, read_view
from cafrnet.experiments.figures.zooms import zooms
from cafrnet.labels import ValueSets

from ..probes.folders import put_stairs, run_of
from .pictures import drawn_well


@given(arrays(np.int32, (2, 6, 5), elements=st.integers(0, 3)), st.integers(1, 6), st.integers(1, 5))
def test_the_largest_window_is_the_largest(count, height, width):
    s, r, c, total = largest_window(count, height, width)
    sums = {
        (k, i, j): int(count[k, i : i + height, j : j + width].sum())
        for k in range(2)
        for i in range(7 - height)
        for j in range(6 - width)
    }
    assert total == max(sums.values()) == sums[s, r, c]
    assert (s, r, c) == min(at for at, value in sums.items() if value == total)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return put_stairs(tmp_path_factory.mktemp("stairs"), 3)


def planted(data, root, row, *boxes, case="Case1"):
    """Save the truth as a prediction, with some sagittal boxes (index, id) changed."""
    source = open_dataset(data).by_id[case]
    scan = source.read()
    sagittal = scan.frame.to_sagittal(source.read_truth(scan)).copy()
    for index, identity in boxes:
        sagittal[index] = identity
    run = run_of(root, row)
    run.predictions.mkdir(parents=True, exist_ok=True)
    labels = np.ascontiguousarray(scan.frame.to_array(sagittal)).astype(np.uint8)
    nib.save(nib.Nifti1Image(labels, scan.affine), run.prediction(case))
    return run


# rows 35-38 and columns 12-19 are L5 (2); 60 mm are 30 pixels of 2 mm; the canal (20) lies in columns 24-25
IN_L5 = (2, slice(35, 37), slice(13, 17))
FAR = (0, slice(0, 2), slice(28, 32))
CANAL = (3, slice(2, 40), slice(24, 26))


def test_the_window_holds_the_planted_disagreement(data, tmp_path):
    same = planted(data, tmp_path, "a")
    other = planted(data, tmp_path, "b", (IN_L5, 3), (FAR, 3))
    case = open_dataset(data).by_id["Case1"]
    view = read_view(
        case, {"a": {"Case1": same.prediction("Case1")}, "b": {"Case1": other.prediction("Case1")}}
    )
    count = differences(view, "a")
    assert count[IN_L5].all()
    assert count.sum() == 8  # nothing far from every structure
    found = window_of(view, "a")
    assert (found.case, found.index, found.differences) == ("Case1", 2, 8)
    assert found.rows.stop - found.rows.start == found.columns.stop - found.columns.start == 30
    assert found.rows.start <= 35
    assert found.rows.stop >= 37
    assert view.wrong["b"][IN_L5].all()
    assert not view.wrong["a"].any()


def test_the_canal_is_not_compared(data, tmp_path):
    same, other = planted(data, tmp_path, "a"), planted(data, tmp_path, "b", (CANAL, 0))
    case = open_dataset(data).by_id["Case1"]
    view = read_view(case, {n: {"Case1": r.prediction("Case1")} for n, r in (("a", same), ("b", other))})
    assert not differences(view, "a").any()
    assert not view.wrong["b"].any()


def test_each_differing_model_counts(data, tmp_path):
    runs = {"a": planted(data, tmp_path, "a")}
    runs |= {n: planted(data, tmp_path, n, (IN_L5, i)) for n, i in (("b", 3), ("c", 0))}
    case = open_dataset(data).by_id["Case1"]
    view = read_view(case, {n: {"Case1": r.prediction("Case1")} for n, r in runs.items()})
    assert (differences(view, "a")[IN_L5] == 2).all()
    assert (differences(view, "b")[IN_L5] == 2).all()


def test_ignored_voxels_are_not_wrong():
    sets = ValueSets({0: (0, 1), 2: (2,)})
    truth, labels = np.array([[[0, 0, 2, 2]]], np.uint8), np.array([[[1, 2, 2, 0]]], np.uint8)
    assert errors(truth, labels, sets).tolist() == [[[False, True, False, True]]]


def test_regions_are_the_evaluator_s(data, tmp_path):
    run = planted(data, tmp_path, "a")
    case = open_dataset(data).by_id["Case1"]
    view = read_view(case, {"a": {"Case1": run.prediction("Case1")}})
    masks = region_masks(view, annotated(case.sets), None)
    assert set(masks) <= set(REGIONS)
    assert masks["low contrast"][2].any()
    assert masks["low contrast"].shape == view.truth.shape


def test_windows_come_from_different_cases_where_they_can(data, tmp_path):
    rows = {}
    for row in ("a", "b"):
        for k in (1, 2, 3):
            box = (2, slice(35, 35 + k), slice(13, 17))
            rows[row] = planted(data, tmp_path, row, *([(box, 3)] if row == "b" else []), case=f"Case{k}")
    predictions = find_predictions({row: [run] for row, run in rows.items()})
    views = [read_view(case, predictions) for case in open_dataset(data)]
    everywhere = np.ones(views[0].truth.shape, bool)
    pairs = [(v, {"low contrast": everywhere, "junction": everywhere}) for v in views]
    assert [(w.case, w.differences) for w in choose(pairs, "a", [], 2)] == [("Case3", 12), ("Case2", 8)]
    found = choose(pairs, "a", list(REGIONS), 3)
    assert [(w.region, w.case) for w in found] == [("low contrast", "Case3"), ("junction", "Case2")]


def test_the_figure_names_the_place_and_the_rule(data, tmp_path):
    rows = {"a": [planted(data, tmp_path, "a")], "b": [planted(data, tmp_path, "b", (IN_L5, 3))]}
    dataset, predictions = open_dataset(data), find_predictions(rows)
    drawn = zooms(dataset, predictions, tmp_path / "fig6.png", reference="a")
    drawn_well(drawn, "chosen by rule", "60 x 60 mm", "Case1, slice 3: 8")
    drawn = zooms(dataset, predictions, tmp_path / "fig4.png", reference="a", regions=True)
    drawn_well(drawn, "Case1, slice 3, low contrast")


def test_bad_input(data, tmp_path):
    one = planted(data, tmp_path, "a")
    dataset = open_dataset(data)
    with pytest.raises(UsageError, match="two or more"):
        zooms(dataset, find_predictions({"a": [one]}), tmp_path / "f.png", reference="a")
    same = planted(data, tmp_path, "b")
    with pytest.raises(UsageError, match="never differ"):
        zooms(dataset, find_predictions({"a": [one], "b": [same]}), tmp_path / "f.png", reference="a")
    with pytest.raises(InputError, match="none has no label maps"):
        find_predictions({"a": [one], "none": [run_of(tmp_path, "none")]})
    with pytest.raises(UsageError, match="no runs came"):
        find_predictions({})
    more = planted(data, tmp_path, "c", case="Case2")
    with pytest.raises(InputError, match=r"not tested on the same cases.*Case1, Case2"):
        find_predictions({"a": [one], "c": [more]})
    nib.save(nib.Nifti1Image(np.zeros((3, 3, 3), np.uint8), np.eye(4)), one.prediction("Case1"))
    with pytest.raises(InputError, match="its shape"):
        zooms(dataset, find_predictions({"a": [one], "b": [same]}), tmp_path / "f.png", reference="a")
