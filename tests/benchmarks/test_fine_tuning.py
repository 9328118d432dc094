"""Fine-tuning measured: what differs between the arms, and what a row says."""

import fine_tuning
import pytest

from cafrnet.learning.recipes import load_recipe


def test_subsets_are_nested():
    found = fine_tuning.subsets([f"Case{k}" for k in range(9)], [2, 5, 9], seed=1)
    assert [len(cases) for cases in found.values()] == [2, 5, 9]
    assert found[5][:2] == found[2]
    assert found[9][:5] == found[5]
    assert found != fine_tuning.subsets([f"Case{k}" for k in range(9)], [2, 5, 9], seed=2)
    with pytest.raises(SystemExit, match="10 cases were asked for, 9 are there"):
        fine_tuning.subsets([f"Case{k}" for k in range(9)], [10], seed=1)


def test_the_arms_differ_in_their_learning_rate_alone():
    start = load_recipe("cafr_net_plus", ["mix.data=phantoms", "mix.share=0.5"])
    tuned, scratch = (
        fine_tuning.recipe_of(arm, start, 200, ["batch=4"]).model_dump() for arm in ("tuned", "scratch")
    )
    assert (tuned["training"].pop("lr"), scratch["training"].pop("lr")) == (4e-4, 8e-4)
    assert tuned == scratch
    assert tuned["mix"]["share"] == 0
    assert tuned["training"]["epochs"] * tuned["training"]["steps_per_epoch"] == 200
    assert tuned["augmentation"] == start.model_dump()["augmentation"]


def test_a_row():
    head = {"dsc": {"mean": 0.8125}, "dsc_interval": {"low": None, "high": None}, "iou": {"mean": 0.7}}
    summary = {
        "headline": {**head, "hd95_mm": {"mean": None}, "missed": 3, "invented": 1},
        "levels": {"cases_all_right": 2, "cases": 7},
    }
    assert fine_tuning.row("tuned", 3, summary) == ["tuned", 3, 81.2, "", "", 70.0, "", "2 of 7", 3, 1]
