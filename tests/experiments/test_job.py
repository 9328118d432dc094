from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("torch")

from cafrnet.errors import UsageError
from cafrnet.experiments.job import Place, essence, plan, recipe_for
from cafrnet.experiments.layout import Folder
from cafrnet.experiments.protocol import budget
from cafrnet.experiments.rows import TABLE4, Row, table3

SMALL = budget("small", seeds=(0, 1))
PLACE = Place(Folder(Path("dir")), Path("data"), "d" * 64, "s" * 64)
LAFR_ONLY = TABLE4[1]


def test_the_budget_is_the_same_for_all_rows():
    recipes = [recipe_for(row, SMALL, ["training.lr=5e-4"], 3) for row in (*table3("both"), *TABLE4)]
    shared = [r.model_dump(exclude={"model", "model_args", "clr"}) for r in recipes]
    assert all(one == shared[0] for one in shared)
    assert shared[0]["training"]["epochs"] * shared[0]["training"]["steps_per_epoch"] == 2000
    assert (shared[0]["training"]["lr"], shared[0]["training"]["seed"]) == (5e-4, 3)


def test_two_ways_to_say_one_experiment_are_one():
    no_weight = recipe_for(Row("a", "a", "cafr_net", ("loss.clr=0",)), SMALL, [], 0)
    switched_off = recipe_for(LAFR_ONLY, SMALL, ["training.workers=4"], 0)
    assert essence(no_weight) == essence(switched_off)
    assert essence(recipe_for(TABLE4[3], SMALL, [], 0)) != essence(no_weight)


def test_each_experiment_is_trained_once():
    weight_0 = Row("weight_clr-0", "x 0", "cafr_net", ("loss.clr=0",))
    asked = [(row, (0, 1)) for row in (*table3(), *TABLE4)] + [(weight_0, (2,))]
    found = plan(asked, SMALL, [], PLACE)
    assert found.folder_of["weight_clr-0"] == "lafr_only"
    assert len({job.run.path for job in found.jobs}) == len(found.jobs) == 2 * (10 * 2 + 1)
    assert [j.run.fold for j in found.expected("weight_clr-0", (2,))] == [2, 2]
    assert len({job.hash for job in found.jobs}) == len(found.jobs)
    order = [(job.run.seed, job.run.fold) for job in found.jobs]
    assert order == sorted(order)


def test_the_hash_follows_what_decides_the_result():
    job = plan([(TABLE4[3], (0,))], SMALL, [], PLACE).jobs[0]
    assert replace(job, threads=7, data=Path("elsewhere")).hash == job.hash
    for change in ({"data_hash": "x"}, {"split_hash": "x"}, {"fold": 1}):
        assert replace(job, **change).hash != job.hash


def test_fewer_training_cases_are_another_experiment():
    row = Row("cafr_net-train3", "3", "cafr_net", train_cases=3)
    found = plan([(TABLE4[3], (0,)), (row, (0,))], SMALL, [], PLACE)
    whole, small = (found.expected(name, (0,))[0] for name in ("cafr_net", "cafr_net-train3"))
    assert (whole.fold, small.fold) == (0, None)
    assert small.split == Path("dir/splits/train3-fold0-seed0.json")
    assert whole.hash != small.hash


def test_one_name_for_two_experiments_is_refused():
    with pytest.raises(UsageError, match="two experiments are called 'cafr_net'"):
        plan([(TABLE4[3], (0,)), (Row("cafr_net", "x", "unet"), (0,))], SMALL, [], PLACE)
    with pytest.raises(UsageError, match=r"row unet: .*did you mean 'training.lr'"):
        plan([(table3()[0], (0,))], SMALL, ["training.lrr=1"], PLACE)
