"""Many scans, one model: finished ones are skipped, a bad one never stops the rest."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .. import __version__
from ..errors import CAFRNetError, InputError, UsageError
from ..files import write_json
from ..labels import TABLE, get_scheme
from ..report.preview import write_preview
from ..scan import Scan, read_scan, write_labels
from .inputs import Job
from .model import Model
from .record import identity, is_output, read_record
from .segment import segment_scan

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
    scheme = get_scheme(labels)
    options = {"series": series, "pixel_mm": pixel_mm, "labels": labels}
    outcomes = []
    for number, job in enumerate(jobs, 1):
        try:
            status = "skipped"
            wanted = {"input": identity(job.source), "model": _model_record(model), "options": options}
            if overwrite or not _finished(job, wanted):
                if not overwrite:
                    _refuse_others(job)
                _segment_one(job, model, wanted, scheme.name)
                status = "done"
            outcome = Outcome(job, status)
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


def _segment_one(job: Job, model: Model, wanted: dict[str, Any], scheme_name: str) -> None:
    began = time.perf_counter()
    options = wanted["options"]
    scan = read_scan(job.source, series=options["series"], pixel_mm=options["pixel_mm"])
    read_s = time.perf_counter() - began
    result = segment_scan(scan, model)
    mark = time.perf_counter()
    written, lost = get_scheme(scheme_name).encode(result.labels)
    if lost:
        names = [TABLE[i].name for i in lost if i != TABLE.unknown]
        logger.warning("%s: the scheme %s has no value for %s; written as 0", job.source, scheme_name, names)
    done: list[Path] = []
    try:
        with _naming(job.record):
            job.record.unlink(missing_ok=True)
        write_labels(written, scan, job.labels)
        done.append(job.labels)
        write_preview(scan, result.labels, job.preview)
        done.append(job.preview)
        write_s = time.perf_counter() - mark
        timings = {"read": read_s, **result.timings_s, "write": write_s, "total": time.perf_counter() - began}
        write_json(
            job.record,
            {
                **wanted,
                "cafrnet": __version__,
                "label_table": TABLE.version,
                "outputs": {"labels": job.labels.name, "preview": job.preview.name},
                "structures": [name for _, name in sorted(result.names.items())],
                "not_trained": list(model.not_trained),
                "geometry": _geometry(scan),
                "timings_s": {k: round(v, 4) for k, v in timings.items()},
            },
        )
    except BaseException:  # Ctrl-C too: a result is complete or it is not there
        for path in done:
            path.unlink(missing_ok=True)
        raise


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise InputError(f"{path} can't be replaced: {error.strerror or error}") from error


def _geometry(scan: Scan) -> dict[str, Any]:
    return {"shape": list(scan.shape_on_disk), "spacing_mm": [round(s, 6) for s in scan.spacing_mm]}


def _refuse_others(job: Job) -> None:
    """Raise InputError when an output's name is taken by a file that cafrnet did not write."""
    for path in job.outputs:
        if path.exists() and not is_output(path):
            raise InputError(
                f"{job.source}: {path} is there already and was not written by cafrnet; move it, choose "
                "another folder after -o, or replace it with --overwrite"
            )


def _model_record(model: Model) -> dict[str, Any]:
    return {"path": str(model.path), "engine": model.engine.name, "sha256": model.hashes}


def _finished(job: Job, wanted: dict[str, Any]) -> bool:
    if not (job.labels.exists() and job.preview.exists()):
        return False
    record = read_record(job.record)
    try:
        return record is not None and (
            record["input"]["sha256"] == wanted["input"]["sha256"] is not None
            and record["model"]["sha256"] == wanted["model"]["sha256"]
            and record["options"] == wanted["options"]
        )
    except (KeyError, TypeError):
        return False
