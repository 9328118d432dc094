"""Engines: what runs the jobs of a reproduction. One file each, all with the same files as a result.

A job has two stages, :func:`~cafrnet.experiments.fit.fit` and :func:`~cafrnet.experiments.score.score`. Both
look at the folder first, so that a finished job is skipped and an interrupted one goes on, whichever engine
began it.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ...errors import CAFRNetError, Interrupted, UsageError, nearest
from ...files import write_text
from ..fit import fit
from ..job import Job
from ..score import make_thresholds, score

#: "local" runs one job after the other, or several processes; "ray" asks Ray Tune.
ENGINES = ("local", "ray")


@dataclass(frozen=True)
class Outcome:
    """What became of one job.

    Attributes:
        job: the job.
        status: ``"done"``, ``"skipped"`` (finished before), ``"failed"`` or ``"not started"``.
        message: why it failed or was not started.
        seconds: it took.
    """

    job: Job
    status: str
    message: str = ""
    seconds: float = 0.0


#: Called after each job with its number from 1, the number of jobs, and what became of it.
Progress = Callable[[int, int, Outcome], None]


@dataclass(frozen=True)
class Clock:
    """When no new job may start any more.

    Attributes:
        deadline: of ``time.time()``; None for never.
    """

    deadline: float | None = None

    @classmethod
    def after(cls, minutes: float | None) -> Clock:
        """Return a clock that stops new jobs so many minutes from now."""
        return cls(None if minutes is None else time.time() + 60 * minutes)

    @property
    def over(self) -> bool:
        """Whether it is too late."""
        return self.deadline is not None and time.time() >= self.deadline


@dataclass(frozen=True)
class Stages:
    """What is done for a job; each looks at the folder first and says whether there was anything to do.

    Attributes:
        prepare: once for all jobs: (dataset, file of the thresholds).
        fit: trains. score: predicts and scores.
    """

    prepare: Callable[[Path, Path], object] = make_thresholds
    fit: Callable[[Job], bool] = fit
    score: Callable[[Job], bool] = score


#: Why a job was not started.
LATE = "the time limit came first; the same command goes on with it"


def run_jobs(
    jobs: Sequence[Job],
    *,
    engine: str = "local",
    workers: int = 1,
    clock: Clock | None = None,
    progress: Progress | None = None,
    ray_address: str | None = None,
    stages: Stages | None = None,
) -> list[Outcome]:
    """Run jobs; one that fails never stops the others.

    Args:
        jobs: in the order in which they are started.
        engine: one of ``ENGINES``.
        workers: jobs that train at a time.
        clock: after which nothing new is started; what runs is finished.
        progress: called after each job.
        ray_address: of a cluster, for the engine ``ray``; a local one is started without it.
        stages: what is done for a job.

    Returns:
        One outcome per job, in their order.

    Raises:
        UsageError: an unknown engine, or fewer than one worker.
        Interrupted: Ctrl-C; finished jobs are kept, the same call goes on with the others.
    """
    if engine not in ENGINES:
        raise UsageError(f"no engine {engine!r}{nearest(engine, ENGINES)}")
    if workers < 1:
        raise UsageError(f"{workers} jobs at a time came, at least 1 was expected")
    clock, progress, stages = clock or Clock(), progress or (lambda *_: None), stages or Stages()
    if not jobs:
        return []
    if engine == "ray":
        from .ray import run_ray

        return run_ray(jobs, workers, clock, progress, stages, ray_address)
    if workers > 1:
        from .processes import run_processes

        return run_processes(jobs, workers, clock, progress, stages)
    from .sequential import run_sequentially

    return run_sequentially(jobs, clock, progress, stages)


def attempt(job: Job, stage: Callable[[Job], bool]) -> Outcome:
    """Run one stage of a job; whatever goes wrong with it is in the outcome, and its trace beside the run."""
    began = time.perf_counter()
    trace = job.run.path.with_name(f"{job.run.path.name}.error.txt")
    trace.unlink(missing_ok=True)
    try:
        status = "done" if stage(job) else "skipped"
        return Outcome(job, status, seconds=time.perf_counter() - began)
    except Exception as error:
        if type(error).__name__ == "Interrupted":  # training's own word for Ctrl-C
            raise Interrupted(str(error)) from error
        known = isinstance(error, CAFRNetError)
        reason = " ".join(str(error).split())
        write_text(trace, traceback.format_exc())
        message = reason if known else f"{type(error).__name__}: {reason} (trace in {trace})"
        return Outcome(job, "failed", message, time.perf_counter() - began)


def attempt_job(job: Job, clock: Clock, stages: Stages) -> Outcome:
    """Run both stages of a job, unless it is too late to begin."""
    if clock.over and not job.run.trained:
        return Outcome(job, "not started", LATE)
    fitted = attempt(job, stages.fit)
    return fitted if fitted.status == "failed" else together(fitted, attempt(job, stages.score))


def together(fitted: Outcome, scored: Outcome) -> Outcome:
    """Return what became of a job from what became of its two stages."""
    if scored.status == "failed":
        status = "failed"
    else:
        status = "skipped" if fitted.status == scored.status == "skipped" else "done"
    return Outcome(fitted.job, status, scored.message, fitted.seconds + scored.seconds)
