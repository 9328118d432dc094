import pytest

from cafrnet.errors import UsageError
from cafrnet.experiments.factors import FACTORS, WEIGHTS
from cafrnet.experiments.protocol import BUDGETS, budget, planned
from cafrnet.experiments.rows import TABLE3, TABLE4, TWO_SIZES, table3
from cafrnet.experiments.study import make_study, resolve
from cafrnet.learning.recipes import load_recipe

pytest.importorskip("torch")


def test_budgets_are_those_of_the_page():
    smoke, small, full = BUDGETS["smoke"], BUDGETS["small"], BUDGETS["full"]
    assert (smoke.steps, smoke.batch, smoke.sizes, smoke.points, smoke.seeds) == (4, 4, "paper", 2, (0,))
    assert (small.steps, small.batch, small.seeds, small.folds) == (2000, 16, (0,), (0, 1, 2, 3, 4))
    assert (full.epochs, full.steps_per_epoch, full.patience, full.seeds) == (500, 95, 10, (0, 1, 2))


@pytest.mark.parametrize("steps", [2, 10, 99, 100, 360, 500, 600, 1000, 2000, 47500])
def test_an_epoch_is_a_share_of_the_steps_and_none_is_lost(steps):
    found = budget("small", steps=steps)
    assert found.epochs * found.steps_per_epoch <= steps < (found.epochs + 1) * found.steps_per_epoch
    if steps % 10 == 0:
        assert found.epochs * found.steps_per_epoch == steps
    assert found.epochs >= 10 or steps < 100


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ({"name": "smal"}, "did you mean 'small'"),
        ({"name": "small", "steps": 0}, "at least 1"),
        ({"name": "small", "folds": (0, 5)}, "from 0 to 4"),
        ({"name": "small", "folds": (1, 1)}, "each once"),
        ({"name": "small", "seeds": ()}, "seeds"),
    ],
)
def test_budgets_that_make_no_sense(wanted, message):
    with pytest.raises(UsageError, match=message):
        budget(**wanted)


def test_captions_say_at_most_where_early_stopping_may_end_a_training():
    assert planned(2000, "small", ()) == "2000"
    assert planned(47500, "full", ("training.lr=1e-3", "training.patience_after=0.2")) == "at most 47500"
    assert planned(47500, "full", ("patience=0",)) == "47500"
    assert planned(2000, "small", ("training.patience=5",)) == "at most 2000"


def test_tables_of_the_paper():
    assert [r.paper.dsc for r in TABLE3] == [85.31, 88.04, 87.92, 89.37, 90.12, 90.65, 92.04]
    assert [r.paper.dsc for r in TABLE4] == [88.92, 90.43, 91.12, 92.04]
    assert len(table3("both")) == len(TABLE3) + len(TWO_SIZES)
    assert [r.name for r in table3("paper")][3:6] == [f"{n}_paper" for n in TWO_SIZES]
    for row in (*table3("both"), *TABLE4):
        load_recipe(row.recipe, row.changes)


@pytest.mark.parametrize(
    ("recipes", "message"),
    [
        (("mine/unet.yaml",), "recipe mine/unet.yaml would be called 'unet' like the row U-Net"),
        (("mine/baseline.yml",), "like the row Baseline; rename the file"),
        (("swin_unet_paper.yaml",), "like the row swin_unet at the paper's cost"),
        (("a/new.yaml", "b/new.yaml"), "recipe b/new.yaml would be called 'new' like the recipe a/new.yaml"),
    ],
)
def test_a_recipe_with_the_name_of_a_row_is_refused(recipes, message):
    for sizes in ("published", "both"):
        with pytest.raises(UsageError, match=message):
            table3(sizes, recipes)
    only = (*recipes, "cafr_net")
    with pytest.raises(UsageError, match=message):
        make_study(("table3",), budget("small"), None, only=only)


def test_a_recipe_asked_for_twice_is_one_row():
    assert [row.name for row in table3("published", ("demo", "demo"))][7:] == ["demo"]


def test_factors_change_what_they_say():
    own = load_recipe("cafr_net")
    assert {n: getattr(own.loss, n) for n in WEIGHTS} == WEIGHTS
    for factor in FACTORS:
        recipes = [load_recipe("cafr_net", p.changes) for p in factor.points]
        assert all(recipe != own for recipe in recipes)
        assert len({recipe.model_dump_json() for recipe in recipes}) == len(recipes)
        assert [row.name for row in factor.rows(2)] == [f"{factor.name}-0", f"{factor.name}-1"]


def test_patches_stand_beside_whole_slices_of_their_grid():
    """Stratified sampling off and on: of what a recipe has, unit and size of a sample alone differ."""
    (factor,) = (factor for factor in FACTORS if factor.name == "sampling")
    patches, whole = (
        load_recipe("cafr_net", p.changes).model_dump() for p in (factor.points[1], factor.points[3])
    )
    assert (patches["sampling"].pop("unit"), whole["sampling"].pop("unit")) == ("patch", "slice")
    assert patches == whole
    assert whole["preprocessing"]["size"] * whole["preprocessing"]["pixel_mm"] == pytest.approx(256 * 1.17)


def test_words_that_mean_nothing():
    assert resolve(["figures", "table3"]) == ("table3", "figures")
    assert len(resolve(["all"])) == 6
    with pytest.raises(UsageError, match="did you mean 'table3'"):
        resolve(["tabel3"])
    with pytest.raises(UsageError, match="nothing was asked"):
        resolve([])


def test_a_study_can_be_restricted_and_a_recipe_becomes_a_row():
    small = budget("small")
    only = ("unet", "cafr_net", "demo", "temperature")
    study = make_study(("table3", "sensitivity"), small, None, only=only)
    assert [row.name for row in study.comparison] == ["unet", "cafr_net", "demo"]
    assert [factor.name for factor in study.factors] == ["temperature"]
    assert study.ablation == ()
    smoke = make_study(("sensitivity",), budget("smoke"), None)
    assert len(smoke.points_of_study) == 2 * len(FACTORS)
