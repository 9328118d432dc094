"""Stages of jobs that can be sent to other processes: they do what the name of the row says."""

import os
import time
from pathlib import Path

from cafrnet.experiments.engines import Stages
from cafrnet.experiments.job import Job


def prepare(data: Path, thresholds: Path) -> None:
    thresholds.parent.mkdir(parents=True, exist_ok=True)
    thresholds.write_text("{}")


def fit(job: Job) -> bool:
    """A row called ``die...`` kills its process, ``fail...`` raises; the others write what was trained."""
    mark = job.run.path / "fitted"
    if mark.exists():
        return False
    job.run.path.mkdir(parents=True, exist_ok=True)
    with (job.run.path / "tries").open("a") as file:
        file.write(f"{os.getpid()}\n")
    if job.run.row.startswith("die"):
        os._exit(9)
    if job.run.row.startswith("fail"):
        raise ValueError("no gradient\nanywhere")
    time.sleep(0.05)
    mark.write_text(job.hash)
    return True


def score(job: Job) -> bool:
    """Needs what ``prepare`` and ``fit`` left."""
    assert job.thresholds.exists()
    assert (job.run.path / "fitted").read_text() == job.hash
    mark = job.run.path / "scored"
    if mark.exists():
        return False
    mark.write_text(str(job.threads))
    return True


STAGES = Stages(prepare, fit, score)
