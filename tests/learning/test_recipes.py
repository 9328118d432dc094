"""Recipes: cafr_net.yaml equals Tables 1 and 2; bad keys and contradictions are named."""

import pytest
import torch

from cafrnet.errors import UsageError
from cafrnet.learning.models import REGISTRY, build_model
from cafrnet.learning.recipes import available, load_recipe


def test_cafr_net_equals_tables_1_and_2():
    r = load_recipe("cafr_net")
    table_1 = (r.training.batch, r.training.optimiser, r.training.lr, r.training.lr_min, r.training.epochs)
    assert table_1 == (16, "adam", 1e-4, 1e-6, 500)
    assert (r.training.patience, r.training.weight_decay, r.model_args["dropout"]) == (10, 1e-5, 0.3)
    a = r.augmentation
    assert a.flip > 0
    assert a.rotation_deg == 15
    assert a.elastic > 0
    assert a.intensity > 0
    m = r.model_args
    assert (r.preprocessing.size, m["size"], m["patch"], m["width"], m["heads"]) == (256, 256, 16, 768, 6)
    assert len(m["depths"]) == 3
    assert (r.clr.temperature, r.clr.negatives, r.sampling.class_aware > 0) == (0.07, 5, True)
    assert (r.loss.dice, r.loss.ce, r.loss.clr) == (0.5, 1.0, 0.1)
    assert r.num_classes == 20
    assert r.training.steps_per_epoch == 95


@pytest.mark.parametrize("name", sorted(available()))
def test_every_shipped_recipe_is_valid_and_says_what_it_costs(name):
    load_recipe(name, start=load_recipe("cafr_net") if name == "finetune" else None)
    assert "Costs:" in available()[name]


@pytest.mark.parametrize("name", [n for n in REGISTRY if REGISTRY[n].table_3 and n != "cafr_net"])
def test_each_baseline_has_the_protocol_of_cafr_net(name):
    ours, theirs = load_recipe("cafr_net"), load_recipe(name)
    assert theirs.model == name
    assert not theirs.clr.enabled
    free = {"model", "model_args"}
    assert theirs.model_dump(exclude=free) == load_recipe("cafr_net", ["clr=false"]).model_dump(exclude=free)
    assert not set(theirs.model_args) & {"patch", "heads", "lafr"}  # cafr_net's own arguments stay there
    assert theirs.training == ours.training
    assert "not yet run" in available()[name].casefold()
    with torch.device("meta"):
        build_model(theirs.model, num_classes=theirs.num_classes, args=theirs.model_args)


def test_a_recipe_extends_another(tmp_path):
    (tmp_path / "base.yaml").write_text(
        "extends: cafr_net\ntraining: {lr: 2.0e-4, batch: 8}\nclr: {maps: [fused]}\n"
    )
    (tmp_path / "sub").mkdir()
    child = tmp_path / "sub/child.yaml"
    child.write_text("extends: ../base.yaml\ntraining: {lr: 3.0e-4}\nmodel_args: {lafr: false}\n")
    r = load_recipe(str(child), ["epochs=7"])
    assert (r.training.lr, r.training.batch, r.training.epochs, r.training.patience) == (3e-4, 8, 7, 10)
    assert r.clr.maps == ("fused",)  # a list is replaced, a table is merged
    assert r.model_args == {**load_recipe("cafr_net").model_args, "lafr": False}
    child.write_text("extends: ../base.yaml\nmodel: unet\nclr: {enabled: false}\n")
    assert load_recipe(str(child)).model_args == {}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("extends: cafr_nett", "no recipe 'cafr_nett'; did you mean 'cafr_net'"),
        ("extends: other.yaml", "could not be read"),
        ("extends: own.yaml", "in a circle"),
        ("extends: [cafr_net, demo]", "one recipe was expected"),
        ("extend: cafr_net", "did you mean 'extends'"),
    ],
)
def test_wrong_extensions(tmp_path, text, message):
    (tmp_path / "own.yaml").write_text(text)
    with pytest.raises(UsageError, match=message):
        load_recipe(str(tmp_path / "own.yaml"))


def test_changes_by_full_short_and_switch():
    r = load_recipe(
        "cafr_net", ["training.lr=3e-4", "epochs=7", "lafr=false", "clr=false", "model_args.width=96"]
    )
    assert (r.training.lr, r.training.epochs, r.model_args["lafr"], r.clr.enabled) == (3e-4, 7, False, False)
    assert r.model_args["width"] == 96


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["epoch=7"], "did you mean 'epochs'|did you mean 'training.epochs'"),
        (["training.epoch=7"], "did you mean 'training.epochs'"),
        (["training.epochs=0"], "greater than or equal to 1"),
        (["epochs"], "key=value"),
        (["positives=view"], "views"),
        (["clr.enabled=true", "batch=15", "views=2"], "no multiple"),
        (["size=250"], "multiple of 32"),
        (["unit=patch", "sampling.patch=512"], "larger"),
        (["lr=1e-7"], "above"),
        (["loss.dice=0", "loss.ce=0"], "both 0"),
        (["num_classes=23"], "less than or equal to 22"),
        (["contrast=clahee"], "contrast"),
        (["low_percentile=99.9"], "below high_percentile"),
    ],
)
def test_wrong_words(words, message):
    with pytest.raises(UsageError, match=message):
        load_recipe("cafr_net", words)


def test_wrong_files(tmp_path):
    with pytest.raises(UsageError, match="did you mean 'cafr_net'"):
        load_recipe("cafrnet")
    with pytest.raises(UsageError, match="could not be read"):
        load_recipe(str(tmp_path / "no.yaml"))
    (tmp_path / "bad.yaml").write_text("a: [")
    with pytest.raises(UsageError, match="not valid YAML"):
        load_recipe(str(tmp_path / "bad.yaml"))
    (tmp_path / "list.yaml").write_text("- 1")
    with pytest.raises(UsageError, match="table of keys"):
        load_recipe(str(tmp_path / "list.yaml"))
    (tmp_path / "typo.yaml").write_text("trainig: {lr: 1}")
    with pytest.raises(UsageError, match="unknown key 'trainig'"):
        load_recipe(str(tmp_path / "typo.yaml"))


def test_an_unknown_key_far_from_all_lists_each_once_and_the_short_forms():
    with pytest.raises(UsageError) as error:
        load_recipe("cafr_net", ["zzzzzzzz=1"])
    said = str(error.value)
    assert said.count("training.lr,") == 1
    assert ", lr," not in said
    assert said.endswith("and lafr, clr_source and clr")


def test_an_unknown_recipe_lists_those_that_ship():
    with pytest.raises(UsageError, match=r"those that ship are .*cafr_net"):
        load_recipe("xyzxyz")
