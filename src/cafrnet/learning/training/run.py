"""One execution of a recipe on data: from cases to a run folder that ``segment`` can use."""

from __future__ import annotations

import logging
import os
import platform
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import torch
import yaml
from lightning.pytorch.callbacks import Callback, ModelCheckpoint, TQDMProgressBar
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.utilities import rank_zero_only
from safetensors.torch import load_file
from torch.utils.data import DataLoader

from ... import __version__
from ...datasets import Split, open_dataset
from ...errors import CAFRNetError, InputError, UsageError
from ...files import write_json, write_text
from ...labels import TABLE
from ...preprocessing import Preprocessing
from ..bundling.origin import origin
from ..bundling.trained import Trained, read_trained, same_trained
from ..codes import TruthCodes
from ..data import Draws, PreparedCase, TrainingBatches, prepare_cases
from ..export.onnx import export_onnx
from ..ranks import share
from ..recipes import Recipe
from ..recipes.load import check, load_recipe
from .allocator import keep_freed_memory
from .callbacks import Journal, PatientStopping, StepTimer, read_journal
from .curves import plot_curves
from .module import Segmenter, TrainingModule, network_for
from .start import kept_outputs, start_from

logger = logging.getLogger(__name__)

__all__ = ["resume", "train"]


class Interrupted(CAFRNetError):
    """Training was stopped by Ctrl-C; the run can be resumed."""


class Batches(L.LightningDataModule):
    """Training batches of the current epoch, and validation cases."""

    def __init__(self, train: TrainingBatches, val: Sequence[PreparedCase], workers: int) -> None:
        super().__init__()
        self.batches, self.val, self.workers = train, list(val), workers

    def train_dataloader(self) -> Any:
        """Return the batches of the current epoch, in order."""
        assert self.trainer is not None
        self.batches.epoch = self.trainer.current_epoch
        self.batches.rank, self.batches.ranks = self.trainer.global_rank, self.trainer.world_size
        context = "forkserver" if self.workers else None
        return DataLoader(
            self.batches, batch_size=None, num_workers=self.workers, multiprocessing_context=context
        )

    def val_dataloader(self) -> Any:
        """Return this process's whole cases, one at a time; all processes have the same number of batches."""
        assert self.trainer is not None
        ranks = self.trainer.world_size
        cases: list[Any] = [*self.val, *[()] * (-len(self.val) % ranks)]
        return DataLoader(share(cases, self.trainer.global_rank, ranks), batch_size=None)  # type: ignore[arg-type]

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        """Move a training batch; a validation case is moved in pieces later."""
        if not batch or isinstance(batch, PreparedCase | Draws):  # drawn slices are there already
            return batch
        return super().transfer_batch_to_device(batch, device, dataloader_idx)


def train(
    recipe: Recipe | str,
    data: str | os.PathLike[str],
    split: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    fold: int | None = None,
    init: str | os.PathLike[str] | None = None,
    progress: bool = False,
) -> Path:
    """Train a recipe and leave a finished run folder.

    Args:
        recipe: a recipe, the name of one that ships, or a YAML file.
        data: folder of a labelled dataset.
        split: ``split.json``; its ``train`` part is learnt, its ``val`` part chooses the best epoch (with
            ``select=last`` it may be empty).
        out: run folder, new or empty.
        fold: which fold is the test part, for a split into folds.
        init: ``"default"``, a bundle or a run whose weights training starts from; None starts from chance.
        progress: show a progress bar on stderr.

    Returns:
        ``out``, with the files of the contract: ``config.yaml split.json preprocessing.json journal.csv
        curves.png last.ckpt best.safetensors model.onnx`` and TensorBoard's folder.

    Raises:
        UsageError: recipe, split or folder are wrong. InputError: no usable case.
        Interrupted: Ctrl-C; at most the current epoch is lost.
    """
    start = read_trained(init) if init else None
    if isinstance(recipe, str):
        recipe = load_recipe(recipe, start=start.recipe if start else None)
    processes(recipe, torch.cuda.is_available())  # what can't start is said before anything is written
    run = Path(out)
    if is_first() and run.exists() and any(run.iterdir()):
        hint = f"--resume {run}" if (run / "last.ckpt").exists() else "another folder"
        raise UsageError(f"{run} is not empty; use {hint}")
    parts = Split.load(split, open_dataset(data)).parts(fold)
    setup = _prepare(recipe, str(data), parts, start)
    if not is_first():  # the first process writes
        return _fit(run, setup, progress=False, checkpoint=None)
    run.mkdir(parents=True, exist_ok=True)
    config = {
        "cafrnet": __version__,
        "recipe": recipe.model_dump(mode="json"),
        "data": str(Path(data).resolve()),
        "fold": fold,
        "label_table": TABLE.version,
        "init": origin(start) if start else None,
    }
    write_text(run / "split.json", Path(split).read_text(encoding="utf-8"))
    _preprocessing(recipe).save(run / "preprocessing.json")
    _write_frequencies(setup.batches, run)
    write_text(run / "config.yaml", yaml.safe_dump(config, sort_keys=False))
    return _fit(run, setup, progress=progress, checkpoint=None)


def resume(
    run: str | os.PathLike[str], *, data: str | os.PathLike[str] | None = None, progress: bool = False
) -> Path:
    """Go on with a run where its last finished epoch left it; ends with the weights of an unbroken run.

    Args:
        run: run folder.
        data: the dataset, if it has moved.
        progress: show a progress bar on stderr.

    Raises:
        UsageError: not a run folder. InputError: a damaged checkpoint.
    """
    run = Path(run)
    if not (run / "config.yaml").is_file():
        why = "config.yaml is not in it" if run.is_dir() else "there is no such folder"
        raise UsageError(f"{run} is not a run that can be resumed: {why}; give a folder that train wrote")
    try:
        config = yaml.safe_load((run / "config.yaml").read_text(encoding="utf-8"))
        recipe = check(config["recipe"], str(run / "config.yaml"))
        folder, fold, init = str(data or config["data"]), config.get("fold"), config.get("init")
    except (OSError, KeyError, TypeError, yaml.YAMLError) as error:
        raise UsageError(f"{run} is not a run that can be resumed: {error}") from error
    checkpoint = run / "last.ckpt"
    if checkpoint.exists():
        _check_checkpoint(checkpoint)
    parts = Split.load(run / "split.json", open_dataset(folder)).parts(fold)
    setup = _prepare(recipe, folder, parts, same_trained(init) if init else None)
    return _fit(run, setup, progress=progress, checkpoint=checkpoint if checkpoint.exists() else None)


@dataclass(frozen=True, eq=False)
class _Setup:
    """What a fit needs, made before anything is written."""

    recipe: Recipe
    batches: TrainingBatches
    val: list[PreparedCase]
    trained: np.ndarray
    module: TrainingModule


def _preprocessing(recipe: Recipe) -> Preprocessing:
    return Preprocessing(**recipe.preprocessing.model_dump())


def _prepare(recipe: Recipe, data: str, parts: dict[str, list[str]], start: Trained | None = None) -> _Setup:
    dataset = open_dataset(data)
    mixed = open_dataset(recipe.mix.data) if recipe.mix.share else None
    _check_parts(parts, recipe)
    codes = TruthCodes.of([d.sets for d in (dataset, mixed) if d is not None], recipe.num_classes)
    settings = _preprocessing(recipe)
    logger.info("preparing %d + %d cases", len(parts["train"]), len(parts["val"]))
    ready = {
        p: prepare_cases(dataset.select(parts[p]), settings, codes) if parts[p] else []
        for p in ("train", "val")
    }
    more = prepare_cases(mixed.cases, settings, codes) if mixed is not None else []
    learnt = [*(ready["train"] if recipe.mix.share < 1 else []), *more]
    trained = codes.trained({int(c) for case in learnt for c in np.unique(case.truth)})
    if start:
        trained = kept_outputs(trained, start)
    missing = [TABLE[int(i)].name for i in np.flatnonzero(~trained)]
    if missing:
        logger.warning("no training case marks %s: not trained, never predicted", ", ".join(missing))
    batches = TrainingBatches(ready["train"], codes, recipe, more)
    module = TrainingModule(recipe, codes, trained, batches)
    if start:
        start_from(module, start)
    return _Setup(recipe, batches, ready["val"], trained, module)


def _check_parts(parts: dict[str, list[str]], recipe: Recipe) -> None:
    if not parts["train"]:
        raise UsageError("the split has no training cases; make another with `cafrnet data split`")
    if not parts["val"] and (recipe.training.select == "best" or recipe.training.patience):
        raise UsageError(
            "the split has no validation cases; make another with `cafrnet data split`, or train without: "
            "select=last patience=0"
        )


def _fit(run: Path, setup: _Setup, *, progress: bool, checkpoint: Path | None) -> Path:
    _quieten_libraries()
    keep_freed_memory()
    t = setup.recipe.training
    gpu = torch.cuda.is_available()
    if gpu:
        torch.set_float32_matmul_precision("high")
    for network in (setup.module.segmenter, setup.module.averaged):
        if network is not None:  # faster on a CPU, too: LOG.md
            network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    timer = StepTimer()
    callbacks: list[Callback] = [timer, Journal(run, timer)]
    if t.patience:
        callbacks.append(PatientStopping(t.patience, int(t.patience_after * t.epochs)))
    callbacks.append(
        ModelCheckpoint(run, filename="last", save_on_train_epoch_end=True, enable_version_counter=False)
    )
    if progress:
        callbacks.append(TQDMProgressBar(refresh_rate=5))
    if t.compile:
        setup.module.segmenter.compile()
    trainer = L.Trainer(
        max_epochs=t.epochs,
        **processes(setup.recipe, gpu),
        precision=_precision(t.precision),
        gradient_clip_val=t.clip or None,
        callbacks=callbacks,
        logger=TensorBoardLogger(run, name="tensorboard", version=""),
        enable_progress_bar=progress,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        log_every_n_steps=1,
        reload_dataloaders_every_n_epochs=1,
        deterministic=False if gpu else "warn",  # on a GPU the exact kernels cost several times as much
        benchmark=gpu,
        check_val_every_n_epoch=t.validate_every,
        limit_val_batches=len(setup.val),
        default_root_dir=run,
    )
    began = time.time()
    try:
        trainer.fit(
            setup.module,
            datamodule=Batches(setup.batches, setup.val, t.workers),
            ckpt_path=checkpoint,
            weights_only=True,
        )
    except (KeyboardInterrupt, SystemExit) as stop:  # Lightning ends the process after Ctrl-C; we report
        raise Interrupted(f"training was interrupted; go on with: cafrnet train --resume {run}") from stop
    if trainer.is_global_zero:
        finish(run, setup.recipe, setup.trained, minutes=(time.time() - began) / 60)
    return run


def finish(run: Path, recipe: Recipe, trained: np.ndarray, *, minutes: float | None = None) -> None:
    """Draw the curves and turn the best weights into ``model.onnx``."""
    rows = read_journal(run / "journal.csv")
    plot_curves(rows, run / "curves.png")
    segmenter = Segmenter(network_for(recipe), trained)
    try:
        segmenter.load_state_dict(load_file(run / "best.safetensors"))
    except Exception as error:
        raise InputError(f"{run / 'best.safetensors'} is damaged or of another network: {error}") from error
    last = recipe.training.select == "last"
    best = rows[-1] if last else max(rows, key=lambda r: float(r.get("val_dice") or 0))
    export_onnx(
        segmenter,
        recipe.preprocessing.size,
        run / "model.onnx",
        {
            "label_table": TABLE.version,
            "num_classes": recipe.num_classes,
            "trained": [int(i) for i in np.flatnonzero(trained)],
            "preprocessing": _preprocessing(recipe).to_dict(),
            "version": __version__,
        },
    )
    write_json(
        run / "run.json",
        {
            "best_epoch": int(best["epoch"]),
            "best_val_dice": float(best["val_dice"]) if best.get("val_dice") else None,
            "epochs": len(rows),
            "steps": int(rows[-1]["step"]),
            "not_trained": [TABLE[int(i)].name for i in np.flatnonzero(~trained)],
            "minutes_this_session": None if minutes is None else round(minutes, 1),
            "versions": {
                "cafrnet": __version__,
                "torch": torch.__version__,
                "python": platform.python_version(),
            },
            "device": "cuda" if torch.cuda.is_available() else f"cpu, {torch.get_num_threads()} threads",
        },
    )


def is_first() -> bool:
    """Whether this is the process that writes: the only one, or rank 0 of several."""
    return getattr(rank_zero_only, "rank", 0) == 0


def processes(recipe: Recipe, gpu: bool) -> dict[str, Any]:
    """Return the options of the trainer about devices and machines.

    Raises:
        UsageError: more devices than there are, or a batch that can't be shared out evenly.
    """
    t = recipe.training
    there = torch.cuda.device_count() if gpu else None
    devices = (there or 1) if t.devices == "auto" else t.devices
    if there is not None and devices > there:
        raise UsageError(f"training.devices {devices} came, this machine has {there} GPU(s)")
    ranks = devices * t.nodes
    if t.batch % ranks:
        raise UsageError(f"training.batch {t.batch} is no multiple of the {ranks} processes that share it")
    return {
        "devices": devices,
        "num_nodes": t.nodes,
        "strategy": "ddp" if ranks > 1 and t.strategy == "auto" else t.strategy,
        "sync_batchnorm": gpu and ranks > 1,
        "use_distributed_sampler": False,  # batches are shared out by us, see TrainingBatches
    }


def _precision(name: str) -> Any:
    """Resolve "auto": bf16 wherever the processor multiplies it faster, else fp32."""
    if name == "fp32":
        return "32-true"
    if name == "bf16":
        return "bf16-mixed"
    fast = (
        torch.cuda.is_bf16_supported()
        if torch.cuda.is_available()
        else torch.ops.mkldnn._is_mkldnn_bf16_supported()
    )
    return "bf16-mixed" if fast else "32-true"


def _quieten_libraries() -> None:
    """Quieten the chatter of the libraries; our own log stays."""
    for name in ("lightning", "lightning.pytorch", "lightning.fabric", "onnx_ir", "onnxscript", "torch.onnx"):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="lightning")


def _check_checkpoint(path: Path) -> None:
    try:
        torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except Exception as error:
        raise InputError(
            f"{path} is damaged ({type(error).__name__}); remove it and train again, "
            "best.safetensors of the run is untouched"
        ) from error


def _write_frequencies(batches: TrainingBatches, run: Path) -> None:
    """Record how often slices hold each class, in the data and in the first epoch's batches."""
    before, after = batches.frequencies(0)
    write_json(
        run / "class_frequencies.json",
        {
            TABLE[i].name: {"slices": round(float(b), 4), "batches": round(float(a), 4)}
            for i, (b, a) in enumerate(zip(before, after, strict=True))
            if i and (b or a)
        },
    )
