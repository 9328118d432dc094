"""One job after the other, in this process."""

from __future__ import annotations

from collections.abc import Sequence

from ...errors import Interrupted
from ..fit import fit
from ..job import Job
from ..score import make_thresholds, score
from . import LATE, Clock, Outcome, Progress, attempt, together


def run_sequentially(jobs: Sequence[Job], clock: Clock, progress: Progress) -> list[Outcome]:
    """Run jobs; see :func:`cafrnet.experiments.engines.run_jobs`."""
    outcomes: list[Outcome] = []
    try:
        for number, job in enumerate(jobs, 1):
            outcomes.append(_one(job, clock))
            progress(number, len(jobs), outcomes[-1])
    except KeyboardInterrupt as stop:
        raise Interrupted(f"{len(outcomes)} of {len(jobs)} runs were dealt with; {stop}") from stop
    return outcomes


def _one(job: Job, clock: Clock) -> Outcome:
    if clock.over and not job.run.trained:
        return Outcome(job, "not started", LATE)
    fitted = attempt(job, fit)
    if fitted.status == "failed":
        return fitted
    return together(fitted, attempt(job, _score))


def _score(job: Job) -> bool:
    make_thresholds(job.data, job.thresholds)
    return score(job)
