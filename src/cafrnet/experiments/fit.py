"""First stage of a job: train, or go on with an interrupted training, and note what it took."""

from __future__ import annotations

import platform
import shutil
from typing import Any

import yaml

from .. import __version__
from ..errors import UsageError
from ..files import write_json
from .convergence import judge
from .job import Job, essence
from .layout import read_json
from .memory import peak_memory


def fit(job: Job) -> bool:
    """Train a job, and leave a run folder with ``fit.json``.

    A finished training of the same job is left as it is; an interrupted one goes on from its checkpoint.

    Returns:
        Whether anything was trained.

    Raises:
        UsageError: the folder holds another experiment. Otherwise what training raises.
    """
    run = job.run.path
    if job.run.trained:
        _same(job, read_json(job.run.fit).get("hash"))
        return False
    from ..learning.recipes.load import check
    from ..learning.training import run as training

    for path in (job.run.score, job.run.fit):
        path.unlink(missing_ok=True)
    with peak_memory() as peak:
        if job.run.config.is_file():
            config = yaml.safe_load(job.run.config.read_text(encoding="utf-8"))
            begun = check(config["recipe"], str(job.run.config))
            if essence(begun) != essence(job.recipe) or config.get("fold") != job.fold:
                raise UsageError(_other(job))
        if (run / "last.ckpt").exists():
            training.resume(run, data=job.data)
        else:  # stopped before its first checkpoint, or its large files were removed: nothing to go on from
            shutil.rmtree(run, ignore_errors=True)
            training.train(job.recipe, job.data, job.split, run, fold=job.fold)
    write_json(job.run.fit, {**_record(job), "process_mb": peak.process_mb, "gpu_mb": peak.gpu_mb})
    return True


def _record(job: Job) -> dict[str, Any]:
    import torch

    from ..learning.training.callbacks import read_journal

    rows = read_journal(job.run.journal)
    curve = judge(rows)
    steps = int(rows[-1]["step"])
    step_s = sum(float(r["step_s"]) for r in rows)
    best = max((float(r["val_dice"]) for r in rows if r.get("val_dice")), default=None)
    return {
        "hash": job.hash,
        "row": job.run.row,
        "fold": job.run.fold,
        "seed": job.run.seed,
        "steps": steps,
        "planned_steps": job.recipe.training.epochs * job.recipe.training.steps_per_epoch,
        "batch": job.recipe.training.batch,
        "minutes": round(sum(float(r["epoch_s"]) for r in rows) / 60, 3),
        "ms_per_step": round(1000 * step_s / steps, 2),
        "best_val_dice": best,
        "converged": curve.converged,
        "rise": curve.rise,
        "reason": curve.reason,
        "val_curve_last_tenth": [list(point) for point in curve.curve],
        "split": job.split_hash,
        "data": job.data_hash,
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else platform.machine(),
        "threads": torch.get_num_threads(),
        "versions": {"cafrnet": __version__, "torch": torch.__version__},
    }


def _same(job: Job, found: Any) -> None:
    if found != job.hash:
        raise UsageError(_other(job))


def _other(job: Job) -> str:
    return (
        f"{job.run.path} holds another experiment under this name (other recipe, budget, data or split); "
        "choose another folder with -o"
    )
