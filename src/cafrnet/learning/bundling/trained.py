"""Weights that were trained before, read from a run or out of a bundle."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from safetensors.torch import load_file
from torch import Tensor, nn

from ...bundles import find, open_bundle
from ...bundles.layout import MODEL, is_bundle
from ...errors import InputError, UsageError
from ...files import sha256
from ..recipes import Recipe
from ..recipes.load import check
from ..training.module import network_for

#: What stands before a weight's own name in ``model.onnx``.
ONNX_PREFIX = "segmenter."
#: The segmenter's buffer that says which outputs were trained; it is no weight.
TRAINED = "trained"
#: Counters that no result depends on.
COUNTERS = ".num_batches_tracked"


@dataclass(frozen=True, eq=False)
class Trained:
    """A trained network, not yet built.

    Attributes:
        source: as it was named.
        recipe: that it was trained with.
        weights: parameter or buffer of the segmenter -> fp32 (or whole-number) tensor.
        trained: [num_classes] bool: which outputs were trained.
        left_out: weights of the segmenter that are not in ``weights``, since no logit depends on them.
        sha256: of the file that the weights come from.
    """

    source: str
    recipe: Recipe
    weights: dict[str, Tensor]
    trained: np.ndarray
    left_out: frozenset[str]
    sha256: str

    def record(self) -> dict[str, str]:
        """Return what a run's ``config.yaml`` says of the weights that it started from."""
        where = Path(self.source)
        return {"source": str(where.resolve()) if where.is_dir() else self.source, "sha256": self.sha256}


def read_trained(source: str | os.PathLike[str]) -> Trained:
    """Read weights with what belongs to them.

    Args:
        source: run folder, bundle folder, name of an added bundle, or ``"default"``.

    Raises:
        UsageError: no such folder or bundle, or a folder that is neither. InputError: damaged files.
    """
    folder = find(source)
    return _of_bundle(folder, str(source)) if is_bundle(folder) else _of_run(folder, str(source))


def same_trained(record: Mapping[str, str]) -> Trained:
    """Read the weights that a run started from again.

    Raises:
        UsageError: they are no longer there. InputError: they are others now.
    """
    trained = read_trained(record["source"])
    if trained.sha256 != record["sha256"]:
        raise InputError(
            f"the run started from {record['source']}, which holds other weights now; restore them, or begin "
            "a new run"
        )
    return trained


def _of_bundle(folder: Path, source: str) -> Trained:
    """Take the weights out of ``model.onnx``, where each has its name (see ``export_onnx(fold=False)``)."""
    import onnx

    bundle = open_bundle(folder)
    proto = onnx.load(folder / MODEL)
    meta = {p.key: json.loads(p.value) for p in proto.metadata_props if p.key.startswith("cafrnet.")}
    recipe = check(bundle.card.recipe, f"on the card of {source}")
    weights = {
        tensor.name.removeprefix(ONNX_PREFIX): _tensor(onnx.numpy_helper.to_array(tensor))
        for tensor in proto.graph.initializer
        if tensor.name.startswith(ONNX_PREFIX)
    }
    weights.pop(TRAINED, None)
    weights = _under_all_names(weights, recipe)
    trained = np.zeros(recipe.num_classes, bool)
    trained[meta["cafrnet.trained"]] = True
    left_out = frozenset(bundle.card.raw["weights"]["left_out"])
    return Trained(source, recipe, weights, trained, left_out, bundle.hashes[MODEL])


def same_weights(module: nn.Module) -> list[list[str]]:
    """Return the names of a module's weights, those together that are one and the same tensor."""
    groups: dict[int, list[str]] = {}
    for name, tensor in module.state_dict(keep_vars=True).items():
        groups.setdefault(id(tensor), []).append(name)
    return list(groups.values())


def _under_all_names(weights: dict[str, Tensor], recipe: Recipe) -> dict[str, Tensor]:
    """Repeat weights that a network registers more than once (MONAI's DynUNet does); a file has each once."""
    with torch.device("meta"):
        groups = same_weights(network_for(recipe))
    result = dict(weights)
    for names in (["network." + name for name in group] for group in groups):
        if stored := next((name for name in names if name in weights), None):
            result |= dict.fromkeys(names, weights[stored])
    return result


def _tensor(values: np.ndarray) -> Tensor:
    whole = values.dtype.kind in "iub"
    return torch.from_numpy(np.array(values if whole else values.astype(np.float32)))


def _of_run(folder: Path, source: str) -> Trained:
    path = folder / "best.safetensors"
    recipe = run_recipe(folder)
    try:
        stored = load_file(path)
        trained = stored.pop(TRAINED).numpy()
    except Exception as error:
        raise InputError(f"{path} is missing or damaged ({error}); train the run to its end") from error
    return Trained(source, recipe, stored, trained, frozenset(), sha256(path))


def read_config(folder: Path) -> dict[str, Any]:
    """Return what ``config.yaml`` of a run says.

    Raises:
        UsageError: no run.
    """
    path = folder / "config.yaml"
    try:
        config = yaml.safe_load(path.read_text(encoding="utf-8"))
        _ = config["recipe"]
    except FileNotFoundError:
        raise UsageError(
            f"{folder} is neither a run nor a bundle: it has no config.yaml and no card.yaml"
        ) from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError, KeyError, TypeError) as error:
        raise InputError(f"{path} is damaged: {error}") from error
    return dict(config)


def run_recipe(folder: Path) -> Recipe:
    """Return the recipe of a run."""
    return check(read_config(folder)["recipe"], str(folder / "config.yaml"))
