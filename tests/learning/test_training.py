"""A run from data to model.onnx: files, resumption, killing, agreement with the evaluator."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file

from cafrnet import evaluate_arrays, segment
from cafrnet.datasets import make_split, open_dataset
from cafrnet.errors import CAFRNetError, InputError, UsageError
from cafrnet.labels import ValueSets
from cafrnet.learning.recipes import load_recipe
from cafrnet.learning.training import run as engine
from cafrnet.learning.training.callbacks import COLUMNS, read_journal
from cafrnet.learning.training.score import case_dice

NET = {"size": 64, "patch": 8, "width": 32, "heads": 2, "tap_channels": [8, 8, 8], "clr_channels": 8}
NET |= {"decoder_channels": [16, 16, 16], "dropout": 0.1}
WORDS = [
    "num_classes=22",
    f"model_args={NET}",
    "pixel_mm=2.0",
    "preprocessing.size=64",
    "contrast=none",
    "batch=8",
    "steps_per_epoch=3",
    "epochs=3",
    "lr=3e-3",
    "precision=fp32",
    "anchors=4",
]


@pytest.fixture(scope="module")
def split(tiny_dataset, tmp_path_factory):
    path = tmp_path_factory.mktemp("split") / "split.json"
    make_split(open_dataset(tiny_dataset), seed=0).save(path)
    return path


def recipe(*words):
    return load_recipe("cafr_net", [*WORDS, *words])


@pytest.fixture(scope="module")
def finished(tiny_dataset, split, tmp_path_factory):
    return engine.train(recipe(), tiny_dataset, split, tmp_path_factory.mktemp("runs") / "whole")


def test_a_run_leaves_the_files_of_the_contract(finished):
    files = "config.yaml split.json preprocessing.json journal.csv last.ckpt best.safetensors model.onnx"
    assert {*files.split(), "curves.png", "run.json"} <= {p.name for p in finished.iterdir()}
    assert list((finished / "tensorboard").glob("events*"))
    rows = read_journal(finished / "journal.csv")
    assert [int(r["epoch"]) for r in rows] == [0, 1, 2]
    assert tuple(rows[0]) == COLUMNS
    assert all(r[c] for r in rows for c in COLUMNS)
    assert yaml.safe_load((finished / "config.yaml").read_text())["recipe"]["training"]["epochs"] == 3
    assert not [p for p in finished.iterdir() if p.name.startswith(".")]


def test_the_learning_rate_follows_eq_14(finished):
    rates = [float(r["lr"]) for r in read_journal(finished / "journal.csv")]
    t = np.arange(3)
    assert rates == pytest.approx(1e-6 + 0.5 * (3e-3 - 1e-6) * (1 + np.cos(np.pi * t / 3)), rel=1e-4)


def test_resuming_ends_with_the_same_weights(finished, tiny_dataset, split, tmp_path, monkeypatch):
    run = tmp_path / "broken"
    original = engine.Journal.on_train_epoch_end

    def interrupt(self, trainer, module):
        original(self, trainer, module)
        if trainer.current_epoch == 1 and not (run / "resumed").exists():
            raise KeyboardInterrupt

    monkeypatch.setattr(engine.Journal, "on_train_epoch_end", interrupt)
    with pytest.raises(CAFRNetError, match="--resume"):
        engine.train(recipe(), tiny_dataset, split, run)
    assert not (run / "model.onnx").exists()
    assert len(read_journal(run / "journal.csv")) == 2
    (run / "resumed").touch()
    engine.resume(run)
    assert [int(r["epoch"]) for r in read_journal(run / "journal.csv")] == [0, 1, 2]
    a, b = (torch.load(r / "last.ckpt", weights_only=True)["state_dict"] for r in (finished, run))
    assert all(torch.equal(a[k], b[k]) for k in a)
    a, b = (load_file(r / "best.safetensors") for r in (finished, run))
    assert all(torch.equal(a[k], b[k]) for k in a)


@pytest.mark.slow
def test_a_killed_run_loses_at_most_one_epoch(tiny_dataset, split, tmp_path):
    run = tmp_path / "killed"
    command = [
        sys.executable,
        "-m",
        "cafrnet.cli.main",
        "train",
        "cafr_net",
        *WORDS,
        "epochs=400",
        "patience=0",
    ]
    command += [f"data={tiny_dataset}", f"split={split}", "-o", str(run), "-q"]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 240
        while len(read_journal(run / "journal.csv")) < 3 and time.monotonic() < deadline:
            assert process.poll() is None
            time.sleep(0.05)
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    done = len(read_journal(run / "journal.csv"))
    epoch = torch.load(run / "last.ckpt", weights_only=True)["epoch"] + 1
    assert done >= 3
    assert done - epoch <= 1
    # the rest is trained to the end: shorten the schedule in the run's own record
    config = yaml.safe_load((run / "config.yaml").read_text())
    config["recipe"]["training"]["epochs"] = done + 1
    (run / "config.yaml").write_text(yaml.safe_dump(config))
    engine.resume(run)
    assert [int(r["epoch"]) for r in read_journal(run / "journal.csv")] == list(range(done + 1))
    assert (run / "model.onnx").exists()


def test_validation_dice_is_the_evaluators(tiny_dataset):
    rng = np.random.default_rng(0)
    case = open_dataset(tiny_dataset).cases[0]
    truth = case.read_truth()
    sets = ValueSets({0: (0, 1), **{i: (i,) for i in range(2, 20)}, 1: (255,)})
    for shift in (0, 1, 3):
        pred = np.roll(truth, shift, axis=1).astype(np.uint8)
        pred[rng.random(pred.shape) < 0.02] = 5  # an invented structure
        pred[:4, -6:] = 9  # one beyond the labelled range
        score = evaluate_arrays(truth, pred, (2, 2, 4), sets=sets)
        scored = [r.dsc for r in score.rows if r.id <= 19 and r.status != "beyond"]
        assert case_dice(truth, pred, sets) == pytest.approx(np.mean(scored), abs=1e-9)


def test_best_validation_dice_agrees_with_segment_and_evaluate(finished, tiny_dataset, split):
    """On 2 mm pixels and a 2 mm model grid there is no way back to take out."""
    val = engine.Split.load(split).parts(None)["val"]
    dice = []
    for case in open_dataset(tiny_dataset).select(val):
        result = segment(case.image, model=finished)
        score = evaluate_arrays(case.read_truth(), result.labels, (2, 2, 4), sets=case.sets)
        dice.append(np.mean([r.dsc for r in score.rows if r.id <= 19 and r.status != "beyond"]))
    best = max(float(r["val_dice"]) for r in read_journal(finished / "journal.csv"))
    assert np.mean(dice) == pytest.approx(best, abs=0.003)


@pytest.mark.slow
def test_a_small_net_learns_the_tiny_spine(tiny_dataset, split, tmp_path):
    words = [
        "epochs=12",
        "steps_per_epoch=30",
        "optimiser=adamw",
        "model_args.dropout=0.0",
        "elastic=0",
        "rotation_deg=5",
    ]
    run = engine.train(recipe(*words), tiny_dataset, split, tmp_path / "learn")
    assert max(float(r["val_dice"]) for r in read_journal(run / "journal.csv")) > 0.7


def test_early_stopping_counts_after_the_warm_up(tiny_dataset, split, tmp_path):
    words = [
        "epochs=20",
        "lr=1e-12",
        "lr_min=0",
        "patience=2",
        "patience_after=0.2",
        "clr=false",
        "steps_per_epoch=1",
    ]
    run = engine.train(recipe(*words), tiny_dataset, split, tmp_path / "still")
    assert (
        len(read_journal(run / "journal.csv")) == 4 + 3
    )  # from epoch 4 on: one to compare with, two without gain


@pytest.mark.parametrize(
    "words",
    [
        ["unit=patch", "sampling.patch=32"],
        ["views=2", "positives=view"],
        ["clr=false", "lafr=false"],
        ["ce_form=binary_sum", "loss.ce=1e-5"],
    ],
)
def test_every_switch_of_the_recipe_trains(words, tiny_dataset, split, tmp_path):
    run = engine.train(recipe(*words, "epochs=1", "steps_per_epoch=1"), tiny_dataset, split, tmp_path / "run")
    assert (run / "model.onnx").exists()


def test_another_librarys_network(tiny_dataset, split, tmp_path):
    words = ["model=monai.networks.nets.BasicUNetPlusPlus", "model_args={features: [4, 4, 4, 4, 4, 4]}"]
    small = [w for w in WORDS if not w.startswith("model_args")]
    r = load_recipe("cafr_net", [*small, *words, "clr=false", "epochs=1", "steps_per_epoch=1"])
    run = engine.train(r, tiny_dataset, split, tmp_path / "run")
    assert (run / "model.onnx").exists()


def test_bad_runs(finished, tiny_dataset, split, tmp_path):
    with pytest.raises(UsageError, match="not empty"):
        engine.train(recipe(), tiny_dataset, split, finished)
    with pytest.raises(UsageError, match="can be resumed"):
        engine.resume(tmp_path)
    with pytest.raises(UsageError):
        engine.train(recipe(), tmp_path, split, tmp_path / "x")
    assert not (tmp_path / "x").exists()


def test_a_corrupt_checkpoint_is_named(finished, tmp_path):
    import shutil

    run = tmp_path / "copy"
    shutil.copytree(finished, run)
    (run / "last.ckpt").write_bytes((run / "last.ckpt").read_bytes()[:1000])
    with pytest.raises(InputError, match="damaged"):
        engine.resume(run)
    assert (run / "best.safetensors").read_bytes() == (finished / "best.safetensors").read_bytes()
