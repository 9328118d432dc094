"""From a run folder to a table of robustness, with a model that needs no learning."""

from types import SimpleNamespace

import numpy as np
import pytest

from cafrnet.datasets import open_dataset
from cafrnet.errors import UsageError
from cafrnet.experiments.probes import robustness as probe
from cafrnet.experiments.probes.robustness import Plan, cut_truth, robustness
from cafrnet.experiments.probes.robustness_summary import NOTHING_LEFT, SUMMARY, summarise
from cafrnet.experiments.probes.tables import read_csv
from cafrnet.labels import UNKNOWN, ValueSets

from .folders import holdout, put_config, put_grey_model, put_stairs, run_of

pytest.importorskip("monai")
CUT_ROW = 36
PLAN = Plan(kinds=("noise", "bottom_cut"), levels=(1, 5))


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return put_stairs(tmp_path_factory.mktemp("stairs"))


@pytest.fixture
def run(tmp_path):
    return put_grey_model(run_of(tmp_path), holdout("Case1", "Case2"))


def test_noise_harms_a_model_of_grey_values_and_a_cut_does_not(run, data, tmp_path):
    summary = read_csv(robustness([run], data, tmp_path / "out", plan=PLAN, threads=1), SUMMARY)
    dsc = {(line["kind"], line["level"]): line["dsc"] for line in summary}
    assert dsc["none", 0] > 0.99
    assert dsc["bottom_cut", 5] == pytest.approx(dsc["none", 0], abs=0.02)  # by 24 rows: whole pixels
    assert dsc["noise", 5] < dsc["noise", 1] < dsc["none", 0]
    assert all(line["cases"] == 2 for line in summary)
    change = {(line["kind"], line["level"]): line["change"] for line in summary}
    assert change["noise", 5] == pytest.approx(dsc["noise", 5] - dsc["none", 0], abs=1e-5)


def test_every_model_sees_the_same_scans_and_a_second_call_predicts_nothing(run, data, tmp_path, monkeypatch):
    out = tmp_path / "out"
    other = put_grey_model(run_of(tmp_path, "twin"), holdout("Case1", "Case2"))
    robustness([run, other], data, out, plan=PLAN, threads=1)
    lines = read_csv(out / "robustness.csv", probe.COLUMNS)
    scores = {row: [x["dsc"] for x in lines if x["row"] == row] for row in ("cafr_net", "twin")}
    assert scores["cafr_net"] == scores["twin"]
    monkeypatch.setattr(probe, "load_model", None)
    robustness([run, other], data, out, plan=PLAN, threads=1)
    with pytest.raises(TypeError):  # another plan is not what is on disk
        robustness([run], data, out, plan=Plan(kinds=("noise",), levels=(1,)), threads=1)


@pytest.mark.slow
def test_two_at_a_time_give_the_same(run, data, tmp_path):
    other = put_grey_model(run_of(tmp_path, "twin"), holdout("Case1", "Case2"))
    alone = robustness([run, other], data, tmp_path / "one", plan=PLAN, threads=1)
    both = robustness([run, other], data, tmp_path / "two", plan=PLAN, workers=2)
    assert alone.read_bytes() == both.read_bytes()


def scored(case, dsc, clean=None, **more):
    """Return a row of one noisy scan; with ``kind="none"`` of a clean one."""
    row = {"row": "a", "fold": 0, "seed": 0, "case": case, "kind": "noise", "level": 1, "strength": 0.02}
    return {**row, "dsc": dsc, "clean_dsc": clean, "dsc_after_shift": 0.5, "levels_right": 1.0, **more}


def test_what_has_no_score_is_counted_beside_the_mean():
    rows = [
        scored("x", 0.5, 0.8),
        scored("y", None, 0.6, reason="broken"),
        scored("z", None, reason=NOTHING_LEFT),
    ]
    (line,) = summarise(rows, np.random.default_rng(0))
    assert (line["cases"], line["dsc"], line["clean_dsc"]) == (1, 0.5, 0.8)
    assert (line["failed"], line["nothing_left"]) == (1, 1)
    assert line["change"] == pytest.approx(-0.3)  # of the case that has both
    assert line["reason"] == "too few cases"


def test_seeds_of_a_case_are_averaged():
    rows = [scored("x", d, d, kind="none", level=0, seed=s) for s, d in ((0, 0.4), (1, 0.8))]
    (line,) = summarise(rows, np.random.default_rng(0))
    assert (line["cases"], line["dsc"]) == (1, pytest.approx(0.6))


def spill(data, monkeypatch, *, worse=()):
    """Score a network that is one row too high, on the whole scan and on one cut at ``CUT_ROW``.

    Ids in ``worse`` it never finds.
    """
    case = open_dataset(data).by_id["Case1"]
    scan = case.read()
    sagittal = scan.frame.to_sagittal(case.read_truth(scan))
    high = np.roll(sagittal, -1, axis=1)
    high[np.isin(high, worse)] = 0

    def cut(*_):
        return SimpleNamespace(rows=CUT_ROW), slice(0, CUT_ROW)

    def predict(left, _):
        shown = high[:, : getattr(left, "rows", None)]
        return SimpleNamespace(labels=scan.frame.to_array(shown))

    monkeypatch.setattr(probe, "degrade", cut)
    monkeypatch.setattr(probe, "segment_scan", predict)
    return list(probe.degraded_scores(case, None, Plan(kinds=("bottom_cut",), levels=(1,))))


def test_an_outline_that_is_a_row_off_invents_no_structure_beside_a_cut(data, monkeypatch):
    """Structures are four rows high; each overlaps its shifted self in three of them: DSC 0.75.

    L5 has rows 35 to 38, so the cut leaves one of them, unknown in the truth. Its prediction begins at row
    34, which is the disc above in the truth.
    """
    clean, cut = spill(data, monkeypatch)
    assert clean["dsc"] == pytest.approx(0.75)
    assert cut["dsc"] == pytest.approx(0.75)
    assert cut["clean_dsc"] == pytest.approx(0.75)


def test_a_change_is_of_the_structures_that_are_left(data, monkeypatch):
    """Of eleven structures S, L5/S and L5 leave the field of view; the network never finds these three."""
    clean, cut = spill(data, monkeypatch, worse=(1, 11, 2))
    assert clean["dsc"] == pytest.approx(8 / 11 * 0.75)
    assert cut["dsc"] == cut["clean_dsc"] == pytest.approx(0.75)
    (_, line) = summarise([{"row": "a", "seed": 0, **r} for r in (clean, cut)], np.random.default_rng(0))
    assert line["change"] == pytest.approx(0)


def test_what_a_cut_halves_is_no_question_any_more(data):
    case = open_dataset(data).by_id["Case1"]
    scan = case.read()
    truth = case.read_truth(scan)
    # rows of L5 (id 2): 3 + 4 * 8 = 35 to 38; of the disc below (id 11): 39 to 42
    left, cut = cut_truth(truth, case.sets, scan.frame, slice(0, 36))
    kept = scan.frame.to_sagittal(left)
    assert cut == {1, 11, 2}  # S and the disc below L5 are gone
    assert kept.shape[1] == 36
    assert not (kept == 2).any()  # one row of four is left
    assert (kept[:, 35] == UNKNOWN).any()
    assert (kept == 12).any()
    left, cut = cut_truth(truth, case.sets, scan.frame, slice(0, 37))
    half = scan.frame.to_sagittal(left)
    assert cut == {1, 11}
    assert (half == 2).any()  # two of four: half is enough


def test_background_is_never_made_unknown():
    truth = np.zeros((2, 4, 4), np.uint8)

    class Frame:
        to_sagittal = staticmethod(lambda a: a)
        to_array = staticmethod(lambda a: a)

    left, cut = cut_truth(truth, ValueSets.identity(), Frame(), slice(0, 1))
    assert not left.any()
    assert not cut


def test_runs_of_two_splits_are_not_compared(run, data, tmp_path):
    other = put_grey_model(run_of(tmp_path, "other"), holdout("Case1"))
    with pytest.raises(UsageError, match="different splits"):
        robustness([run, other], data, tmp_path / "out", plan=PLAN)


def test_wrong_plans_and_folders(data, tmp_path):
    with pytest.raises(UsageError, match="no trained runs"):
        robustness([], data, tmp_path)
    with pytest.raises(UsageError, match="strengths"):
        Plan(levels=(6,))
    with pytest.raises(UsageError, match="'blur'"):
        Plan(kinds=("blur",))
    empty = run_of(tmp_path, "empty")
    put_config(empty, holdout("Case1"))
    empty.config.write_text("nothing: here\n")
    with pytest.raises(UsageError, match="not a run folder"):
        robustness([empty], data, tmp_path)
