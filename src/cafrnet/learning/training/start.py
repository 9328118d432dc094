"""Training that starts from weights that were trained before: ``init=default``, a bundle or a run."""

from __future__ import annotations

import inspect
import logging
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...errors import UsageError
from ...labels import TABLE
from ..bundling.trained import COUNTERS, TRAINED, Trained
from ..models.registry import REGISTRY
from ..recipes import Recipe
from .module import Segmenter, TrainingModule, network_for

logger = logging.getLogger(__name__)

#: Arguments of networks that change no answer of a trained one: they may differ.
FREE_ARGUMENTS = ("dropout", "drop_path", "clr", "clr_source", "clr_channels", "num_classes")


def start_from(module: TrainingModule, start: Trained) -> None:
    """Give a module's network the weights of another one.

    Outputs that both have are taken over; of a network with 20 outputs, the outputs 20 and 21 start anew.
    What only training needs (CLR's fused map, its projections) may start anew as well. Both are logged.

    Raises:
        UsageError: another network, other arguments, or weights that do not fit: all of them are named.
    """
    _check_network(module.recipe, start)
    _check_preprocessing(module.recipe, start)
    _load(module.segmenter, module.recipe, start)
    if module.averaged is not None:
        module.averaged.load_state_dict(module.segmenter.state_dict())


def known_outputs(start: Trained, num_classes: int) -> np.ndarray:
    """Return which of ``num_classes`` outputs the weights have learnt: [num_classes] bool."""
    known = np.zeros(num_classes, bool)
    known[: len(start.trained)] = start.trained[:num_classes]
    return known


def kept_outputs(trained: np.ndarray, start: Trained) -> np.ndarray:
    """Return the outputs that a continued model has: those of its data, and those it knew before.

    Decided beyond the design: few cases rarely mark every level; a structure that the weights know is not
    forgotten by rule because three new scans don't show it. It is logged.
    """
    kept = known_outputs(start, len(trained)) & ~trained
    if kept.any():
        names = ", ".join(TABLE[int(i)].name for i in np.flatnonzero(kept))
        logger.warning("%s: marked in no training case, kept as %s knows them", names, start.source)
    return trained | kept


def _check_network(recipe: Recipe, start: Trained) -> None:
    if recipe.model != start.recipe.model:
        raise UsageError(
            f"{start.source} holds a {start.recipe.model}, the recipe asks for a {recipe.model}; name the "
            "recipe that it was trained with, or 'finetune', which takes the network from it"
        )
    ours, theirs = (_arguments(r) for r in (recipe, start.recipe))
    keys = sorted({*ours, *theirs} - set(FREE_ARGUMENTS))
    if differing := [k for k in keys if ours.get(k) != theirs.get(k)]:
        shown = "; ".join(f"{k} is {theirs.get(k)!r} there, {ours.get(k)!r} here" for k in differing)
        raise UsageError(
            f"the network of {start.source} has other model_args: {shown}. The recipe 'finetune' takes them "
            "from it"
        )


def _arguments(recipe: Recipe) -> dict[str, Any]:
    """Return the arguments of a recipe's network, those that it leaves at their defaults included."""
    entry = REGISTRY.get(recipe.model)
    given = {**(entry.args if entry else {}), **recipe.model_args}
    if entry:
        accepted = inspect.signature(entry.factory).parameters.values()
        given = {p.name: p.default for p in accepted if p.default is not p.empty} | given
    return {k: list(v) if isinstance(v, tuple) else v for k, v in given.items()}


def _check_preprocessing(recipe: Recipe, start: Trained) -> None:
    """Warn where the scans are prepared otherwise: possible, but the weights have never seen such images."""
    ours, theirs = (r.preprocessing.model_dump() for r in (recipe, start.recipe))
    differing = [f"{k} {ours[k]} (was {theirs[k]})" for k in ours if ours[k] != theirs[k]]
    if differing:
        logger.warning("scans are prepared otherwise than for %s: %s", start.source, ", ".join(differing))


def _load(segmenter: Segmenter, recipe: Recipe, start: Trained) -> None:
    own = {name: t for name, t in segmenter.state_dict().items() if name != TRAINED}
    spare = _only_for_training(recipe) | start.left_out
    new = sorted(n for n in own if n not in start.weights and not n.endswith(COUNTERS))
    wrong = {
        "missing": [n for n in new if n not in spare],
        "unexpected": sorted(n for n in start.weights if n not in own and n not in spare),
        "of another shape": [],
    }
    fitted = {}
    for name in sorted(own.keys() & start.weights.keys()):
        tensor = _fitted(own[name], start.weights[name], recipe.num_classes, start.recipe.num_classes)
        if tensor is None:
            wrong["of another shape"].append(
                f"{name} ({_shape(start.weights[name])}, not {_shape(own[name])})"
            )
        else:
            fitted[name] = tensor
    if any(wrong.values()):
        shown = "; ".join(f"{what}: {_first(names)}" for what, names in wrong.items() if names)
        raise UsageError(f"the weights of {start.source} do not fit the recipe's network: {shown}")
    segmenter.load_state_dict(fitted, strict=False)
    if new:
        logger.warning("not in %s, begun anew (only training needs them): %s", start.source, _first(new))
    _log_outputs(recipe.num_classes, start.recipe.num_classes)


def _only_for_training(recipe: Recipe) -> frozenset[str]:
    """Return the weights of a recipe's network that only CLR needs, by comparing it with and without."""
    with torch.device("meta"):
        keys = [
            network_for(recipe.model_copy(update={"clr": recipe.clr.model_copy(update={"enabled": on})}))
            .state_dict()
            .keys()
            for on in (True, False)
        ]
    return frozenset(f"network.{name}" for name in keys[0] - keys[1])


def _fitted(own: Tensor, other: Tensor, here: int, there: int) -> Tensor | None:
    """Return the other tensor in the own one's shape: as it is, or with the outputs that both have."""
    if own.shape == other.shape:
        return other
    if own.shape[1:] != other.shape[1:] or (own.ndim, own.shape[0], other.shape[0]) != (
        other.ndim,
        here,
        there,
    ):
        return None
    result, both = own.clone(), min(here, there)
    result[:both] = other[:both].to(own.dtype)
    return result


def _log_outputs(here: int, there: int) -> None:
    if here == there:
        return
    both = min(here, there)
    more = ", ".join(TABLE[i].name for i in range(both, here))
    text = f"begun anew: {more}" if more else "the others are dropped"
    logger.warning("%d outputs there, %d here: 0 to %d are taken over; %s", there, here, both - 1, text)


def _shape(tensor: Tensor) -> str:
    return " x ".join(map(str, tensor.shape)) or "one number"


def _first(names: list[str]) -> str:
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
