"""When a training was long enough, and what is said of one that was stopped."""

import json
from pathlib import Path

import pytest

pytest.importorskip("torch")

from cafrnet.experiments.convergence import doubt, ending, judge
from cafrnet.experiments.layout import Folder
from cafrnet.experiments.pairs import against
from cafrnet.experiments.rows import TABLE3
from cafrnet.experiments.tables.comparison import comparison
from cafrnet.experiments.tables.table import Nothing
from cafrnet.learning.training.callbacks import read_journal

from .small import row_scores, run_scores
from .test_tables import CASES, CONTEXT, even

RESULTS = Path(__file__).parents[2] / "docs/results"


def curve(*dice):
    return [{"step": str(100 * (k + 1)), "val_dice": str(d)} for k, d in enumerate(dice)]


def test_still_rising_by_more_than_a_point_over_the_last_tenth_is_not_converged():
    flat, last = [0.70] * 18, (0.705, 0.709)
    assert judge(curve(*flat, *last)).converged is True
    found = judge(curve(*flat, 0.705, 0.711))
    assert found.converged is False
    assert found.rise == pytest.approx(0.011)
    assert "1.1 points" in found.reason
    assert [step for step, _ in found.curve] == [1800, 1900, 2000]


def test_a_rise_back_to_an_early_peak_is_a_rise():
    """The best Dice is that of step 600 all along; the last tenth brings 15 points nevertheless."""
    found = judge(curve(*[0.6] * 5, 0.8, *[0.6] * 12, 0.7, 0.75))
    assert found.converged is False
    assert found.rise == pytest.approx(0.15)


def test_a_new_best_within_the_last_tenth_is_a_rise_even_if_the_end_falls():
    found = judge(curve(*[0.7] * 17, 0.7, 0.75, 0.69))
    assert found.converged is False
    assert found.rise == pytest.approx(0.05)


@pytest.mark.parametrize(("end", "converged"), [(0.71, True), (0.7101, False)])
def test_exactly_one_point_is_not_more_than_one(end, converged):
    assert end - 0.70 > 0.01  # in floats
    assert judge(curve(*[0.70] * 18, 0.70, end)).converged is converged


def test_few_validations_tell_nothing():
    found = judge([*curve(0.1, 0.5), {"step": "300", "val_dice": ""}])
    assert found.converged is None
    assert "2 validations are too few" in found.reason


def test_recorded_runs_are_judged_as_they_were():
    runs = [run for folder in RESULTS.iterdir() for run in Folder(folder).runs()]
    assert runs
    for run in runs:
        recorded = json.loads(run.fit.read_text())
        if not recorded.get("doubt"):
            assert judge(read_journal(run.journal)).converged is recorded["converged"], run.name


STOPPED = {"steps": 62 * 95, "planned_steps": 500 * 95}


def test_a_training_that_was_stopped_early_is_called_that_and_not_converged():
    """Ten epochs without a rise make its last tenth flat by construction, so that rule is not asked."""
    for flat in (True, False):
        row = row_scores("a", run_scores(even(0.8), fit=STOPPED, converged=flat), patience=10)
        assert row.doubt == ""
        assert row.ending == "stopped early at step 5890 of 47500"
        assert row.steps == "5890"
    other = row_scores("cafr_net", run_scores(even(0.9)))
    assert against(other, [row], "dsc")["a"].p_holm == pytest.approx(2 / 2**10)


def test_one_that_waited_for_less_is_in_doubt():
    for patience in (3, None):
        row = row_scores("a", run_scores(even(0.8), fit=STOPPED), patience=patience)
        assert row.doubt == "stopped early at step 5890 of 47500, before 10 epochs without a rise"
    few = row_scores("a", run_scores(even(0.8), fit=STOPPED, converged=None), patience=10)
    assert few.doubt == "convergence unknown"


def test_some_runs_stopped_some_not():
    fits = [{**STOPPED, "converged": True}, {"steps": 100, "planned_steps": 47500, "converged": True}]
    assert ending(fits) == "stopped early at step 100 to 5890 of 47500"
    fits.append({"steps": 47500, "planned_steps": 47500, "converged": False})
    assert ending(fits) == "stopped early (2 of 3 runs) at step 100 to 5890 of 47500"
    assert doubt(fits, 10) == "not converged (1 of 3 runs)"


def test_of_predictions_from_outside_nothing_is_known():
    full = row_scores("cafr_net", run_scores(even(0.9)))
    outside = row_scores("unet", run_scores(even(0.8)))
    for run in outside.runs:
        run.fit.clear()
    table = comparison(TABLE3, {r.name: r for r in (full, outside)}, {}, CONTEXT, "here")
    line = table.rows[0]
    assert line["converged"] == "not ours: convergence unknown"
    assert line["training"] == "not ours"
    assert line["outputs"] == Nothing("unknown")
    assert line["p_holm"] == Nothing("not ours: convergence unknown")
    assert line["difference"].value == pytest.approx(0.1)
    assert line["difference"].low is None


def test_steps_that_were_done_stand_in_the_table():
    runs = [run_scores(even(0.8, CASES[:5])), run_scores(even(0.8, CASES[5:]), fold=1, fit=STOPPED)]
    row = row_scores("unet", *runs, patience=10)
    line = comparison(TABLE3, {"unet": row}, {}, CONTEXT, "here").rows[0]
    assert line["steps"] == "500 to 5890"
    assert line["converged"] == "stopped early (1 of 2 runs) at step 5890 of 47500"


def test_a_seed_that_lacks_folds_is_left_out_and_named():
    """One fold of a second seed does not shrink five folds to one."""
    parts = [CASES[2 * k : 2 * k + 2] for k in range(5)]
    first = [run_scores(even(0.5, part), fold=k) for k, part in enumerate(parts)]
    row = row_scores("unet", *first, run_scores(even(0.9, parts[0]), seed=1), planned=10)
    assert (row.folds, row.seeds) == ((0, 1, 2, 3, 4), (0,))
    assert row.per_case("dsc") == pytest.approx(even(0.5))
    assert row.per_seed("dsc") == {0: pytest.approx(0.5)}
    notes = comparison(TABLE3, {"unet": row}, {}, CONTEXT, "here").notes
    assert "unet: seed 1 is left out, it lacks folds that others have." in notes


def test_two_seeds_without_a_common_fold():
    """The first seed stands, and what is doubtful about it is said."""
    runs = [
        run_scores(even(0.5, CASES[:5]), converged=False),
        run_scores(even(0.9, CASES[5:]), fold=1, seed=1),
    ]
    row = row_scores("a", *runs)
    assert (row.folds, row.seeds) == ((0,), (0,))
    assert row.doubt == "not converged (1 of 1 runs)"


def test_of_equally_long_seeds_those_stand_that_share_their_folds():
    runs = [run_scores(even(0.5, CASES[:5]), fold=k, seed=s) for s, k in enumerate((0, 1, 1))]
    assert row_scores("a", *runs).seeds == (1, 2)
