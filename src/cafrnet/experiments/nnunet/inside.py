"""Run by the Python of nnU-Net's environment, not imported: what is there, what was planned and trained.

It knows nothing of cafrnet, and answers with a JSON file::

    python inside.py about OUT TRAINER
    python inside.py fold OUT PLANS DATASET_JSON CONFIGURATION FOLD CHECKPOINT
"""

from __future__ import annotations

import json
import os
import platform
import sys
import tempfile
from importlib.metadata import version
from math import prod
from pathlib import Path
from typing import Any

#: Side in pixels of the square that all models' cost is counted on.
SIDE = 256


def about(trainer: str) -> dict[str, Any]:
    """Return what is installed; fails where the commands would, on what can't be imported or found."""
    import nnunetv2.run.run_training  # noqa: F401 - that it can be imported is the question
    import torch
    from nnunetv2.utilities.find_objects import recursive_find_trainer_class_by_name

    recursive_find_trainer_class_by_name(trainer)
    versions = {name: version(name) for name in ("nnunetv2", "torch")}
    return {"versions": {"python": platform.python_version(), **versions}, "cuda": torch.cuda.is_available()}


def fold(plans: str, dataset: str, configuration: str, number: str, checkpoint: str) -> dict[str, Any]:
    """Return what nnU-Net planned for a configuration, and how a fold of it was trained."""
    import torch

    # written by nnU-Net a moment ago on this machine, and read by nnU-Net itself in the same way
    state = torch.load(checkpoint, map_location="cpu", weights_only=False)
    log = state["logging"]
    times = zip(log["epoch_start_timestamps"], log["epoch_end_timestamps"], strict=False)
    trainer = _trainer(_json(plans), _json(dataset), configuration, int(number), state["trainer_name"])
    return {
        "trainer": state["trainer_name"],
        "epochs": int(state["current_epoch"]),
        "planned_epochs": int(trainer.num_epochs),
        "iterations": int(trainer.num_iterations_per_epoch),
        "mirroring": state.get("inference_allowed_mirroring_axes"),
        "pseudo_dice": [float(value) for value in log["ema_fg_dice"]],
        "seconds": [float(end) - float(start) for start, end in times],
        "plan": _plan(trainer),
        "threads": torch.get_num_threads(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
    }


def _json(path: str) -> Any:
    return json.loads(Path(path).read_text(encoding="utf-8"))


def _trainer(plans: Any, dataset: Any, configuration: str, number: int, name: str) -> Any:
    """Return a trainer that trains nothing: its constructor says how long it would."""
    import torch
    from nnunetv2.utilities.find_objects import recursive_find_trainer_class_by_name

    plans["continue_training"] = False
    return recursive_find_trainer_class_by_name(name)(
        plans, configuration, number, dataset, torch.device("cpu")
    )


def _plan(trainer: Any) -> dict[str, Any]:
    """Return size and cost of the planned network as it runs in inference, without deep supervision."""
    from nnunetv2.utilities.get_network_from_plans import get_network_from_plans

    plan = trainer.configuration_manager
    network = get_network_from_plans(
        plan.network_arch_class_name,
        plan.network_arch_init_kwargs,
        plan.network_arch_init_kwargs_req_import,
        1,
        trainer.label_manager.num_segmentation_heads,
        allow_init=False,
        deep_supervision=False,
    )
    patch = [int(n) for n in plan.patch_size]
    kwargs = plan.network_arch_init_kwargs
    shrinks = [prod(step[axis] for step in kwargs["strides"]) for axis in range(len(patch))]
    fits = len(patch) == 2 and all(SIDE % shrink == 0 for shrink in shrinks)
    return {
        "network": plan.network_arch_class_name,
        "patch_size": patch,
        "spacing_mm": [float(s) for s in plan.spacing],
        "batch": int(plan.batch_size),
        "stages": int(kwargs["n_stages"]),
        "features": list(kwargs["features_per_stage"]),
        "outputs": int(trainer.label_manager.num_segmentation_heads),
        "params": sum(p.numel() for p in network.parameters()),
        "gmacs_patch": _gmacs(network, patch),
        f"gmacs_{SIDE}": _gmacs(network, [SIDE, SIDE]) if fits else None,
    }


def _gmacs(network: Any, size: list[int]) -> float:
    """Count the multiply-accumulates of convolutions and linear layers, on shapes alone."""
    import torch
    from torch import nn
    from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd

    total = 0

    def count(layer: Any, given: Any, result: Any) -> None:
        nonlocal total
        if isinstance(layer, _ConvTransposeNd):
            total += given[0].numel() * layer.out_channels // layer.groups * prod(layer.kernel_size)
        elif isinstance(layer, _ConvNd):
            total += result.numel() * layer.in_channels // layer.groups * prod(layer.kernel_size)
        elif isinstance(layer, nn.Linear):
            total += result.numel() * layer.in_features

    hooks = [layer.register_forward_hook(count) for layer in network.modules()]
    network.to("meta").eval()(torch.zeros(1, 1, *size, device="meta"))
    for hook in hooks:
        hook.remove()
    return round(total / 1e9, 4)


def main(words: list[str]) -> None:
    """Answer one question."""
    question, out, *rest = words
    with tempfile.TemporaryDirectory() as nowhere:
        os.environ.update(nnUNet_results=nowhere)  # a trainer makes folders as soon as there is one
        answer = about(*rest) if question == "about" else fold(*rest)
    Path(out).write_text(json.dumps(answer), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
