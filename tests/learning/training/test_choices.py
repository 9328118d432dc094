"""Which weights a run keeps: averaged or not, best or last, with and without validation cases."""

import pytest
import torch
import yaml
from safetensors.torch import load_file

from cafrnet.datasets import Split, make_split, open_dataset
from cafrnet.errors import UsageError
from cafrnet.learning.recipes import load_recipe
from cafrnet.learning.training import run as engine
from cafrnet.learning.training.callbacks import read_journal

NET = {"channels": [4, 4, 8, 8, 8], "width": 16, "heads": 2, "depths": [1, 1, 1], "clr_channels": 8}
NET |= {"decoder_channels": [8, 8, 8, 8]}
WORDS = [
    f"model_args={NET}",
    "pixel_mm=2.0",
    "preprocessing.size=64",
    "batch=4",
    "steps_per_epoch=3",
    "epochs=4",
]
WORDS += ["precision=fp32", "anchors=4", "warmup_steps=2"]


def recipe(*words):
    return load_recipe("cafr_net_plus", [*WORDS, *words])


@pytest.fixture(scope="module")
def split(tiny_dataset, tmp_path_factory):
    path = tmp_path_factory.mktemp("split") / "split.json"
    make_split(open_dataset(tiny_dataset), seed=0).save(path)
    return path


@pytest.fixture
def everything(tiny_dataset, tmp_path):
    """A split that only trains."""
    dataset = open_dataset(tiny_dataset)
    Split(dataset=dataset.name, seed=0, kind="holdout", train=tuple(c.id for c in dataset)).save(
        tmp_path / "all.json"
    )
    return tmp_path / "all.json"


def test_validation_comes_every_nth_epoch_and_the_last_weights_are_kept(tiny_dataset, split, tmp_path):
    run = engine.train(recipe("ema=0", "validate_every=2"), tiny_dataset, split, tmp_path / "run")
    rows = read_journal(run / "journal.csv")
    assert [bool(r["val_dice"]) for r in rows] == [False, True, False, True]
    assert all(float(r["epoch_s"]) > 0 for r in rows)
    kept = load_file(run / "best.safetensors")
    last = torch.load(run / "last.ckpt", weights_only=True)["state_dict"]
    assert all(torch.equal(v, last[f"segmenter.{k}"]) for k, v in kept.items())


def test_the_average_follows_the_weights_and_is_what_is_kept(tiny_dataset, split, tmp_path):
    run = engine.train(recipe("ema=0.9", "epochs=1"), tiny_dataset, split, tmp_path / "run")
    kept = load_file(run / "best.safetensors")
    state = torch.load(run / "last.ckpt", weights_only=True)["state_dict"]
    assert all(torch.equal(v, state[f"averaged.{k}"]) for k, v in kept.items() if "num_batches" not in k)
    name = "network.head.weight"
    assert not torch.equal(kept[name], state[f"segmenter.{name}"])
    gap = (kept[name] - state[f"segmenter.{name}"]).abs().max()
    assert gap < 0.01  # three small steps apart at most


def test_a_resumed_average_ends_where_an_unbroken_one_does(tiny_dataset, split, tmp_path, monkeypatch):
    whole = engine.train(recipe(), tiny_dataset, split, tmp_path / "whole")

    def stop(self):
        if self.current_epoch == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as m:
        m.setattr(engine.TrainingModule, "on_train_epoch_start", stop_before(engine.TrainingModule, stop))
        with pytest.raises(engine.Interrupted):
            engine.train(recipe(), tiny_dataset, split, tmp_path / "broken")
    engine.resume(tmp_path / "broken")
    a, b = (load_file(p / "best.safetensors") for p in (whole, tmp_path / "broken"))
    assert all(torch.equal(a[k], b[k]) for k in a)


def stop_before(module, stop):
    original = module.on_train_epoch_start

    def hook(self):
        stop(self)
        original(self)

    return hook


def test_all_cases_can_train_when_nothing_has_to_be_chosen(tiny_dataset, everything, tmp_path):
    run = engine.train(recipe("epochs=1"), tiny_dataset, everything, tmp_path / "run")
    assert (run / "model.onnx").exists()
    assert [r["val_dice"] for r in read_journal(run / "journal.csv")] == [""]


def test_the_best_epoch_needs_validation_cases(tiny_dataset, everything, tmp_path):
    with pytest.raises(UsageError, match="select=last"):
        engine.train(recipe("select=best"), tiny_dataset, everything, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_mixed_dataset_teaches_what_the_first_does_not_mark(tiny_dataset, everything, tmp_path):
    from cafrnet.phantom import PhantomOptions, write_dataset

    small = PhantomOptions(matrix=(64, 64), pixel_mm=3.0, slices=2, supersampling=1)
    write_dataset(tmp_path / "phantoms", 2, 0, options=small)
    run = engine.train(
        recipe("epochs=1", f"mix.data={tmp_path / 'phantoms'}", "mix.share=0.5"),
        tiny_dataset,
        everything,
        tmp_path / "run",
    )
    from cafrnet.inference import load_model

    alone = engine.train(recipe("epochs=1"), tiny_dataset, everything, tmp_path / "alone")
    assert "L2" in load_model(alone).not_trained
    assert "L2" not in load_model(run).not_trained
    assert yaml.safe_load((run / "config.yaml").read_text())["recipe"]["mix"]["share"] == 0.5
