"""Many scans, one model: finished ones are skipped, a bad one never stops the rest."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ..errors import CAFRNetError, UsageError
from ..labels import get_scheme
from .inputs import Job
from .model import Model
from .stages import Request, infer_case, read_case, write_case

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Outcome:
    """What became of one scan.

    Attributes:
        job: the scan and its outputs.
        status: ``"done"``, ``"skipped"`` (finished before) or ``"failed"``.
        message: why it failed.
        usage: whether it failed because an option is missing or wrong (several series, no pixel size).
    """

    job: Job
    status: str
    message: str = ""
    usage: bool = False


def segment_files(
    jobs: Sequence[Job],
    model: Model,
    *,
    series: str = "auto",
    pixel_mm: float | None = None,
    labels: str = "cafrnet",
    overwrite: bool = False,
    progress: Callable[[int, int, Outcome], None] | None = None,
) -> list[Outcome]:
    """Segment scans one after the other with one loaded model.

    Args:
        jobs: see :func:`cafrnet.inference.inputs.plan_jobs`.
        model: loaded once.
        series: which series of a DICOM folder.
        pixel_mm: pixel size of PNG inputs.
        labels: scheme of the label maps that are written.
        overwrite: do finished scans again, and replace files of others that have an output's name.
        progress: called after each scan with its number from 1, the count, and what became of it.

    Returns:
        One outcome per job, in order. A scan is finished when its JSON names the same input, model and
        options; the JSON is written last.
    """
    get_scheme(labels)
    request = Request(model, series, pixel_mm, labels, overwrite)
    outcomes = []
    for number, job in enumerate(jobs, 1):
        try:
            case = read_case(job, request)
            if case is not None:
                write_case(case, infer_case(case, request), request)
            outcome = Outcome(job, "skipped" if case is None else "done")
        except CAFRNetError as error:
            outcome = Outcome(job, "failed", str(error), isinstance(error, UsageError))
        except Exception as error:  # whatever one scan does, the others go on
            logger.debug("%s: unexpected failure", job.source, exc_info=True)
            reason = " ".join(str(error).split())
            outcome = Outcome(job, "failed", f"{job.source}: unexpected {type(error).__name__}: {reason}")
        outcomes.append(outcome)
        if progress:
            progress(number, len(jobs), outcome)
    return outcomes
