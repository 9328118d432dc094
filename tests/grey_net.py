"""A network that needs no learning: it names structure k where the grey value is k / 21. And a run of it."""

import json

import numpy as np
import torch
import yaml
from safetensors.torch import save_file
from torch import nn

from cafrnet.files import sha256, write_json
from cafrnet.labels import TABLE
from cafrnet.learning.export.onnx import export_onnx
from cafrnet.learning.recipes import load_recipe
from cafrnet.learning.training.module import Segmenter, network_for
from cafrnet.preprocessing import Preprocessing


class GreyNet(nn.Module):
    """Logit k is 100 (k v - k^2 / 42) for a grey value v: largest for the k next to 21 v.

    Args:
        num_classes: outputs.
        offset: added to every weight of the last layer, which changes no label, and in fp16 drowns the rest.
    """

    def __init__(self, num_classes: int = 22, offset: float = 0.0) -> None:
        super().__init__()
        self.copy, self.norm = nn.Conv2d(1, 64, 3, padding=1), nn.BatchNorm2d(64, momentum=0.0)
        self.head = nn.Conv2d(64, num_classes, 1)
        k = torch.arange(num_classes, dtype=torch.float32)
        with torch.no_grad():
            for conv in (self.copy, self.head):
                conv.weight.zero_()
                conv.bias.zero_()
            self.copy.weight[:, 0, 1, 1] = 1
            self.norm.running_var.sub_(self.norm.eps)  # so that it divides by 1
            self.head.weight[:, 0, 0, 0] = 100 * k + offset
            self.head.bias.copy_(-100 * k**2 / 42)

    def forward(self, image):
        return self.head(self.norm(self.copy(image)))


def small_recipe(*words):
    return load_recipe(
        "cafr_net", ["clr=false", "preprocessing.size=64", "pixel_mm=2.0", "contrast=none", *words]
    )


def drawn_segmenter(*words, seed=3):
    """A network whose every weight is drawn, running statistics included."""
    recipe = small_recipe(*words)
    segmenter = Segmenter(network_for(recipe), np.ones(recipe.num_classes, bool)).eval()
    torch.manual_seed(seed)
    with torch.no_grad():
        for name, tensor in segmenter.state_dict().items():
            if tensor.is_floating_point():
                tensor.copy_(torch.rand_like(tensor) * 0.2 + (0.9 if "running_var" in name else -0.1))
    return segmenter


def write_run(folder, *words, trained=None, data=None):
    """Write a finished run without training.

    Args:
        folder: to make.
        words: changes of the recipe, as on the command line.
        trained: ids; None for all.
        data: folder of its dataset.
    """
    recipe = small_recipe(*words)
    known = np.isin(np.arange(recipe.num_classes), range(22) if trained is None else trained)
    segmenter = Segmenter(network_for(recipe), known).eval()
    with torch.no_grad():
        segmenter.prior.zero_()
    folder.mkdir(parents=True)
    settings = Preprocessing(**recipe.preprocessing.model_dump())
    settings.save(folder / "preprocessing.json")
    split = {"train": ["Case1"], "val": ["Case2"], "test": [], "dataset": "by hand"}
    (folder / "split.json").write_text(json.dumps(split))
    config = {"cafrnet": "0", "recipe": recipe.model_dump(mode="json"), "fold": None, "label_table": 1}
    config["data"] = str(data) if data else ""
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    save_file({k: v.contiguous() for k, v in segmenter.state_dict().items()}, folder / "best.safetensors")
    metadata = {
        "label_table": TABLE.version,
        "num_classes": recipe.num_classes,
        "trained": [int(i) for i in np.flatnonzero(known)],
        "preprocessing": settings.to_dict(),
        "version": "0",
        "source": sha256(folder / "best.safetensors"),
    }
    export_onnx(segmenter, settings.size, folder / "model.onnx", metadata)
    write_json(folder / "run.json", {"not_trained": []})
    return folder
