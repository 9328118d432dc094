"""Many scans, one model: finished ones are skipped, a bad one never stops the rest."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

from ..errors import UsageError
from ..files import sweep
from ..labels import get_scheme
from .bulk.flow import Flow, Stage
from .bulk.outcomes import Ledger, Outcome, Progress, failure
from .bulk.shared_engine import SharedEngine
from .inputs import Job
from .model import Model
from .segment import Segmentation
from .stages import Opened, Request, infer_case, read_case, write_case

#: Most slices of different scans that go through the network together.
SLICES_AT_ONCE = 4


@dataclass(frozen=True)
class Workers:
    """How many scans are at once in which stage. Measured in docs/bulk.md.

    Attributes:
        read, infer, write: threads of each stage. The network itself runs one batch at a time, on all cores;
            meanwhile the other scans of this stage are brought to the model grid or back from it.
        at_once: most scans in memory. 1 is one after the other, without threads.
    """

    read: int = 1
    infer: int = 2
    write: int = 1
    at_once: int = 2

    def __post_init__(self) -> None:
        """Raise UsageError for a number below 1."""
        for name, count in vars(self).items():
            if count < 1:
                what = "scans at once" if name == "at_once" else f"threads to {name}"
                raise UsageError(f"{count} {what} came, at least 1 was expected")

    @classmethod
    def default(cls, at_once: int | None = None) -> Workers:
        """Return what suits this machine.

        Args:
            at_once: most scans in memory; None chooses it too: as many as there are cores (two at least), for
                more gained nothing on two, and never more than all stages have threads.
        """
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        read, infer, write = max(1, cores // 8), max(2, cores // 4), max(1, cores // 4)
        usual = min(read + infer + write, max(2, cores))
        return cls(read, infer, write, usual if at_once is None else at_once)


def segment_files(
    jobs: Sequence[Job],
    model: Model,
    *,
    series: str = "auto",
    pixel_mm: float | None = None,
    labels: str = "cafrnet",
    overwrite: bool = False,
    workers: Workers | None = None,
    journal: Path | None = None,
    progress: Progress | None = None,
) -> list[Outcome]:
    """Segment scans with one loaded model: one is read while others go through the network or are written.

    Args:
        jobs: see :func:`cafrnet.inference.inputs.plan_jobs`.
        model: loaded once.
        series: which series of a DICOM folder.
        pixel_mm: pixel size of PNG inputs.
        labels: scheme of the label maps that are written.
        overwrite: do finished scans again, and replace files of others that have an output's name.
        workers: how many scans at once; None suits this machine.
        journal: file that gets one JSON line for each scan, see :class:`~.bulk.journal.Journal`.
        progress: called after each scan with its number from 1, the count, and what became of it.

    Returns:
        One outcome per job, in order. A scan is finished when its JSON names the same input, model and
        options; the JSON is written last. When nothing can be written any more, no further scan is started.

    Raises:
        UsageError: no such scheme, or no scan at once.
        Interrupted: Ctrl-C; results that were being written are whole, what was under way is not there.
    """
    get_scheme(labels)
    request = Request(model, series, pixel_mm, labels, overwrite)
    ledger = Ledger(jobs, journal, progress)
    workers = workers or Workers.default()
    sweep(path for job in jobs for path in job.outputs)
    try:
        if len(jobs) > 1 and workers.at_once != 1:
            _together(ledger, request, workers)
        else:
            for index, job in enumerate(ledger.fresh()):
                ledger.note(index, segment_one(job, request))
    except KeyboardInterrupt as stop:
        raise ledger.interrupted() from stop
    return ledger.outcomes()


def segment_one(job: Job, request: Request) -> Outcome:
    """Segment one scan, whatever happens."""
    try:
        case = read_case(job, request)
        if case is not None:
            write_case(case, infer_case(case, request), request)
        return Outcome(job, "skipped" if case is None else "done")
    except Exception as error:  # whatever one scan does, the others go on
        return failure(job, error)


def _together(ledger: Ledger, request: Request, workers: Workers) -> None:
    """Several scans at once, in different stages."""
    engine = SharedEngine(request.model.engine, SLICES_AT_ONCE)
    inferring = replace(request, model=replace(request.model, engine=engine))

    def read(job: Job) -> Opened | Outcome:
        return read_case(job, request) or Outcome(job, "skipped")

    def infer(case: Opened) -> tuple[Opened, Segmentation]:
        return case, infer_case(case, inferring)

    def write(pair: tuple[Opened, Segmentation]) -> Outcome:
        write_case(*pair, request)
        return Outcome(pair[0].job, "done")

    stages = Stage(read, workers.read), Stage(infer, workers.infer), Stage(write, workers.write)
    flow = Flow(stages, workers.at_once, ends=Outcome)
    try:
        with closing(flow.run(ledger.fresh())) as running:
            for index, result in running:
                ledger.note(index, result)
    except KeyboardInterrupt:
        for index, result in flow.stopped():
            ledger.note(index, result)
        raise
