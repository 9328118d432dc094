"""What a network costs: parameters, multiply-accumulates, and time and memory measured side by side."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import platform
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from ..files import write_json
from ..inference.engines import open_engine
from ..learning.recipes import Recipe
from .footprint import ENGINE, measure_memory, one_slice
from .layout import read_json

logger = logging.getLogger(__name__)

#: Timed rounds; each model once per round.
ROUNDS = 15
WARM_UP = 2
#: Which memory: of a process with ONNX Runtime and no PyTorch. Measurements that say otherwise are made anew.
MEMORY_OF = "the runtime alone"


@dataclass(frozen=True)
class Cost:
    """The cost of one network.

    Attributes:
        params: used in inference.
        gmacs: of one slice of the model grid, CLR off.
        latency_ms: median time of one slice through ONNX Runtime; None where it was not measured.
        latency_spread_ms: half the distance of the quartiles.
        peak_mb: highest memory of a process that loads the model and runs one slice, without PyTorch.
        idle_mb: of that process before it loaded the model; most of it is what Python imports.
    """

    params: int
    gmacs: float
    latency_ms: float | None = None
    latency_spread_ms: float | None = None
    peak_mb: float | None = None
    idle_mb: float | None = None


def count(recipe: Recipe) -> Cost:
    """Count parameters and multiply-accumulates on shapes alone, without any weights."""
    import torch

    from ..learning.models.cost import count_macs, count_parameters
    from ..learning.training.module import network_for

    size = recipe.preprocessing.size
    with torch.device("meta"):
        network = network_for(recipe)
    return Cost(count_parameters(network), round(count_macs(network, (1, 1, size, size)) / 1e9, 4))


def measure(
    recipes: Mapping[str, Recipe],
    models: Mapping[str, Path],
    kept: Path,
    *,
    threads: int = 2,
    rounds: int = ROUNDS,
) -> tuple[dict[str, Cost], dict[str, Any]]:
    """Count and measure networks side by side.

    All models are open at once; in each round every model runs one slice, starting with another one each
    time, so that a slower machine for a while hits all of them. Memory is measured in a fresh process each.
    Neither depends on what the weights learnt: a finished row whose model was not kept is measured with new
    weights.

    Args:
        recipes: name -> recipe.
        models: name -> ``model.onnx`` of a finished row, there or not; other names are counted only.
        kept: file that keeps the measurement; one of the same networks and threads is not made again.
        threads: of ONNX Runtime, the same for all.
        rounds: timed ones.

    Returns:
        Name -> cost, and what it was measured on (for the caption).
    """
    there = {name: path for name, path in models.items() if name in recipes}
    about = {
        "networks": {name: _network_hash(recipes[name]) for name in there},
        "threads": threads,
        "rounds": rounds,
        "memory_of": MEMORY_OF,
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, {platform.system()}",
    }
    if kept.is_file() and (old := read_json(kept)).get("about") == about:
        measured = old["measured"]
    else:
        with TemporaryDirectory() as bench:
            files = {
                n: p if p.is_file() else _untrained(recipes[n], Path(bench) / n) for n, p in there.items()
            }
            measured = _side_by_side(files, threads, rounds)
        write_json(kept, {"about": about, "measured": measured})
    counted = {name: asdict(count(recipe)) for name, recipe in recipes.items()}
    return {name: Cost(**{**c, **measured.get(name, {})}) for name, c in counted.items()}, about


def _network_hash(recipe: Recipe) -> str:
    """Return 64 hexadecimal digits over what decides the cost of a network: all but its weights."""
    decides = (recipe.model, recipe.model_args, recipe.num_classes, recipe.preprocessing.size)
    return hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()


def _untrained(recipe: Recipe, folder: Path) -> Path:
    """Write a recipe's network with new weights as ``model.onnx``, and return its path."""
    import torch

    from ..learning.export.onnx import export_onnx
    from ..learning.training.module import Segmenter, network_for

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        segmenter = Segmenter(network_for(recipe), np.ones(recipe.num_classes, bool))
    export_onnx(segmenter, recipe.preprocessing.size, folder / "model.onnx", {})
    return folder / "model.onnx"


def _side_by_side(models: Mapping[str, Path], threads: int, rounds: int) -> dict[str, dict[str, Any]]:
    engines = {name: open_engine(path, threads, ENGINE) for name, path in models.items()}
    images = {name: one_slice(engine) for name, engine in engines.items()}
    names, times = list(engines), {name: list[float]() for name in engines}
    for k in range(WARM_UP + rounds):
        first = k % max(1, len(names))
        for name in [*names[first:], *names[:first]]:
            began = time.perf_counter()
            engines[name](images[name])
            if k >= WARM_UP:
                times[name].append(1000 * (time.perf_counter() - began))
    found = {}
    for name, path in models.items():
        low, middle, high = np.percentile(times[name], [25, 50, 75])
        idle, peak = measure_memory(path, threads)
        found[name] = {
            "latency_ms": round(float(middle), 2),
            "latency_spread_ms": round(float(high - low) / 2, 2),
            "idle_mb": idle,
            "peak_mb": peak,
        }
    return found
