"""Finding less is no merit: verdicts about what is measured over structures found."""

import pytest

pytest.importorskip("torch")

from cafrnet.experiments.pairs import missed
from cafrnet.experiments.rows import TABLE4
from cafrnet.experiments.tables.ablation import ablation
from cafrnet.experiments.tables.claims import JUNCTION, claims
from cafrnet.experiments.tables.comparison import all_pairs
from cafrnet.experiments.tables.interaction import interaction
from cafrnet.experiments.tables.table import Nothing

from .small import row_scores, run_scores
from .test_tables import CASES, CONTEXT, even


def row(name, dsc, rate, *, junction=1.0, false=0.2, pieces=1.0, **more):
    metrics = {
        JUNCTION: junction,
        "over_segmentation": false,
        "extra_components": pieces,
        "missed_rate": rate,
    }
    return row_scores(name, run_scores(even(dsc), **{m: even(v) for m, v in {**metrics, **more}.items()}))


def verdicts(*rows):
    table = claims({r.name: r for r in rows}, CONTEXT)
    return {line["number"]: line for line in table.rows if line["second"] in ("transunet", "baseline")}


def test_a_model_that_finds_nothing_is_not_better_in_less():
    """DSC 0.1 and 85 % missed, with few false positives and pieces, against 0.7 and 2 %."""
    nothing = row("cafr_net", 0.1, 0.85, junction=0.5, false=0.01, pieces=0.0)
    found = verdicts(nothing, row("transunet", 0.7, 0.02))
    for number in (47, 50, 51):
        why = "is not decided: the first has less of it and misses more (85.0 % against 2.0 %)"
        assert found[number]["verdict"] == why
        assert found[number]["p_holm"] == pytest.approx(2 / 2**10)
        assert (found[number]["missed_first"], found[number]["missed_second"]) == pytest.approx((0.85, 0.02))
    assert found[4]["verdict"] == "fails"


def test_nor_does_a_claim_fail_against_one_that_finds_less():
    found = verdicts(row("cafr_net", 0.7, 0.02), row("transunet", 0.1, 0.85, false=0.01))
    assert found[50]["verdict"].startswith("is not decided: the second has less of it and misses more")
    assert found[51]["verdict"] == "is not decided: no case differs"


def test_who_finds_at_least_as_many_may_be_better():
    better = {"junction": 0.5, "false": 0.1, "pieces": 0.0}
    found = verdicts(row("cafr_net", 0.7, 0.02, **better), row("transunet", 0.7, 0.02))
    assert [found[n]["verdict"] for n in (47, 50, 51)] == ["holds"] * 3
    found = verdicts(row("cafr_net", 0.7, 0.05), row("transunet", 0.7, 0.02, **{**better, "pieces": 2.0}))
    assert [found[n]["verdict"] for n in (47, 50)] == ["fails"] * 2


def test_without_a_rate_of_missed_structures_less_is_not_decided():
    found = verdicts(row("cafr_net", 0.7, None, false=0.1), row("transunet", 0.7, 0.02))
    assert found[50]["verdict"] == "is not decided: what the rows miss is unknown"
    assert found[50]["missed_first"] == Nothing("unknown")


def test_the_tests_of_one_claim_are_one_family():
    """55 has two tests against the baseline: the p of ten equal signs, 2 / 2^10, is doubled by Holm."""
    rows = [row(n, v, 0.0) for n, v in (("baseline", 0.6), ("lafr_only", 0.7), ("clr_only", 0.7))]
    table = claims({r.name: r for r in rows}, CONTEXT)
    assert [x["p_holm"] for x in table.rows if x["number"] == 55] == pytest.approx([2 * 2 / 2**10] * 2)
    assert [x["p_holm"] for x in table.rows if x["number"] == 46] == [Nothing("no common case")]


def test_missed_is_over_the_cases_that_all_rows_have():
    one = row_scores("a", run_scores(even(0.5), missed_rate={c: float(c == "case0") for c in CASES}))
    other = row_scores("b", run_scores(even(0.5, CASES[:2]), missed_rate=even(0.25)))
    assert missed([one, other]) == [0.5, 0.25]


def four(rates):
    """Two seeds each; the distances of the full model are 2 mm less than the sum of the parts'."""
    hd = {"baseline": 10.0, "lafr_only": 9.0, "clr_only": 9.0, "cafr_net": 6.0}
    found = {}
    for name, rate in zip(hd, rates, strict=True):
        metrics = {m: even(hd[name]) for m in ("hd95_mm", "hd95_penalised_mm")}
        runs = [run_scores(even(0.7), seed=seed, missed_rate=even(rate), **metrics) for seed in (0, 1)]
        found[name] = row_scores(name, *runs)
    return found


def test_an_interaction_of_distances_is_no_claim_where_rows_miss_more_or_less():
    lines = {x["metric"]: x for x in interaction(TABLE4, four((0.7, 0.3, 0.7, 0.3)), CONTEXT).rows}
    why = "no claim: it is over structures found, and the rows miss 30.0 to 70.0 %"
    assert lines["hd95_mm"]["verdict"] == why
    assert lines["hd95_mm"]["interaction"].value == pytest.approx(-2)
    assert lines["hd95_penalised_mm"]["verdict"] == "synergy: more than the sum"
    assert {x["cases"] for m, x in lines.items() if m in ("dsc", "hd95_mm")} == {10}
    assert lines["iou"]["cases"] == 0
    equal = {x["metric"]: x for x in interaction(TABLE4, four((0.3,) * 4), CONTEXT).rows}
    assert equal["hd95_mm"]["verdict"] == "synergy: more than the sum"


def test_tables_of_distances_say_what_is_missed():
    scores = four((0.7, 0.3, 0.7, 0.3))
    baseline, *_, full = ablation(TABLE4, scores, CONTEXT).rows
    assert (baseline["missed"].mean, full["missed"].mean) == pytest.approx((0.7, 0.3))
    assert baseline["cases"] == 10
    pairs = all_pairs(TABLE4, scores, CONTEXT).rows
    pairs = [x for x in pairs if x["method"] == "Baseline"]
    assert [x["missed"] for x in pairs] == pytest.approx([-0.4] * 6)
