"""Structure by structure, region by region: what a network has no output for has no number."""

import pytest

pytest.importorskip("torch")

from cafrnet.experiments.rows import TABLE3
from cafrnet.experiments.tables.regions import by_region, region_pairs
from cafrnet.experiments.tables.structures import by_structure
from cafrnet.experiments.tables.table import Nothing, Spread

from .small import row_scores, run_scores
from .test_tables import CASES, CONTEXT, even

L5, S, CANAL = 2, 1, 20
CANAL_WALL = "canal wall: error_rate"


def line(case, identity, status, dsc):
    return {"case": case, "id": identity, "status": status, "dsc": dsc}


def row(name, outputs, wrong, *lines):
    """A row in which every case has L5 (DSC 0.8) and a canal; ``wrong``: share of its wall."""
    own = [line(case, L5, "found", 0.8) for case in CASES]
    own += [
        line(case, CANAL, "found" if outputs > CANAL else "missed", 0.9 * (outputs > CANAL)) for case in CASES
    ]
    around = {CANAL_WALL: even(wrong), "canal wall: voxels": even(100), "L5: voxels": even(100)}
    around["L5: error_rate"] = {case: wrong + 0.01 * k for k, case in enumerate(CASES)}
    runs = run_scores(even(0.8), structures=[*own, *lines], **around)
    return row_scores(name, runs, outputs=outputs)


def structures(*rows):
    return by_structure(TABLE3, {r.name: r for r in rows}, CONTEXT)


def of(table, structure):
    return next(line for line in table.rows if line["structure"] == structure)


def test_a_structure_without_an_output_has_no_score():
    table = structures(row("unet", 20, 0.5), row("cafr_net", 22, 0.1))
    canal = of(table, "spinal canal")
    assert canal["unet"] == Nothing("no output")
    assert canal["cafr_net"].mean == pytest.approx(0.9)
    assert of(table, "L5")["unet"].mean == pytest.approx(0.8)
    assert "no output" in table.caption


def test_what_no_truth_holds_has_no_score_even_where_a_row_invents_it():
    invents = row("unet", 20, 0.5, *(line(case, S, "invented", 0.0) for case in CASES[:3]))
    table = structures(invents, row("cafr_net", 20, 0.5))
    sacrum = of(table, "S")
    assert (sacrum["group"], sacrum["in_truth"]) == ("in no truth", 0)
    assert sacrum["unet"] == sacrum["cafr_net"] == Nothing("in no truth")
    assert "unet: invents S, which no truth holds, in 3 cases." in table.notes


def test_an_invention_counts_zero_where_another_case_holds_it():
    one = row("unet", 20, 0.5, line(CASES[0], S, "found", 0.6), line(CASES[1], S, "invented", 0.0))
    table = structures(one)
    assert of(table, "S")["unet"].mean == pytest.approx(0.3)
    assert not [note for note in table.notes if "invents" in note]


def test_a_region_without_an_output_has_no_number_and_is_in_no_test():
    rows = [row("unet", 20, 0.5), row("nnunet", 22, 0.4), row("cafr_net", 22, 0.1)]
    scores = {r.name: r for r in rows}
    lines = {(x["region"], x["method"]): x for x in by_region(TABLE3, scores, CONTEXT).rows}
    assert lines["canal wall", "U-Net"]["error_rate"] == Nothing("no output")
    assert lines["canal wall", "CAFR-Net"]["error_rate"] == Spread(pytest.approx(0.1), 0, 10, 10)
    assert lines["S", "U-Net"]["error_rate"] == Nothing("no case has it")
    table = region_pairs(TABLE3, scores, CONTEXT)
    tested = {x["method"]: x for x in table.rows if x["metric"] == CANAL_WALL}
    assert set(tested) == {"nnU-Net (network)"}
    assert tested["nnU-Net (network)"]["p_holm"] == pytest.approx(2 / 2**10)  # a family of one
    assert {x["method"] for x in table.rows if x["metric"] == "L5: error_rate"} == {
        "U-Net",
        "nnU-Net (network)",
    }
    assert "canal wall: not tested for unet: no output for it." in table.notes


def test_a_reference_without_the_output_is_tested_against_nobody():
    scores = {r.name: r for r in (row("unet", 22, 0.5), row("cafr_net", 20, 0.5))}
    table = region_pairs(TABLE3, scores, CONTEXT)
    assert not [x for x in table.rows if x["metric"].startswith("canal")]


def test_unknown_outputs_are_not_denied():
    outside = row_scores("unet", run_scores(even(0.8)))
    assert outside.draws(CANAL)
