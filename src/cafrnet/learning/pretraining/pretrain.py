"""One pretraining: from scans without labels to a folder that ``init=`` takes like a run."""

from __future__ import annotations

import csv
import io
import logging
import math
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from safetensors.torch import save
from torch import Tensor, nn

from ... import __version__
from ...errors import UsageError
from ...files import whole_file, write_text
from ...labels import TABLE
from ...preprocessing import Preprocessing
from ..recipes import Recipe
from ..training.module import Segmenter, network_for
from ..training.run import _precision
from .encoder import Encoder
from .images import Unlabelled, find_scans, read_slices
from .masking import MaskedReconstruction
from .views import ViewContrast

logger = logging.getLogger(__name__)

#: The task of each ``pretraining.method``, and how many images the encoder sees of each slice.
TASKS: dict[str, tuple[type[nn.Module], int]] = {"mask": (MaskedReconstruction, 1), "view": (ViewContrast, 2)}
#: Steps in one row of the journal.
ROW = 10

#: Called after every :data:`ROW` steps with steps done, steps in all, and their mean loss.
Report = Callable[[int, int, float], None]


def pretrain(
    recipe: Recipe,
    out: str | os.PathLike[str],
    *,
    data: str | os.PathLike[str] | None = None,
    split: str | os.PathLike[str] | None = None,
    fold: int | None = None,
    scans: Sequence[str | os.PathLike[str]] = (),
    report: Report | None = None,
) -> Path:
    """Pretrain the encoder of a recipe's network; no label is read.

    Args:
        recipe: network, preprocessing, augmentation; ``pretraining`` says what is learnt, ``training`` how
            (optimiser, ``epochs`` times ``steps_per_epoch`` steps, batch, rates, warm-up, clip, seed).
        out: folder, new or empty.
        data, split, fold: a dataset whose training part is learnt from.
        scans: files, folders or globs of further scans.
        report: told the progress.

    Returns:
        ``out`` with ``config.yaml preprocessing.json journal.csv best.safetensors``. ``train ... init=out``
        starts from it; none of its outputs counts as trained, and there is no ``model.onnx``: it segments
        nothing.

    Raises:
        UsageError: no scans, a folder in use, a network without an encoder, or a loss that is no number.
        InputError: no scan could be read.
    """
    run = Path(out)
    if run.exists() and (not run.is_dir() or any(run.iterdir())):
        raise UsageError(f"{run} is not empty; use another folder")
    torch.manual_seed(recipe.training.seed)
    segmenter = Segmenter(network_for(recipe), np.zeros(recipe.num_classes, bool))
    bf16 = _precision(recipe.training.precision) != "32-true"
    encoder = Encoder(segmenter.network, bf16)
    kind, views = TASKS[recipe.pretraining.method]
    task = kind(encoder, recipe)
    settings = Preprocessing(**recipe.preprocessing.model_dump())
    slices = read_slices(find_scans(data, split, fold, scans), settings)
    logger.info("%d slices of %d scans", len(slices.images), len(slices.sources))
    run.mkdir(parents=True, exist_ok=True)
    settings.save(run / "preprocessing.json")
    write_text(run / "config.yaml", yaml.safe_dump(_config(recipe, slices), sort_keys=False))
    fit(encoder, task, slices.images, recipe, views, run / "journal.csv", report)
    state = {name: t.cpu().contiguous().clone() for name, t in segmenter.state_dict().items()}
    with whole_file(run / "best.safetensors") as temporary:
        temporary.write_bytes(save(state, metadata={"pretraining": recipe.pretraining.method}))
    return run


def _config(recipe: Recipe, slices: Unlabelled) -> dict[str, Any]:
    return {
        "cafrnet": __version__,
        "recipe": recipe.model_dump(mode="json"),
        "label_table": TABLE.version,
        "init": None,
        "pretrained_on": {"slices": len(slices.images), "scans": list(slices.sources)},
    }


def fit(
    encoder: Encoder,
    task: nn.Module,
    images: Tensor,
    recipe: Recipe,
    views: int,
    journal: Path,
    report: Report | None = None,
) -> None:
    """Train an encoder on a task, on a GPU where there is one; it comes back on the CPU.

    Args:
        encoder: changed in place.
        task: (encoder, image [B, 1, H, W], seed) -> loss; thrown away afterwards.
        images: [n, H, W] float16.
        recipe: the schedule; a step is a function of seed and step alone.
        views: images that the encoder sees of each slice; ``training.batch`` counts those.
        journal: CSV with a row for every :data:`ROW` steps.
        report: told the progress.
    """
    t = recipe.training
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    both = nn.ModuleList([encoder, task]).to(device).train()
    images = images.to(device)
    kind = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[t.optimiser]
    optimiser = kind(both.parameters(), lr=t.lr, weight_decay=t.weight_decay)
    total, count = t.epochs * t.steps_per_epoch, max(1, t.batch // views)
    rows: list[dict[str, Any]] = []
    recent, began = torch.zeros((), device=device), time.perf_counter()
    for step in range(total):
        at, chance, dropout = _draw(len(images), count, t.seed, step)
        torch.manual_seed(dropout)
        for group in optimiser.param_groups:
            group["lr"] = rate(recipe, step, total)
        image = images[torch.from_numpy(at).to(device)][:, None].float()
        loss = task(encoder, image, chance)
        optimiser.zero_grad()
        loss.backward()
        if t.clip:
            torch.nn.utils.clip_grad_norm_(both.parameters(), t.clip)
        optimiser.step()
        recent += loss.detach()
        if (step + 1) % ROW == 0 or step + 1 == total:
            mean = recent.item() / (step % ROW + 1)
            _check(mean, step)
            seconds = time.perf_counter() - began
            rows.append({"step": step + 1, "loss": f"{mean:.6g}", "seconds": f"{seconds:.1f}"})
            recent.zero_()
            if report:
                report(step + 1, total, mean)
    _write_journal(rows, journal)
    both.to("cpu")


def rate(recipe: Recipe, step: int, total: int) -> float:
    """Return a step's learning rate: linear rise over ``warmup_steps``, cosine (Eq. 14) to ``lr_min``."""
    t = recipe.training
    cosine = t.lr_min + 0.5 * (t.lr - t.lr_min) * (1 + math.cos(math.pi * step / total))
    return cosine * min(1.0, (step + 1) / t.warmup_steps) if t.warmup_steps else cosine


def _draw(slices: int, count: int, seed: int, step: int) -> tuple[np.ndarray, int, int]:
    """Return the slices of a step (each once, as long as there are enough) and two seeds."""
    rng = np.random.default_rng((seed, 3, step))
    at = rng.choice(slices, count, replace=slices < count)
    return at, int(rng.integers(2**31)), int(rng.integers(2**31))


def _check(loss: float, step: int) -> None:
    if not math.isfinite(loss):
        raise UsageError(
            f"the loss became {loss} before step {step + 1}; try a lower training.lr, training.clip=1 or "
            "training.precision=fp32"
        )


def _write_journal(rows: list[dict[str, Any]], path: Path) -> None:
    text = io.StringIO()
    writer = csv.DictWriter(text, ("step", "loss", "seconds"), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, text.getvalue())
