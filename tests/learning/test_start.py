"""Training from weights: what fits is taken over, what doesn't is named, what was known is not forgotten."""

import logging

import numpy as np
import pytest
import torch
import yaml

from cafrnet.bundles import places
from cafrnet.bundles.label_file import write_labels_file
from cafrnet.bundles.layout import write_sums
from cafrnet.cli.main import main
from cafrnet.datasets import make_split, open_dataset
from cafrnet.errors import InputError, UsageError
from cafrnet.labels import ValueSets
from cafrnet.learning.bundling import read_trained
from cafrnet.learning.bundling.make import export_half
from cafrnet.learning.bundling.trained import same_trained
from cafrnet.learning.codes import TruthCodes
from cafrnet.learning.recipes import load_recipe
from cafrnet.learning.training import run as engine
from cafrnet.learning.training.module import Segmenter, TrainingModule, network_for
from cafrnet.learning.training.start import kept_outputs, start_from
from cafrnet.preprocessing import Preprocessing
from grey_net import write_run
from handmade_bundle import CARD_VALUES

ARGS = "{size: 64, patch: 8, width: 32, heads: 2, tap_channels: [8, 8, 8], decoder_channels: [16, 16, 16]}"
NET = ("num_classes=22", f"model_args={ARGS}")


def save_bundle(run, folder):
    """A bundle of a run's weights, without the check that it agrees: nothing was trained here."""
    trained = read_trained(run)
    segmenter = Segmenter(network_for(trained.recipe), trained.trained)
    segmenter.load_state_dict({**trained.weights, "trained": torch.from_numpy(trained.trained)})
    ids = [int(i) for i in np.flatnonzero(trained.trained)]
    settings = Preprocessing(**trained.recipe.preprocessing.model_dump())
    metadata = {"label_table": 1, "num_classes": trained.recipe.num_classes, "trained": ids}
    folder.mkdir(parents=True)
    left_out = export_half(
        segmenter, 64, folder / "model.onnx", metadata | {"preprocessing": settings.to_dict()}
    )
    settings.save(folder / "preprocessing.json")
    write_labels_file(folder / "labels.yaml", trained.recipe.num_classes, ())
    weights = {**CARD_VALUES["weights"], "left_out": left_out}
    card = {**CARD_VALUES, "recipe": trained.recipe.model_dump(mode="json"), "weights": weights}
    (folder / "card.yaml").write_text(yaml.safe_dump(card))
    write_sums(folder)
    return folder


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Weights of a small CAFR-Net with CLR's map, that knows all but T9 and T9/T10."""
    known = [i for i in range(22) if i not in (10, 19)]
    return write_run(tmp_path_factory.mktemp("start") / "run", *NET, "clr=true", trained=known)


@pytest.fixture(scope="module")
def bundle(run, tmp_path_factory):
    return save_bundle(run, tmp_path_factory.mktemp("start") / "bundle")


def module_for(start, *words, recipe="finetune"):
    made = load_recipe(recipe, words, start=start.recipe)
    codes = TruthCodes.of([ValueSets.identity()], made.num_classes)
    return TrainingModule(made, codes, np.ones(made.num_classes, bool))


@pytest.mark.parametrize("kind", ["run", "bundle"])
def test_every_weight_is_taken_over(kind, request):
    start = read_trained(request.getfixturevalue(kind))
    module = module_for(start)
    start_from(module, start)
    state = module.segmenter.state_dict()
    exact = read_trained(request.getfixturevalue("run")).weights
    assert set(state) - {"trained"} <= set(exact)
    for name, tensor in state.items():
        if name != "trained" and not name.endswith("num_batches_tracked"):
            assert torch.allclose(tensor, exact[name], rtol=1e-3, atol=1e-6), name


def test_the_average_starts_there_too(bundle):
    start = read_trained(bundle)
    module = module_for(start, "ema=0.99")
    start_from(module, start)
    for a, b in zip(module.averaged.parameters(), module.segmenter.parameters(), strict=True):
        assert torch.equal(a, b)


def test_what_only_training_needs_begins_anew(bundle, caplog):
    start = read_trained(bundle)
    assert start.left_out == {"network.fuse.weight", "network.fuse.bias"}
    start_from(module_for(start, "clr=true"), start)
    assert "begun anew (only training needs them): network.fuse.bias, network.fuse.weight" in caplog.text


@pytest.mark.parametrize("outputs", [20, 22])
def test_other_numbers_of_outputs(tmp_path, caplog, outputs):
    words = [f"num_classes={42 - outputs}", f"model_args={ARGS}"]
    start = read_trained(write_run(tmp_path / "run", *words))
    module = module_for(start, f"num_classes={outputs}")
    before = module.segmenter.network.head.weight[20:].clone()
    start_from(module, start)
    head = module.segmenter.network.head.weight
    assert torch.equal(head[:20], start.weights["network.head.weight"][:20])
    assert torch.equal(module.segmenter.prior[:20], start.weights["prior"][:20])
    assert torch.equal(head[20:], before)
    said = "begun anew: spinal canal, posterior elements" if outputs == 22 else "the others are dropped"
    assert f"{42 - outputs} outputs there, {outputs} here: 0 to 19 are taken over; {said}" in caplog.text


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["model=unet", "clr=false"], "holds a cafr_net, the recipe asks for a unet; name the recipe"),
        ([f"model_args={ARGS.replace('heads: 2', 'heads: 4')}"], "heads is 2 there, 4 here"),
        ([f"model_args={ARGS.replace('width: 32', 'width: 64')}"], "width is 32 there, 64 here"),
        (["lafr=false", f"model_args={ARGS[:-1]}, lafr: false}}"], "lafr is True there, False here"),
    ],
)
def test_another_network_is_named(run, words, message):
    start = read_trained(run)
    with pytest.raises(UsageError, match=message):
        start_from(module_for(start, *words, recipe="cafr_net"), start)


def test_arguments_left_at_their_defaults_are_the_same(run):
    start = read_trained(run)
    spelt_out = f"{ARGS[:-1]}, ffn_ratio: 2.0, depths: [1, 1, 1], dropout: 0.0}}"
    start_from(module_for(start, "num_classes=22", f"model_args={spelt_out}", recipe="cafr_net"), start)


def test_weights_that_do_not_fit(run):
    start = read_trained(run)
    start.weights["network.head.bias"] = start.weights["network.head.bias"][:3]
    start.weights["network.more.weight"] = torch.zeros(2)
    del start.weights["network.embed.positions"]
    with pytest.raises(UsageError) as caught:
        start_from(module_for(start), start)
    for part in (
        "missing: network.embed.positions",
        "unexpected: network.more.weight",
        "of another shape: network.head.bias (3, not 22)",
    ):
        assert part in str(caught.value)


def test_another_preprocessing_is_said(run, caplog):
    start = read_trained(run)
    start_from(module_for(start, "pixel_mm=1.5"), start)
    assert "prepared otherwise" in caplog.text
    assert "pixel_mm 1.5 (was 2.0)" in caplog.text


def test_structures_that_were_known_are_kept(run, caplog):
    start = read_trained(run)
    here = np.zeros(22, bool)
    here[[0, 2, 10]] = True
    kept = kept_outputs(here, start)
    assert np.flatnonzero(~kept).tolist() == [19]
    assert "marked in no training case, kept as" in caplog.text
    assert kept_outputs(here[:20], start).shape == (20,)


def test_the_recipe_takes_all_but_the_schedule(run):
    start = read_trained(run).recipe
    made = load_recipe("finetune", ["epochs=3"], start=start)
    assert made.model_dump(
        include={"model", "model_args", "preprocessing", "augmentation", "num_classes"}
    ) == (start.model_dump(include={"model", "model_args", "preprocessing", "augmentation", "num_classes"}))
    assert not made.clr.enabled
    assert made.training.epochs == 3
    with pytest.raises(UsageError, match="continues from trained weights; add init=default"):
        load_recipe("finetune")


def test_weights_that_changed_since(run, tmp_path):
    record = read_trained(run).record()
    assert same_trained(record).sha256 == record["sha256"]
    with pytest.raises(InputError, match="which holds other weights now"):
        same_trained({**record, "sha256": "0" * 64})


def test_folders_that_are_neither(tmp_path):
    with pytest.raises(UsageError, match="is neither a run nor a bundle"):
        read_trained(tmp_path)
    (tmp_path / "config.yaml").write_text("x: 1")
    with pytest.raises(InputError, match=r"config\.yaml is damaged"):
        read_trained(tmp_path)


def train(capsys, *words):
    code = main(["train", "finetune", *map(str, words)])
    return code, capsys.readouterr()


def test_fine_tuning_from_the_default_bundle(bundle, tiny_dataset, tmp_path, monkeypatch, capsys, caplog):
    """With a rate of 1e-12 nothing moves: the run's best weights are those that it started from."""
    monkeypatch.setenv("CAFRNET_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(places, "DEFAULT", bundle)
    split = tmp_path / "split.json"
    make_split(open_dataset(tiny_dataset), seed=0).save(split)
    words = [f"data={tiny_dataset}", f"split={split}", "-o", tmp_path / "run", "-q", "lr=1e-12", "lr_min=0"]
    words += ["epochs=1", "steps_per_epoch=1", "batch=4", "precision=fp32", "patience=0", "weight_decay=0"]
    with caplog.at_level(logging.WARNING):
        code, shown = train(capsys, "init=default", *words)
    assert (code, shown.out) == (0, f"{tmp_path / 'run'}\n"), shown.err
    before, after = read_trained("default"), read_trained(tmp_path / "run")
    for name, tensor in before.weights.items():
        if name in after.weights and "running" not in name:
            assert torch.allclose(tensor, after.weights[name], atol=1e-5), name
    assert np.flatnonzero(~after.trained).tolist() == [
        10,
        19,
    ]  # three levels are marked, the others stay known
    config = yaml.safe_load((tmp_path / "run/config.yaml").read_text())
    rows = CARD_VALUES["data"]  # of the bundle's card: its licence goes with its weights
    assert config["init"] == {
        "source": "default",
        "sha256": before.sha256,
        "bundle": "grey 1",
        "data": rows,
    }
    assert config["recipe"]["model_args"] == before.recipe.model_args
    monkeypatch.setattr(places, "DEFAULT", tmp_path / "gone")
    code, shown = train(capsys, "init=default", *words)
    assert code == 2
    assert "no trained model ships with this version" in shown.err


def test_resuming_before_the_first_epoch_starts_from_the_same_weights(
    bundle, tiny_dataset, tmp_path, monkeypatch
):
    split = tmp_path / "split.json"
    make_split(open_dataset(tiny_dataset), seed=0).save(split)
    seen = []
    monkeypatch.setattr(engine, "_fit", lambda run, setup, **_: seen.append(setup.module) or run)
    recipe = load_recipe("finetune", ["epochs=1"], start=read_trained(bundle).recipe)
    engine.train(recipe, tiny_dataset, split, tmp_path / "run", init=bundle)
    engine.resume(tmp_path / "run")
    a, b = (m.segmenter.state_dict() for m in seen)
    assert all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["init="], "add init=default"),
        (["init=nothing"], "'nothing' is no folder"),
        (["--resume", "x", "init=default"], "takes recipe and split from the run"),
    ],
)
def test_wrong_words(tmp_path, monkeypatch, capsys, words, message):
    monkeypatch.setenv("CAFRNET_HOME", str(tmp_path))
    code, shown = train(capsys, *words)
    assert code == 2
    assert message in shown.err
