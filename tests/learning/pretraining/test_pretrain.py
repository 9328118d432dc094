"""Pretraining from end to end: training starts from it, and nothing but the training part is read."""

import csv
import logging
import shutil

import nibabel as nib
import numpy as np
import pytest
import torch
import yaml
from small_pretraining import NETS, recipe

from cafrnet.cli.main import main
from cafrnet.datasets import make_split, open_dataset
from cafrnet.errors import InputError, UsageError
from cafrnet.learning.bundling import read_trained
from cafrnet.learning.codes import TruthCodes
from cafrnet.learning.pretraining import pretrain
from cafrnet.learning.pretraining.images import find_scans
from cafrnet.learning.pretraining.pretrain import rate
from cafrnet.learning.training.module import Segmenter, TrainingModule, network_for
from cafrnet.learning.training.run import train
from cafrnet.learning.training.start import start_from


@pytest.fixture(scope="module")
def split(tiny_dataset, tmp_path_factory):
    path = tmp_path_factory.mktemp("split") / "split.json"
    make_split(open_dataset(tiny_dataset), seed=0).save(path)
    return path


@pytest.mark.parametrize("method", ["mask", "view"])
@pytest.mark.parametrize("net", NETS)
def test_its_weights_fit_the_network_that_is_trained(net, method, tiny_dataset, split, tmp_path):
    made, told = recipe(net, f"method={method}", "cells=6"), []
    places = {"data": tiny_dataset, "split": split}
    before = pretrain(made, tmp_path / "before", **places, report=lambda *t: told.append(t))
    files = {"best.safetensors", "config.yaml", "journal.csv", "preprocessing.json"}
    assert {p.name for p in before.iterdir()} == files
    with (before / "journal.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [int(r["step"]) for r in rows] == [6] == [t[0] for t in told]
    start = read_trained(before)
    assert not start.trained.any()  # nothing of what it says is a structure
    for words in ([], ["clr=false"]):
        codes = TruthCodes.of([open_dataset(tiny_dataset).sets], 22)
        module = TrainingModule(recipe(net, *words), codes, np.ones(22, bool))
        start_from(module, start)
        state = module.segmenter.state_dict()
        assert all(torch.equal(state[n], start.weights[n]) for n in state if n != "trained")


@pytest.mark.slow  # it ends with an export
def test_training_starts_from_it(tiny_dataset, split, tmp_path):
    made = recipe("cafr_net_plus")
    before = pretrain(made, tmp_path / "before", data=tiny_dataset, split=split)
    run = train(made, tiny_dataset, split, tmp_path / "run", init=before)
    assert (run / "model.onnx").exists()
    assert read_trained(run).trained.sum() == 8  # background and the seven structures that are marked
    recorded = yaml.safe_load((run / "config.yaml").read_text())["init"]
    assert recorded["sha256"] == read_trained(before).sha256


def test_the_encoder_learns_and_the_decoder_stays_as_training_would_begin(tiny_dataset, split, tmp_path):
    made = recipe("cafr_net_plus")
    weights = read_trained(pretrain(made, tmp_path / "a", data=tiny_dataset, split=split)).weights
    torch.manual_seed(made.training.seed)
    fresh = Segmenter(network_for(made), np.zeros(22, bool)).state_dict()
    changed = {n.split(".")[1] for n, t in fresh.items() if n in weights and not torch.equal(t, weights[n])}
    assert changed == {"pyramid", "embed", "near", "stages", "norms", "taps"}
    again = read_trained(pretrain(made, tmp_path / "b", data=tiny_dataset, split=split)).weights
    assert all(torch.equal(t, again[n]) for n, t in weights.items())


def test_only_the_training_part_is_read_and_no_label_map(tiny_dataset, split):
    found = find_scans(tiny_dataset, split, None, [])
    train_part = yaml.safe_load(split.read_text())["train"]
    assert sorted(found) == sorted(str(tiny_dataset / f"train/MR/{case}.nii.gz") for case in train_part)


def test_any_folder_of_scans_will_do(tiny_dataset, tmp_path, caplog):
    shutil.copytree(tiny_dataset / "train", tmp_path / "scans")
    (tmp_path / "scans/MR/broken.nii.gz").write_bytes(b"no scan")
    with caplog.at_level(logging.WARNING):
        folder = pretrain(recipe("cafr_net_plus"), tmp_path / "run", scans=[tmp_path / "scans"])
    assert "8 files are named like label maps and left out" in caplog.text
    assert "broken.nii.gz left out of pretraining" in caplog.text
    assert len(yaml.safe_load((folder / "config.yaml").read_text())["pretrained_on"]["scans"]) == 8


def test_empty_slices_are_left_out(tmp_path):
    voxels = np.zeros((32, 32, 4), np.int16)
    voxels[8:20, 8:20, 1:3] = np.arange(144).reshape(12, 12, 1) + 1
    affine = np.array([[0, 0, 4.0, 0], [-2, 0, 0, 0], [0, 2, 0, 0], [0, 0, 0, 1]])
    nib.save(nib.Nifti1Image(voxels, affine), tmp_path / "a.nii.gz")
    folder = pretrain(recipe("cafr_net_plus"), tmp_path / "run", scans=[tmp_path / "a.nii.gz"])
    assert yaml.safe_load((folder / "config.yaml").read_text())["pretrained_on"]["slices"] == 2


def test_the_rate_rises_then_falls_to_its_end():
    made = recipe("cafr_net_plus", "lr=1e-3", "lr_min=1e-5", "warmup_steps=10")
    assert rate(made, 0, 100) == pytest.approx(1e-4)
    assert rate(made, 50, 100) == pytest.approx((1e-3 + 1e-5) / 2)
    assert rate(made, 100, 100) == pytest.approx(1e-5)


def test_a_loss_that_is_no_number_stops_it(tiny_dataset, split, tmp_path):
    with pytest.raises(UsageError, match="the loss became nan before step 6"):
        pretrain(recipe("cafr_net_plus", "lr=1e30"), tmp_path / "run", data=tiny_dataset, split=split)
    assert not (tmp_path / "run/best.safetensors").exists()


def test_bad_input(tiny_dataset, split, tmp_path):
    made = recipe("cafr_net_plus")
    with pytest.raises(UsageError, match="data= came without split="):
        pretrain(made, tmp_path / "run", data=tiny_dataset)
    with pytest.raises(UsageError, match="no scan came"):
        pretrain(made, tmp_path / "run")
    (tmp_path / "bad.nii.gz").write_bytes(b"no scan")
    with pytest.raises(InputError, match="none of the 1 scans could be read"):
        pretrain(made, tmp_path / "run", scans=[tmp_path / "bad.nii.gz"])
    with pytest.raises(UsageError, match="is not empty"):
        pretrain(made, tmp_path, scans=[tmp_path / "bad.nii.gz"])
    assert not (tmp_path / "run").exists()


def test_the_command(tiny_dataset, split, tmp_path, capsys):
    words = [f"model_args={NETS['cafr_net_plus']}", "preprocessing.size=64", "pixel_mm=2.0", "batch=4"]
    words += ["epochs=1", "steps_per_epoch=2", "precision=fp32", f"data={tiny_dataset}", f"split={split}"]
    assert main(["pretrain", "cafr_net_plus", *words, "-o", str(tmp_path / "run")]) == 0
    shown = capsys.readouterr()
    assert shown.out == f"{tmp_path / 'run'}\n"
    assert "step 2 of 2, loss 0." in shown.err
    assert (
        main(
            ["segment", str(tiny_dataset / "train/MR"), "-o", str(tmp_path / "o"), "--model", shown.out[:-1]]
        )
        == 2
    )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "one recipe was expected, 0 came"),
        (["cafr_net_plus"], "no scan came"),
        (["cafr_net_plus", "method=guess"], "pretraining.method: Input should be 'mask' or 'view'"),
        (["cafr_net_plus", "mask_px=12"], "pretraining.mask_px"),
        (["unet", "scans=none"], "UNet has no encoder"),
        (["cafr_net_plus", "fold=x"], "a number from 0 was expected"),
    ],
)
def test_wrong_use_of_the_command(words, message, tmp_path, capsys):
    assert main(["pretrain", *words, "-o", str(tmp_path / "run")]) == 2
    assert message in capsys.readouterr().err
