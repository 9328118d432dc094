"""What was predicted is what is scored: no case is missing, none is too many."""

import pytest

pytest.importorskip("torch")

from cafrnet.errors import InputError
from cafrnet.evaluation import evaluate
from cafrnet.experiments import score as stage
from cafrnet.experiments.layout import RunFolder
from cafrnet.experiments.reproduce import Options, reproduce
from cafrnet.experiments.score import check
from handmade import write_grey_model

from .small import ALL, Training, install, write_spines


@pytest.fixture(scope="module")
def spines(tmp_path_factory):
    return write_spines(tmp_path_factory.mktemp("spines") / "data", cases=3)


@pytest.fixture
def run(spines, tmp_path):
    """A run whose three cases are predicted."""
    run = RunFolder(tmp_path / "unet/fold0/seed0", "unet", 0, 0)
    write_grey_model(run.path, trained=ALL)
    stage.predict(run, spines, ["Case1", "Case2", "Case3"])
    return run


def test_each_prediction_is_scored(run, spines):
    check(evaluate(spines, run.predictions, slices=False), run)


def test_a_missing_prediction_is_an_error_that_names_run_and_case(run, spines):
    run.prediction("Case2").unlink()
    with pytest.raises(InputError, match=r"unet/fold0/seed0: no prediction for Case2; run it again"):
        check(evaluate(spines, run.predictions, slices=False), run)


def test_a_prediction_of_no_test_case_is_an_error_that_names_it(run, spines):
    run.prediction("Case3").rename(run.prediction("Case9"))
    run.prediction("Case2").rename(run.predictions / "other_seg.nii.gz")
    for case in ("Case2", "Case3"):
        run.prediction(case).write_bytes(run.prediction("Case1").read_bytes())
    with pytest.raises(InputError, match=r"no test case: .*Case9_seg\.nii\.gz, .*other_seg\.nii\.gz"):
        check(evaluate(spines, run.predictions, slices=False), run)


def test_a_prediction_that_can_not_be_scored_is_an_error_with_its_reason(run, spines):
    run.prediction("Case1").write_bytes(b"no image")
    with pytest.raises(InputError, match=r"unet/fold0/seed0: 1 cases could not be scored: Case1: "):
        check(evaluate(spines, run.predictions, slices=False), run)


def test_a_run_that_lost_a_prediction_is_not_finished(tmp_path, monkeypatch):
    """The way from the command: the run fails, has no score.json, and is in no table."""
    install(monkeypatch, Training())
    predict = stage.predict

    def lose_one(run, data, cases, threads=None, **more):
        seconds = predict(run, data, cases, threads, **more)
        run.prediction(cases[0]).unlink()
        return seconds

    monkeypatch.setattr(stage, "predict", lose_one)
    spines = write_spines(tmp_path / "spines")
    result = reproduce(
        ["table4"], spines, tmp_path / "r", options=Options(steps=20, folds=(0,), rows=("baseline",))
    )
    (outcome,) = result.outcomes
    assert outcome.status == "failed"
    assert "baseline/fold0/seed0: no prediction for Case" in outcome.message
    assert not (tmp_path / "r/runs/baseline/fold0/seed0/score.json").exists()
