"""What becomes of the cases of a batch: told while it runs, journaled, and listed at the end."""

from __future__ import annotations

import errno
import logging
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...errors import CAFRNetError, Interrupted, UsageError
from ..inputs import Job
from .journal import Journal

logger = logging.getLogger(__name__)

#: What must still fit on a disk after it refused a result, for the next case to be worth a try.
ROOM_BYTES = 1 << 20
#: Errors of the system that the next case may meet as well.
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)


@dataclass(frozen=True)
class Outcome:
    """What became of one scan.

    Attributes:
        job: the scan and its outputs.
        status: ``"done"``, ``"skipped"`` (finished before), ``"failed"``, or ``"left"``: not started, since
            no result could be written any more.
        message: why it failed or was left.
        usage: whether it failed because an option is missing or wrong (several series, no pixel size).
        full: whether it failed because nothing can be written any more.
    """

    job: Job
    status: str
    message: str = ""
    usage: bool = False
    full: bool = False


Progress = Callable[[int, int, Outcome], None]


class Ledger:
    """What has become of the jobs of a batch so far.

    Args:
        jobs: all of them.
        journal: file that gets one JSON line for each case.
        progress: called after each case with its number from 1, the count, and what became of it.
    """

    def __init__(self, jobs: Sequence[Job], journal: Path | None, progress: Progress | None) -> None:
        self.jobs = jobs
        self._journal = Journal(journal) if journal else None
        self._progress = progress
        self._ended: dict[int, Outcome] = {}
        self._full = ""

    @property
    def full(self) -> bool:
        """Whether nothing can be written any more: no case should be started."""
        return bool(self._full)

    def fresh(self) -> Iterator[Job]:
        """Yield the jobs in order, as long as results can be written."""
        for job in self.jobs:
            if self.full:
                return
            yield job

    def note(self, index: int, result: Outcome | BaseException) -> None:
        """Note what became of a job: its outcome, or the exception that it raised."""
        outcome = result if isinstance(result, Outcome) else failure(self.jobs[index], result)
        self._ended[index] = outcome
        if outcome.full:
            self._full = outcome.message
        if self._journal:
            self._journal.append(entry(outcome))
        if self._progress:
            self._progress(len(self._ended), len(self.jobs), outcome)

    def missing(self) -> list[int]:
        """Return the indices of the jobs of which nothing is noted."""
        return [index for index in range(len(self.jobs)) if index not in self._ended]

    def outcomes(self) -> list[Outcome]:
        """Return all outcomes in order; a job that was not started is ``"left"``."""
        return [
            self._ended.get(index) or Outcome(job, "left", self._full) for index, job in enumerate(self.jobs)
        ]

    def interrupted(self) -> Interrupted:
        """Return the error of a Ctrl-C, which says what is left to do."""
        done = sum(outcome.status in ("done", "skipped") for outcome in self._ended.values())
        return Interrupted(
            f"{done} of {len(self.jobs)} scans are finished; the same command goes on with the others"
        )


def failure(job: Job, error: BaseException) -> Outcome:
    """Return the outcome of a case that raised."""
    if isinstance(error, CAFRNetError):
        full = is_full(error) and not has_room(job.labels.parent)
        return Outcome(job, "failed", str(error), isinstance(error, UsageError), full)
    logger.debug("%s: unexpected failure", job.source, exc_info=error)
    reason = " ".join(str(error).split())
    if isinstance(error, MemoryError):
        more = f" ({reason})" if reason else ""
        return Outcome(
            job, "failed", f"{job.source}: not enough memory{more}; give more, or fewer scans at once"
        )
    if isinstance(error, PermissionError):
        return Outcome(
            job, "failed", f"{error.filename or job.source} may not be opened; change its permissions"
        )
    return Outcome(job, "failed", f"{job.source}: unexpected {type(error).__name__}: {reason}")


def entry(outcome: Outcome) -> dict[str, Any]:
    """Return an outcome as a line of the journal."""
    job, more = outcome.job, {"message": outcome.message} if outcome.message else {}
    return {"input": str(job.source), "labels": str(job.labels), "status": outcome.status, **more}


def is_full(error: BaseException | None) -> bool:
    """Whether a full or read-only disk stands behind an error."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in FULL:
            return True
        error = error.__cause__
    return False


def has_room(folder: Path) -> bool:
    """Whether a file of :data:`ROOM_BYTES` can still be written in a folder."""
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"\0" * ROOM_BYTES)
            file.flush()
    except OSError:
        return False
    return True
