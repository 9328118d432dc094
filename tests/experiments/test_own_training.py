"""A row whose recipe asks for another protocol is no equal comparison, and says so."""

import csv
import json

import pytest

pytest.importorskip("torch")

from cafrnet.experiments.own_training import differences, own_training
from cafrnet.experiments.pairs import against
from cafrnet.experiments.reproduce import Options, reproduce
from cafrnet.experiments.rows import TABLE3, TABLE4, Row
from cafrnet.experiments.tables.comparison import comparison
from cafrnet.experiments.tables.table import Nothing
from cafrnet.learning.recipes import load_recipe

from .small import Training, install, row_scores, run_scores, write_spines
from .test_tables import CONTEXT, even

PLUS = Row("cafr_net_plus", "cafr_net_plus", "cafr_net_plus")
#: By the two files; all rows of a reproduction share epochs, batch, patience and selection.
PLUS_HAS = ("classes", "preprocessing", "augmentation", "optimiser", "weight decay", "ema")
SHARED = ["training.epochs=10", "training.steps_per_epoch=50", "training.patience=0", "training.select=best"]
SHARED += ["training.validate_every=1", "training.lr=5e-4", "training.clip=1", "training.warmup_steps=25"]


def shared(name, *words):
    return load_recipe(name, [*SHARED, *words])


def test_cafr_net_plus_by_its_file():
    assert differences(shared("cafr_net_plus"), shared("cafr_net")) == PLUS_HAS


def test_network_and_switch_of_clr_are_no_difference():
    full = shared("cafr_net")
    assert differences(shared("unet"), full) == ()
    assert differences(shared("cafr_net", "lafr=ungated", "clr=false"), full) == ()
    assert differences(shared("cafr_net", "training.workers=3"), full) == ()


def test_settings_of_clr_are_one_where_both_have_it():
    full, cold = shared("cafr_net"), shared("cafr_net", "clr.temperature=0.1")
    assert differences(cold, full) == ("clr",)
    assert differences(cold, shared("unet")) == ()
    assert differences(shared("cafr_net", "loss.clr=0.3"), full) == ("loss",)
    assert differences(shared("cafr_net", "loss.dice=1"), shared("unet")) == ("loss",)


def test_rows_of_the_tables_have_none_and_other_recipes_are_held_against_any_of_them():
    recipes = {row.name: shared(row.recipe, *row.changes) for row in (*TABLE3, *TABLE4)}
    recipes |= {"cafr_net_plus": shared("cafr_net_plus"), "changed": shared("cafr_net", "loss.dice=1")}
    assert {own_training(row, recipes) for row in (*TABLE3, *TABLE4)} == {()}
    assert own_training(PLUS, recipes) == PLUS_HAS
    assert own_training(Row("changed", "changed", "cafr_net", ("loss.dice=1",)), recipes) == ()
    assert own_training(PLUS, {name: recipes[name] for name in ("unet", "cafr_net_plus")}) == PLUS_HAS
    assert own_training(PLUS, {"cafr_net_plus": recipes["cafr_net_plus"]}) == ()


def test_it_has_an_interval_but_no_p_and_no_place_in_holms_family():
    full, unet = row_scores("cafr_net", run_scores(even(0.9))), row_scores("unet", run_scores(even(0.8)))
    plus = row_scores("plus", run_scores(even(0.7)), own=("classes", "ema"), outputs=22)
    found = against(full, [unet, plus], "dsc")
    assert found["unet"].p_holm == pytest.approx(2 / 2**10)
    assert (found["plus"].p, found["plus"].p_holm, found["plus"].effect) == (None, None, None)
    assert found["plus"].reason == "own training"
    assert found["plus"].interval.low == pytest.approx(0.2)
    rows = [*TABLE3, Row("plus", "plus", "plus")]
    table = comparison(rows, {r.name: r for r in (full, unet, plus)}, {}, CONTEXT, "here")
    line = table.rows[-1]
    assert (line["training"], line["outputs"]) == ("own: classes, ema", 22)
    assert line["p_holm"] == Nothing("own training")
    assert table.rows[0]["training"] == "as all rows"
    assert any("plus: own training (classes, ema), so no p-value" in note for note in table.notes)


def test_doubt_about_its_end_comes_first():
    full = row_scores("cafr_net", run_scores(even(0.9)))
    rising = row_scores("plus", run_scores(even(0.7), converged=False), own=("ema",))
    found = against(full, [rising], "dsc")["plus"]
    assert found.reason == "not converged (1 of 1 runs)"
    assert found.interval.low is None


def test_a_recipe_file_as_a_row(tmp_path, monkeypatch, no_measuring):
    install(monkeypatch, Training({"attention_unet": (6,)}))
    recipe = tmp_path / "mine.yaml"
    recipe.write_text("extends: attention_unet\nnum_classes: 22\ntraining:\n  optimiser: adamw\n")
    options = Options(steps=100, rows=("unet", "cafr_net", str(recipe)))
    spines = write_spines(tmp_path / "spines")
    assert reproduce(["table3"], spines, tmp_path / "r", options=options).complete
    with (tmp_path / "r/tables/table3.csv").open(newline="") as file:
        unet, full, mine = csv.DictReader(file)
    assert mine["training"] == "own: classes, optimiser"
    assert (mine["outputs"], full["outputs"], unet["outputs"]) == ("22", "20", "20")
    assert (mine["p_holm"], mine["p_holm_note"]) == ("", "own training")
    assert float(mine["difference"]) > 0
    assert float(mine["difference_low"]) > 0
    assert unet["p_holm_note"] == "no case differs"
    assert json.loads((tmp_path / "r/manifest.json").read_text())["rows"]["mine"]["recipe"] == str(recipe)
