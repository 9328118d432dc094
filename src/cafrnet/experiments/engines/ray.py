"""Jobs as trials of Ray Tune: on this machine, or on a cluster that sees the same folder."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ...errors import MissingExtraError
from ..job import Job
from . import Clock, Outcome, Progress, Stages, attempt_job


def run_ray(
    jobs: Sequence[Job],
    workers: int,
    clock: Clock,
    progress: Progress,
    stages: Stages,
    address: str | None = None,
) -> list[Outcome]:
    """Run jobs; see :func:`cafrnet.experiments.engines.run_jobs`.

    Each job is one trial and writes the same run folder as with any other engine; a trial whose process dies
    is tried once more, and goes on from its checkpoint. Ray's own records go to a temporary folder.

    Args:
        jobs, clock, progress, stages: as there.
        workers: trials at a time; each gets its share of a machine's cores, and of its GPU.
        address: of a cluster; None starts Ray on this machine and stops it at the end.

    Raises:
        MissingExtraError: Ray is not installed.
    """
    if importlib.util.find_spec("ray") is None or importlib.util.find_spec("ray.tune") is None:
        raise MissingExtraError("running on Ray", "sweep")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")
    import ray

    own = not ray.is_initialized()
    if own:
        ray.init(address=address, include_dashboard=False, log_to_driver=False, configure_logging=False)
    try:
        stages.prepare(jobs[0].data, jobs[0].thresholds)
        return _run(jobs, workers, clock, progress, stages)
    finally:
        if own:
            ray.shutdown()


def _run(
    jobs: Sequence[Job], workers: int, clock: Clock, progress: Progress, stages: Stages
) -> list[Outcome]:
    import tempfile

    from ray import tune

    share = _share(workers)
    threads = max(1, int(share["cpu"]))
    given = [replace(job, threads=job.threads or threads) for job in jobs]
    trial = tune.with_parameters(_trial, jobs=given, stages=stages, clock=clock)
    with tempfile.TemporaryDirectory(prefix="cafrnet-ray-") as records:
        results = tune.Tuner(
            tune.with_resources(trial, share),
            param_space={"job": tune.grid_search(list(range(len(jobs))))},
            tune_config=tune.TuneConfig(max_concurrent_trials=workers),
            run_config=tune.RunConfig(
                name="runs",
                storage_path=str(Path(records)),
                verbose=0,
                failure_config=tune.FailureConfig(max_failures=1),
                callbacks=[_watcher(jobs, progress)],
            ),
        ).fit()
        of_job = {(results[k].config or {})["job"]: results[k] for k in range(len(results))}
        return [_outcome(job, of_job[number]) for number, job in enumerate(jobs)]


def _trial(config: dict[str, Any], jobs: Sequence[Job], stages: Stages, clock: Clock) -> dict[str, Any]:
    """Run one job in a process of Ray; what became of it is the trial's result."""
    import torch

    job = jobs[config["job"]]
    torch.set_num_threads(job.threads or 1)
    outcome = attempt_job(job, clock, stages)
    return {"status": outcome.status, "message": outcome.message, "seconds": outcome.seconds}


def _outcome(job: Job, result: Any) -> Outcome:
    if result.error is not None or not result.metrics or "status" not in result.metrics:
        reason = " ".join(str(result.error).split()[-40:])
        return Outcome(job, "failed", f"its process died; was there enough memory? ({reason})")
    found = result.metrics
    return Outcome(job, found["status"], found["message"], found["seconds"])


def _share(workers: int) -> dict[str, float]:
    """Return what one trial takes of a machine: its share of the cores, and of a GPU where there is one."""
    import ray

    there = ray.cluster_resources()
    nodes = max(1, sum(node["Alive"] for node in ray.nodes()))
    cores = there.get("CPU", 1) / nodes
    share = {"cpu": float(max(1, int(cores // workers)))}
    if there.get("GPU", 0):
        share["gpu"] = min(1.0, there["GPU"] / workers)
    return share


def _watcher(jobs: Sequence[Job], progress: Progress) -> Any:
    from ray.tune import Callback

    class Watcher(Callback):
        """Passes each finished trial on."""

        done = 0

        def on_trial_complete(self, iteration: int, trials: list, trial: Any, **info: Any) -> None:
            self.done += 1
            job, found = jobs[trial.config["job"]], trial.last_result
            outcome = Outcome(job, found["status"], found["message"], found["seconds"])
            progress(self.done, len(jobs), outcome)

        def on_trial_error(self, iteration: int, trials: list, trial: Any, **info: Any) -> None:
            if trial.num_failures > 1:
                self.done += 1
                job = jobs[trial.config["job"]]
                progress(self.done, len(jobs), Outcome(job, "failed", "its process died"))

    return Watcher()
