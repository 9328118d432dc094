"""A run whose network was made by hand: one convolution that reads the ids off the grey values."""

import json
from dataclasses import replace
from functools import cache
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import save_file

from cafrnet.learning.export import examples
from cafrnet.learning.export import export as export_module
from cafrnet.learning.export.examples import Example
from cafrnet.learning.export.onnx import export_onnx
from cafrnet.learning.recipes.load import check
from cafrnet.learning.training.module import Segmenter, network_for
from cafrnet.phantom import SMALL
from cafrnet.preprocessing import Preprocessing
from handmade import stairs

#: Edge of the convolution: large enough that fp16 stores it, and only its middle counts.
KERNEL = 9
RECIPE = {
    "model": "torch.nn.Conv2d",
    "num_classes": 22,
    "model_args": {"kernel_size": KERNEL, "padding": KERNEL // 2},
    "preprocessing": {"pixel_mm": 2.0, "size": 64, "contrast": "none"},
    "clr": {"enabled": False},
}


def handmade_network() -> torch.nn.Module:
    """Class k wins where the grey value v is nearest to k / 21: logits 84 k v - 2 k^2, exact in fp16."""
    segmenter = Segmenter(network_for(check(RECIPE, "handmade")), np.ones(22, bool))
    k = torch.arange(22.0)
    with torch.no_grad():
        for name, parameter in segmenter.named_parameters():
            parameter.zero_()
            if name.endswith("weight"):
                parameter[:, 0, KERNEL // 2, KERNEL // 2] = 84 * k
            elif name.endswith("bias"):
                parameter.copy_(-2 * k**2)
    return segmenter


def write_run(folder: Path, segmenter: torch.nn.Module, split: dict | None = None) -> Path:
    """Write the files of a finished run."""
    folder.mkdir(parents=True)
    settings = Preprocessing(**RECIPE["preprocessing"])
    settings.save(folder / "preprocessing.json")
    (folder / "config.yaml").write_text(yaml.safe_dump({"recipe": RECIPE, "fold": None}))
    save_file(segmenter.state_dict(), folder / "best.safetensors")
    metadata = {
        "label_table": 1,
        "num_classes": 22,
        "trained": [int(i) for i in np.flatnonzero(segmenter.trained)],
        "preprocessing": settings.to_dict(),
    }
    export_onnx(segmenter, 64, folder / "model.onnx", metadata)
    if split is not None:
        (folder / "split.json").write_text(json.dumps(split))
    return folder


@pytest.fixture(scope="session")
def handmade_run(tmp_path_factory) -> Path:
    return write_run(tmp_path_factory.mktemp("handmade") / "run", handmade_network())


@pytest.fixture(scope="session")
def stairs_data(tmp_path_factory) -> Path:
    """Four labelled cases that the handmade network gets right."""
    root = tmp_path_factory.mktemp("stairs")
    for case in range(1, 5):
        image, labels, affine = stairs(slices=2 + case)
        for folder, name, array in (("MR", f"Case{case}", image), ("Mask", f"mask_case{case}", labels)):
            (root / "train" / folder).mkdir(parents=True, exist_ok=True)
            nib.save(nib.Nifti1Image(array, affine), root / f"train/{folder}/{name}.nii.gz")
    values = "".join(f"  {k}: [{k}]\n" for k in range(22))
    (root / "dataset.yaml").write_text(f"name: stairs\nvalues:\n{values}")
    return root


@pytest.fixture(autouse=True)
def few_phantoms(monkeypatch):
    monkeypatch.setattr(export_module, "PHANTOMS", 1)
    monkeypatch.setattr(export_module, "CALIBRATION_PHANTOMS", 1)
    monkeypatch.setattr(export_module, "phantom_examples", small_phantom)


@cache
def small_phantom(settings: Preprocessing, count: int, seed: int) -> tuple[Example, ...]:
    """Three slices of the phantom that an export is really tried on: drawing all of it takes longest."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(examples, "SMALL", replace(SMALL, slices=3, supersampling=1))
        return tuple(examples.phantom_examples(settings, count, seed))
