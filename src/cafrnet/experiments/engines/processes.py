"""Several jobs at a time, each in a process of its own kind: some train, others predict and score.

So a GPU is not idle while label maps are scored. The workers stay, since loading torch takes seconds.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from typing import Any

from ...errors import Interrupted
from ...processes import end_workers, new_pool
from ..job import Job
from . import LATE, Clock, Outcome, Progress, Stages, attempt, together


def run_processes(
    jobs: Sequence[Job], workers: int, clock: Clock, progress: Progress, stages: Stages
) -> list[Outcome]:
    """Run jobs; see :func:`cafrnet.experiments.engines.run_jobs`.

    A worker that dies (killed for memory, say) takes its pool with it. What ran there is tried again one by
    one, so that the guilty job is known; it fails, the others are done.
    """
    return _Run(jobs, workers, clock, progress, stages).run()


class _Pool:
    """Processes for one stage, made anew when one of them dies."""

    def __init__(self, workers: int, threads: int) -> None:
        self.workers, self.threads = workers, threads
        self.running: dict[Future[Any], Job] = {}
        self.broken = False
        self._executor = self._new()

    def _new(self) -> ProcessPoolExecutor:
        return new_pool(self.workers, _context(), _start, self.threads)

    def call(self, work: Callable[..., Any], *args: Any) -> Future[Any]:
        """Hand work to a process."""
        try:
            return self._executor.submit(work, *args)
        except BrokenProcessPool:
            self.renew()
            return self._executor.submit(work, *args)

    def submit(self, stage: Callable[[Job], bool], job: Job) -> None:
        """Run one stage of a job."""
        self.running[self.call(attempt, job, stage)] = job

    def renew(self) -> None:
        self.broken = False
        self._executor.shutdown(wait=False, cancel_futures=True)
        self._executor = self._new()

    def close(self) -> None:
        self._executor.shutdown(wait=True, cancel_futures=True)


class _Run:
    """The state of one call."""

    def __init__(
        self, jobs: Sequence[Job], workers: int, clock: Clock, progress: Progress, stages: Stages
    ) -> None:
        cores = os.cpu_count() or 1
        self.threads = max(1, cores // workers)
        self.jobs = [replace(j, threads=j.threads or self.threads) for j in jobs]
        self.clock, self.progress, self.stages = clock, progress, stages
        self.pools = {"fit": _Pool(workers, self.threads), "score": _Pool(workers, self.threads)}
        self.queues: dict[str, deque[Job]] = {"fit": deque(self.jobs), "score": deque()}
        self.suspects: dict[str, deque[Job]] = {"fit": deque(), "score": deque()}
        self.fitted: dict[Job, Outcome] = {}
        self.outcomes: dict[Job, Outcome] = {}

    def run(self) -> list[Outcome]:
        try:
            first = self.jobs[0]
            ready: Future[Any] | None = self.pools["score"].call(
                self.stages.prepare, first.data, first.thresholds
            )
            while len(self.outcomes) < len(self.jobs):
                if ready is not None and ready.done():
                    ready.result()
                    ready = None
                self._start("fit")
                if ready is None:
                    self._start("score")
                waiting = [*self.pools["fit"].running, *self.pools["score"].running]
                waiting += [ready] if ready is not None else []
                if waiting:
                    wait(waiting, return_when=FIRST_COMPLETED)
                for stage in ("fit", "score"):
                    self._collect(stage)
        except KeyboardInterrupt as stop:
            end_workers()
            done = len(self.outcomes)
            raise Interrupted(f"{done} of {len(self.jobs)} runs were dealt with. {stop}".strip()) from stop
        finally:
            for pool in self.pools.values():
                pool.close()
        return [replace(self.outcomes[job], job=job) for job in self.jobs]

    def _start(self, stage: str) -> None:
        """Fill the pool; a suspect runs alone."""
        pool, queue, suspects = self.pools[stage], self.queues[stage], self.suspects[stage]
        work = self.stages.fit if stage == "fit" else self.stages.score
        if suspects:
            if not pool.running:
                pool.submit(work, suspects[0])
            return
        while queue and len(pool.running) < pool.workers:
            job = queue.popleft()
            if stage == "fit" and self.clock.over and not job.run.trained:
                self._end(job, Outcome(job, "not started", LATE))
            else:
                pool.submit(work, job)

    def _collect(self, stage: str) -> None:
        pool, suspects = self.pools[stage], self.suspects[stage]
        for future in [f for f in pool.running if f.done()]:
            job = pool.running.pop(future)
            alone = bool(suspects) and suspects[0] is job
            try:
                outcome = future.result()
            except BrokenProcessPool:
                pool.broken = True
                if alone:
                    outcome = Outcome(job, "failed", "its process died; was there enough memory?")
                else:
                    suspects.append(job)
                    continue
            if alone:
                suspects.popleft()
            self._next(stage, job, outcome)
        if pool.broken and not pool.running:
            pool.renew()

    def _next(self, stage: str, job: Job, outcome: Outcome) -> None:
        if outcome.status == "failed":
            self._end(job, outcome)
        elif stage == "fit":
            self.fitted[job] = outcome
            self.queues["score"].append(job)
        else:
            self._end(job, together(self.fitted[job], outcome))

    def _end(self, job: Job, outcome: Outcome) -> None:
        self.outcomes[job] = outcome
        self.progress(len(self.outcomes), len(self.jobs), outcome)


def _context() -> Any:
    """Return how processes are started: from one that has loaded torch already, where the system can."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["cafrnet.learning.training.run"])
    return context


def _start(threads: int) -> None:
    """Prepare a worker: its share of the cores, and no chatter."""
    import torch

    torch.set_num_threads(threads)
    logging.basicConfig(level=logging.ERROR, format="%(message)s")
