"""Tables from scores made by hand."""

import csv
import io

import numpy as np
import pytest

pytest.importorskip("torch")

from cafrnet.experiments.cost import Cost
from cafrnet.experiments.factors import FACTORS
from cafrnet.experiments.pairs import against, seed_noise
from cafrnet.experiments.rows import TABLE3, TABLE4
from cafrnet.experiments.tables.ablation import ablation
from cafrnet.experiments.tables.claims import CLAIMS, claims
from cafrnet.experiments.tables.comparison import all_pairs, comparison
from cafrnet.experiments.tables.context import Context
from cafrnet.experiments.tables.interaction import interaction, verdict
from cafrnet.experiments.tables.sensitivity import sensitivity, stable
from cafrnet.experiments.tables.table import (
    Column,
    Nothing,
    Ranged,
    Spread,
    Table,
    spread,
    to_csv,
    to_latex,
    to_markdown,
)

from .small import row_scores, run_scores

CONTEXT = Context("hand", "d" * 64, 10, (0, 1), 5, 2000, 16, (0, 1), "small", "s" * 64, ("lr=1",), "2 of 9")
CASES = [f"case{k}" for k in range(10)]


def even(value, cases=CASES):
    return dict.fromkeys(cases, value)


def drawn():
    return Table(
        "t",
        "A & B",
        "In %.",
        (Column("name", "name"), Column("dsc", "DSC (%)", 1, 100.0), Column("d", "diff", 2)),
        (
            {"name": "x|y", "dsc": Spread(0.5, 0.25, 8, 10), "d": Ranged(-1.0, -2.0, 0.5)},
            {"name": "p<q", "dsc": Nothing("not run"), "d": 2.0},
        ),
        ("note_1",),
    )


def test_csv_keeps_numbers_apart_from_reasons():
    rows = list(csv.DictReader(io.StringIO(to_csv(drawn()))))
    assert rows[0] == {
        **{"name": "x|y", "dsc": "50", "dsc_sd": "25", "dsc_n": "8", "dsc_note": ""},
        **{"d": "-1", "d_low": "-2", "d_high": "0.5"},
    }
    assert (rows[1]["dsc"], rows[1]["dsc_note"], rows[1]["d"]) == ("", "not run", "2")


def test_markdown_and_latex_escape_and_say_how_many():
    text = to_markdown(drawn())
    assert "| x\\|y | 50.0 ± 25.0 (8 of 10) | -1.00 [-2.00, 0.50] |" in text
    assert text.endswith("- note_1\n")
    latex = to_latex(drawn())
    assert r"\caption{A \& B. In \%. note\_1}" in latex
    assert r"p\textless{}q & not run & 2.00 \\" in latex
    assert r"$\pm$" in latex


def test_a_p_value_is_never_printed_as_zero():
    values = (2.6e-8, 0.0, 0.00009, 0.0001, 0.04166, 1)
    for digits in (3, 4):  # a probe's CSV file becomes a table with three digits
        columns = (Column("p", "p", digits), Column("p_holm", "p (Holm)", digits), Column("rise", "rise", 3))
        rows = tuple({"p": value, "p_holm": value, "rise": value} for value in values)
        table = Table("t", "T", "", columns, rows)
        shown = ["<0.0001", "<0.0001", "<0.0001", "0.0001", "0.0417", "1.0000"]
        assert [line[0] for line in table.texts()] == [line[1] for line in table.texts()] == shown
        assert table.texts()[0][2] == "0.000"
        assert to_csv(table).splitlines()[1] == "2.6e-08,2.6e-08,2.6e-08"
    assert r"\textless{}0.0001" in to_latex(table)


def test_spread_is_that_of_a_sample():
    assert spread([1.0, 3.0]) == Spread(2.0, 2**0.5, 2)
    assert spread([1.0]) == Spread(1.0, None, 1)
    assert spread([], nothing="none") == Nothing("none")


def test_every_caption_names_data_folds_steps_and_seeds():
    text = CONTEXT.caption()
    for words in ("hand (10 cases, hash dddddddd)", "fold 0, 1 of 5", "2000 steps of 16", "seed 0, 1"):
        assert words in text
    assert "with lr=1" in text
    assert "PARTIAL: 2 of 9" in text


def test_seeds_are_averaged_per_case_before_a_test():
    """Seed 0 is better by 2, seed 1 worse by 1: the mean is better by one half in each case."""
    one = row_scores("a", run_scores(even(0.7)), run_scores(even(0.4), seed=1))
    other = row_scores("b", run_scores(even(0.5)), run_scores(even(0.5), seed=1))
    found = against(one, [other], "dsc")["b"]
    assert found.mean_difference == pytest.approx(0.05)
    assert found.pairs == 10
    assert found.p == pytest.approx(2 / 2**10, rel=1e-3)
    assert found.effect == 1


def test_holm_counts_only_what_was_tested():
    full = row_scores("full", run_scores(even(0.9)))
    good = row_scores("good", run_scores(even(0.8)))
    rising = row_scores("rising", run_scores(even(0.7), converged=False))
    found = against(full, [good, rising], "dsc")
    assert found["good"].p_holm == found["good"].p
    assert found["rising"].p is None
    assert found["rising"].interval.low is None
    assert found["rising"].reason == "not converged (1 of 1 runs)"
    assert found["rising"].mean_difference == pytest.approx(0.2)


def test_no_test_where_the_reference_did_not_converge_or_cases_are_few():
    rising = row_scores("r", run_scores(even(0.9), converged=False))
    other = row_scores("o", run_scores(even(0.8)))
    assert against(rising, [other], "dsc")["o"].reason == "r: not converged (1 of 1 runs)"
    few = row_scores("f", run_scores(even(0.9, CASES[:7])))
    assert against(few, [other], "dsc")["o"].reason == "too few cases"
    apart = row_scores("x", run_scores({"other": 0.5}))
    assert against(apart, [other], "dsc")["o"].reason == "no common case"


def test_seed_noise_by_hand():
    """Means 0.4 and 0.6: variance 0.02. Means 0.5, 0.5, 0.8: 0.03. Pooled (0.02 + 0.06) / 3."""
    a = row_scores("a", run_scores(even(0.4)), run_scores(even(0.6), seed=1))
    b = row_scores("b", *(run_scores(even(v), seed=k) for k, v in enumerate((0.5, 0.5, 0.8))))
    assert seed_noise([a], "dsc") == pytest.approx(0.02**0.5)
    assert seed_noise([a, b], "dsc") == pytest.approx((0.08 / 3) ** 0.5)
    assert seed_noise([row_scores("c", run_scores(even(0.5)))], "dsc") is None


def four(full, lafr, clr, baseline, seeds=1, spread_of_seeds=0.0, **more):
    """Return the rows of Table 4 whose cases all score the same, with seeds around it."""
    values = {"baseline": baseline, "lafr_only": lafr, "clr_only": clr, "cafr_net": full}
    around = np.linspace(-spread_of_seeds, spread_of_seeds, seeds) if seeds > 1 else [0.0]
    return {
        name: row_scores(name, *(run_scores(even(v + s), seed=k, **more) for k, s in enumerate(around)))
        for name, v in values.items()
    }


def line(scores, metric="dsc"):
    table = interaction(TABLE4, scores, CONTEXT)
    return next(row for row in table.rows if row["metric"] == metric)


def test_interaction_by_hand():
    """+2 and +3 alone, +4 together: one less than the sum, as in the paper's own Table 4 (-0.59)."""
    found = line(four(0.84, 0.82, 0.83, 0.80, seeds=2))
    assert found["interaction"].value == pytest.approx(-0.01)
    assert (found["lafr"], found["clr"], found["both"]) == pytest.approx((0.02, 0.03, 0.04))
    assert found["verdict"] == "sub-additive: less than the sum"
    assert found["paper"] == pytest.approx(-0.0059)
    assert line(four(0.90, 0.82, 0.83, 0.80, seeds=2))["verdict"] == "synergy: more than the sum"


def test_an_interaction_under_seed_noise_is_called_that():
    """Two seeds at +-0.02: s = 0.0283, noise of the interaction 2 s / sqrt(2) = 0.04."""
    found = line(four(0.84, 0.82, 0.83, 0.80, seeds=2, spread_of_seeds=0.02))
    assert found["noise"] == pytest.approx(0.04)
    assert found["verdict"] == "smaller than seed noise"
    assert "one seed" in line(four(0.84, 0.82, 0.83, 0.80))["verdict"]
    rising = line(four(0.84, 0.82, 0.83, 0.80, converged=False))
    assert rising["verdict"] == "no claim: baseline: not converged (1 of 1 runs)"
    assert "interval holds 0" in line(four(0.85, 0.82, 0.83, 0.80, seeds=2))["verdict"]


def test_less_distance_is_a_gain():
    assert verdict(-0.5, -0.6, -0.4, 0.1, "hd95_mm", []).startswith("synergy")
    assert verdict(0.5, 0.4, 0.6, 0.1, "hd95_mm", []).startswith("sub-additive")


def test_an_interaction_without_all_rows_is_none():
    scores = four(0.84, 0.82, 0.83, 0.80)
    del scores["clr_only"]
    table = interaction(TABLE4, scores, CONTEXT)
    assert table.rows == ()
    assert "needs all four rows" in table.notes[-1]


def test_ablation_reads_differences_beside_seed_noise():
    """s = 0.0283; of a difference over two seeds: s sqrt(2 / 2) = 0.0283."""
    table = ablation(TABLE4, four(0.90, 0.88, 0.80, 0.80, seeds=2, spread_of_seeds=0.02), CONTEXT)
    baseline, lafr, _, full = table.rows
    assert baseline["noise"] == pytest.approx(0.02 * 2**0.5)
    assert baseline["reading"] == "larger than seed noise"
    assert lafr["reading"] == "smaller than seed noise"
    assert full["difference"] == "reference"
    assert "shared the machine with the other jobs" in table.caption  # time and memory compare no networks
    one = ablation(TABLE4, four(0.90, 0.88, 0.80, 0.80), CONTEXT).rows[0]
    assert one["noise"] == Nothing("one seed: unknown")


def test_table_3_marks_what_is_not_there():
    scores = {
        "cafr_net": row_scores("cafr_net", run_scores(even(0.9), hd_mm={"case0": 4.0})),
        "unet": row_scores("unet", run_scores(even(0.8, CASES[:9]), converged=None), planned=5),
    }
    costs = {"unet": Cost(7_760_000, 12.07)}
    table = comparison(TABLE3, scores, costs, CONTEXT, "here")
    unet, nnunet, *_, full = table.rows
    assert nnunet["dsc"] == Nothing("not run")
    assert unet["latency_ms"] == Nothing("not measured")
    assert unet["hd_mm"] == Nothing("nothing found")
    assert full["hd_mm"] == Spread(4.0, None, 1, 10)
    assert unet["p_holm"] == Nothing("convergence unknown")
    assert unet["converged"] == "convergence unknown"
    notes = " ".join(table.notes)
    assert "unet: 1 of 5 runs are finished" in notes
    assert "different numbers of cases" in notes
    assert {row["metric"] for row in all_pairs(TABLE3, scores, CONTEXT).rows} >= {"dsc", "iou", "hd95_mm"}


def test_rows_without_the_reference_are_not_compared():
    table = comparison(TABLE3, {"unet": row_scores("unet", run_scores(even(0.8)))}, {}, CONTEXT, "here")
    assert table.rows[0]["difference"] == Nothing("cafr_net not run")


def test_claims_hold_fail_or_are_not_decided():
    scores = {
        "cafr_net": row_scores("cafr_net", run_scores(even(0.85))),
        "unet": row_scores("unet", run_scores(even(0.80))),
        "swin_unet_paper": row_scores("swin_unet_paper", run_scores(even(0.90))),
        "transunet": row_scores("transunet", run_scores(even(0.80), converged=False)),
        "lafr_only": row_scores("lafr_only", run_scores(even(0.85))),
    }
    table = claims(scores, CONTEXT)
    better = {row["second"]: row for row in table.rows if row["number"] == 4}
    assert {name: row["verdict"] for name, row in better.items()} == {
        "unet": "holds",
        "swin_unet_paper": "fails",
        "transunet": "is not decided: not converged (1 of 1 runs)",
    }
    assert better["unet"]["p_holm"] == pytest.approx(2 * 2 / 2**10, rel=1e-3)  # of two that were tested
    assert better["unet"]["paper"] == pytest.approx(0.0673)
    (best,) = (row for row in table.rows if row["number"] == 58)
    assert best["verdict"] == "is not decided: no case differs"
    assert 55 not in {row["number"] for row in table.rows}  # its baseline was not run


def test_differences_of_the_claims_are_those_of_the_papers_tables():
    paper = {row.name: row.paper.dsc for row in (*TABLE3, *TABLE4)}
    for claim in CLAIMS:
        if claim.metric == "dsc" and claim.paper is not None:
            assert claim.paper == pytest.approx((paper[claim.first] - paper[claim.second]) / 100, abs=1e-9)


def test_stable_is_a_change_under_twice_the_seed_noise():
    assert stable(0.019, 0.01, "") == "yes"
    assert stable(-0.021, 0.01, "") == "no"
    assert stable(0.0, None, "") == Nothing("unknown: one seed")
    assert stable(0.0, 0.01, "not converged") == Nothing("no claim: not converged")


def test_sensitivity_by_hand():
    factor = next(f for f in FACTORS if f.name == "temperature")
    scores = {
        "cafr_net": row_scores("cafr_net", run_scores(even(0.80)), run_scores(even(0.82), seed=1)),
        "temperature-0": row_scores("x", run_scores(even(0.79)), run_scores(even(0.81), seed=1)),
        "temperature-1": row_scores("y", run_scores(even(0.70)), run_scores(even(0.72), seed=1)),
    }
    table = sensitivity([factor], None, scores, CONTEXT)
    full, low, high, missing = table.rows
    assert full["value"] == ""
    assert low["change"] == pytest.approx(-0.01)
    assert low["limit"] == pytest.approx(2 * 0.0002**0.5)
    assert (low["stable"], high["stable"]) == ("yes", "no")
    assert missing["dsc"] == Nothing("not run")
