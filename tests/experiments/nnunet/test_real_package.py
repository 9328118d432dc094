"""The real ``nnunetv2`` end to end, where ``CAFRNET_NNUNET_PYTHON`` names an environment that has it.

It trains one epoch of three steps with a trainer of this test's own, found through nnU-Net's variable
``nnUNet_extTrainer``: enough to prove every step, and nothing else.
"""

import csv
import os
import subprocess
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

pytest.importorskip("torch")

from cafrnet.datasets import make_split, open_dataset
from cafrnet.experiments.layout import read_json
from cafrnet.experiments.nnunet.back import bring_back
from cafrnet.experiments.nnunet.raw import write_raw
from cafrnet.experiments.nnunet.settings import Settings
from cafrnet.experiments.reproduce import Options, reproduce
from handmade import stairs

from ..small import Training, install

TRAINER = """
import torch
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer


class ThreeSteps(nnUNetTrainer):
    def __init__(self, plans, configuration, fold, dataset_json, device=torch.device("cpu")):
        super().__init__(plans, configuration, fold, dataset_json, device)
        self.num_epochs, self.num_iterations_per_epoch, self.num_val_iterations_per_epoch = 1, 3, 1
"""

#: Reads a label map as nnU-Net does and writes it as its predictions are written.
THERE_AND_BACK = """
import sys
from nnunetv2.imageio.nibabel_reader_writer import NibabelIOWithReorient as IO
labels, about = IO().read_seg(sys.argv[1])
IO().write_seg(labels[0], sys.argv[2], about)
"""


@pytest.fixture
def python():
    """The environment's Python."""
    found = os.environ.get("CAFRNET_NNUNET_PYTHON")
    if not found:
        pytest.skip("CAFRNET_NNUNET_PYTHON names no Python with nnunetv2")
    return Path(found)


def write_squares(root: Path) -> Path:
    """Write six spines on 64 x 64 pixels, with a little noise."""
    for folder in ("train/MR", "train/Mask"):
        (root / folder).mkdir(parents=True)
    image, labels, affine = stairs(rows=64, cols=64)
    for k in range(1, 7):
        noise = np.random.default_rng(k).integers(0, 5, image.shape).astype(image.dtype)
        nib.save(nib.Nifti1Image(image + noise, affine), root / f"train/MR/Case{k}.nii.gz")
        nib.save(nib.Nifti1Image(labels, affine), root / f"train/Mask/mask_case{k}.nii.gz")
    (root / "dataset.yaml").write_text("name: squares\nvalues:\n  0: [0, 1]\n")
    return root


@pytest.mark.slow
def test_labels_that_nnunetv2_reads_and_writes_come_back_in_their_place(python, tmp_path):
    data = open_dataset(write_squares(tmp_path / "data"))
    case = data.cases[0]
    raw = write_raw(data, make_split(data, seed=0, folds=5), tmp_path / "raw", "hash")
    words = [python, "-c", THERE_AND_BACK, raw.labels(case.id), tmp_path / "made.nii.gz"]
    subprocess.run(words, check=True, capture_output=True)
    bring_back(case, tmp_path / "made.nii.gz", tmp_path / "back.nii.gz")
    truth = case.read_truth()
    assert len(np.unique(truth)) > 10
    back = nib.load(tmp_path / "back.nii.gz")
    np.testing.assert_array_equal(np.asarray(back.dataobj), np.where(truth < 20, truth, 0))


@pytest.mark.slow
def test_nnunetv2_plans_trains_predicts_and_is_scored(python, tmp_path, monkeypatch):
    from cafrnet.experiments import cost

    monkeypatch.setattr(cost, "_side_by_side", lambda models, threads, rounds: {})
    install(monkeypatch, Training())
    (tmp_path / "trainers").mkdir()
    (tmp_path / "trainers/three_steps.py").write_text(TRAINER)
    monkeypatch.setenv("nnUNet_extTrainer", str(tmp_path / "trainers"))
    monkeypatch.setenv("nnUNet_def_n_proc", "1")
    monkeypatch.setenv("nnUNet_n_proc_DA", "1")
    data, out = write_squares(tmp_path / "data"), tmp_path / "r"
    settings = Settings(python, trainer="ThreeSteps", device="cpu")
    options = Options(steps=100, folds=(0,), rows=("cafr_net",), nnunet=settings)
    result = reproduce(["table3"], data, out, options=options)
    assert result.complete, result.written.problems
    run = out / "nnunetv2/ThreeSteps__nnUNetPlans__2d/fold0/seed0"
    fit, score = read_json(run / "fit.json"), read_json(run / "score.json")
    assert (fit["epochs"], fit["steps"], fit["planned_steps"], fit["trainer"]) == (1, 3, 3, "ThreeSteps")
    plan = fit["plan"]
    assert (plan["patch_size"], plan["outputs"], plan["stages"]) == ([64, 64], 20, 5)
    # five stages of 32 to 512: the network of Table 3, counted by hand elsewhere
    assert plan["gmacs_256"] == pytest.approx(12.07, rel=0.005)
    assert plan["gmacs_patch"] == pytest.approx(plan["gmacs_256"] / 16, rel=0.001)
    assert plan["params"] == pytest.approx(7.76e6, rel=0.005)
    for case in score["cases"]:
        made = nib.load(run / f"predictions/{case}_seg.nii.gz")
        scan = nib.load(data / f"train/MR/{case}.nii.gz")
        assert made.shape == scan.shape
        np.testing.assert_array_equal(made.affine, scan.affine)
    assert (out / fit["model_folder"] / "fold_0/checkpoint_final.pth").is_file()
    with (out / "tables/table3.csv").open(newline="") as file:
        row = list(csv.DictReader(file))[-1]
    assert row["method"] == "nnU-Net v2 (package, 2d, 1 of 1000 epochs)"
    assert row["p_holm_note"] == "proven, not trained (1 of 1000 epochs)"
