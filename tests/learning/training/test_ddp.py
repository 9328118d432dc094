"""Several processes train like one: the same gradients, every validation case counted once."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml

torch = pytest.importorskip("torch")

from safetensors.torch import load_file  # noqa: E402

from cafrnet.datasets import make_split, open_dataset  # noqa: E402
from cafrnet.datasets.splits import Split  # noqa: E402
from cafrnet.errors import UsageError  # noqa: E402
from cafrnet.labels import ValueSets  # noqa: E402
from cafrnet.learning.recipes import load_recipe  # noqa: E402
from cafrnet.learning.recipes.load import check  # noqa: E402
from cafrnet.learning.training import run as engine  # noqa: E402
from cafrnet.learning.training.callbacks import read_journal  # noqa: E402
from cafrnet.learning.training.score import case_dice  # noqa: E402

NET = {"size": 64, "patch": 8, "width": 32, "heads": 2, "tap_channels": [8, 8, 8], "clr_channels": 8}
NET |= {"decoder_channels": [16, 16, 16]}
WORDS = [
    "num_classes=22", "pixel_mm=2.0", "preprocessing.size=64", "contrast=none", "batch=8",
    "lr=3e-3", "precision=fp32", "anchors=4", "patience=0",
]  # fmt: skip
STILL = ["flip=0", "rotation_deg=0", "scale=0", "shift_px=0", "elastic=0", "intensity=0"]
CE_ONLY = ["loss.dice=0", "loss.clr=0", "clr.enabled=false"]


@pytest.fixture(scope="module")
def split(tiny_dataset, tmp_path_factory):
    """Four cases to learn, three to validate: an odd number for two processes."""
    made = make_split(open_dataset(tiny_dataset), seed=0)
    ids = sorted({*made.train, *made.val, *made.test})
    path = tmp_path_factory.mktemp("split") / "split.json"
    Split("tiny", 0, "holdout", (0.5, 0.4, 0.1), tuple(ids[:4]), tuple(ids[4:7]), tuple(ids[7:])).save(path)
    return path


def run(*words):
    environment = {k: v for k, v in os.environ.items() if k not in ("LOCAL_RANK", "RANK", "NODE_RANK")}
    environment |= {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(
        [sys.executable, *map(str, words)], env=environment, capture_output=True, text=True, timeout=500
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done


def step(split, data, folder, devices, *words):
    """Train one step in ``devices`` processes; return the gradients of each, and what else each noted."""
    noted = folder / f"gradients{devices}"
    script = Path(__file__).with_name("ddp_worker.py")
    still = [*WORDS, *STILL, f"model_args={NET | {'dropout': 0.0}}", "epochs=1", "steps_per_epoch=1"]
    run(script, data, split, folder / f"run{devices}", noted, *still, f"devices={devices}", *words)
    return [(torch.load(f"{noted}.{k}"), torch.load(f"{noted}.{k}.shown")) for k in range(devices)]


def largest_difference(a, b):
    assert set(a) == set(b)
    return max(float((a[name] - b[name]).abs().max()) for name in a)


@pytest.mark.slow
@pytest.mark.parametrize("words", [CE_ONLY, []], ids=["cross-entropy alone", "the whole loss"])
def test_two_processes_give_the_gradients_of_one(tiny_dataset, split, tmp_path, words):
    ((alone, whole),) = step(split, tiny_dataset, tmp_path, 1, *words)
    shares = step(split, tiny_dataset, tmp_path, 2, *words)
    assert whole["images"] == 8
    assert [shown["images"] for _, shown in shares] == [4, 4]
    assert max(float(g.abs().max()) for g in alone.values()) > 1e-2  # there is something to compare
    for gradients, shown in shares:
        assert largest_difference(alone, gradients) < 1e-5
        assert shown["losses"] == pytest.approx(whole["losses"], abs=1e-5)
    assert ("loss_clr" in whole["losses"]) == (not words)
    assert all(value > 0 for value in whole["losses"].values() if not words)


@pytest.mark.slow
def test_a_run_of_two_processes_is_one_run(tiny_dataset, split, tmp_path):
    words = [*WORDS, f"model_args={NET | {'dropout': 0.1}}", "epochs=6", "steps_per_epoch=8"]
    scores = {}
    for devices in (1, 2):
        out = tmp_path / f"run{devices}"
        places = [f"data={tiny_dataset}", f"split={split}", "-o", out, f"devices={devices}", "-q"]
        done = run("-m", "cafrnet.cli.main", "train", "cafr_net", *places, *words)
        assert done.stdout.splitlines() == [str(out)]
        rows = read_journal(out / "journal.csv")
        assert [int(r["epoch"]) for r in rows] == list(range(6))
        assert [int(r["step"]) for r in rows] == [8 * k for k in range(1, 7)]
        assert (out / "model.onnx").exists()
        scores[devices] = max(float(r["val_dice"]) for r in rows)
        assert scores[devices] == pytest.approx(by_hand(out, tiny_dataset, split), abs=1e-5)
    assert abs(scores[1] - scores[2]) < 0.15  # as far as two seeds of so short a run may lie apart


def by_hand(folder, data, split):
    """Return the mean Dice of the best weights over the validation cases, each counted once."""
    recipe = check(yaml.safe_load((folder / "config.yaml").read_text())["recipe"], "config.yaml")
    setup = engine._prepare(recipe, str(data), Split.load(split, open_dataset(data)).parts(None))
    setup.module.segmenter.load_state_dict(load_file(folder / "best.safetensors"))
    setup.module.eval()
    sets = ValueSets({c: tuple(s) for c, s in setup.module._truth_sets().items()})
    with torch.no_grad():
        found = [case_dice(c.truth, setup.module.predict_case(c), sets) for c in setup.val]
    assert len(found) == 3
    return np.mean(found)


def test_a_batch_that_can_not_be_shared_out_is_refused_before_anything_is_written(
    tiny_dataset, split, tmp_path
):
    recipe = load_recipe("cafr_net", [*WORDS, "devices=3"])
    with pytest.raises(UsageError, match=r"training.batch 8 is no multiple of the 3 processes"):
        engine.train(recipe, tiny_dataset, split, tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("words", [["devices=0"], ["nodes=0"], ["strategy=deepspeed"], ["devices=some"]])
def test_nonsense_is_refused(words):
    with pytest.raises(UsageError, match=words[0].split("=")[0]):
        load_recipe("cafr_net", words)


def test_the_batch_is_the_same_whoever_holds_which_share(tiny_dataset, split):
    """Shares are disjoint, make up the batch, and are a function of seed, epoch, step and rank alone."""
    recipe = load_recipe("cafr_net", [*WORDS, f"model_args={NET}", "steps_per_epoch=4"])
    batches = engine._prepare(
        recipe, str(tiny_dataset), Split.load(split, open_dataset(tiny_dataset)).parts(None)
    ).batches
    batches.epoch = 2
    whole = batches[3].at.tolist()
    shares = []
    for rank in range(2):
        batches.rank, batches.ranks = rank, 2
        shares.append(batches[3].at.tolist())
        assert batches[3].at.tolist() == shares[-1]
    assert shares == [whole[0::2], whole[1::2]]
    assert len({batches[3].seed for batches.rank in range(2)}) == 2  # each augments with chance of its own
