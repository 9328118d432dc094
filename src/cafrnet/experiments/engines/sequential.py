"""One job after the other, in this process."""

from __future__ import annotations

from collections.abc import Sequence

from ...errors import Interrupted
from ..job import Job
from . import Clock, Outcome, Progress, Stages, attempt_job


def run_sequentially(jobs: Sequence[Job], clock: Clock, progress: Progress, stages: Stages) -> list[Outcome]:
    """Run jobs; see :func:`cafrnet.experiments.engines.run_jobs`."""
    outcomes: list[Outcome] = []
    try:
        stages.prepare(jobs[0].data, jobs[0].thresholds)
        for number, job in enumerate(jobs, 1):
            outcomes.append(attempt_job(job, clock, stages))
            progress(number, len(jobs), outcomes[-1])
    except KeyboardInterrupt as stop:
        raise Interrupted(f"{len(outcomes)} of {len(jobs)} runs were dealt with. {stop}".strip()) from stop
    return outcomes
