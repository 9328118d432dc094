"""Many scans, one model: finished ones are skipped, a bad one never stops the rest."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .. import __version__
from ..errors import CAFRNetError
from ..files import sha256, write_json
from ..labels import TABLE, get_scheme
from ..report.preview import write_preview
from ..scan import Scan, read_scan, write_labels
from .inputs import Job
from .model import Model
from .segment import segment_scan

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Outcome:
    """What became of one scan.

    Attributes:
        job: the scan and its outputs.
        status: ``"done"``, ``"skipped"`` (finished before) or ``"failed"``.
        message: why it failed.
    """

    job: Job
    status: str
    message: str = ""


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
        overwrite: do finished scans again.
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
            wanted = {"input": _identity(job.source), "model": _model_record(model), "options": options}
            if overwrite or not _finished(job, wanted):
                _segment_one(job, model, wanted, scheme.name)
                status = "done"
            outcome = Outcome(job, status)
        except CAFRNetError as error:
            outcome = Outcome(job, "failed", str(error))
        except Exception as error:  # whatever one scan does, the others go on
            logger.debug("unexpected failure", exc_info=True)
            outcome = Outcome(job, "failed", f"{job.source}: unexpected {type(error).__name__}: {error}")
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
    job.record.unlink(missing_ok=True)
    write_labels(written, scan, job.labels)
    write_preview(scan, result.labels, job.preview)
    write_s = time.perf_counter() - mark
    timings = {"read": read_s, **result.timings_s, "write": write_s, "total": time.perf_counter() - began}
    write_json(
        job.record,
        {
            **wanted,
            "cafrnet": __version__,
            "label_table": TABLE.version,
            "structures": [name for _, name in sorted(result.names.items())],
            "not_trained": list(model.not_trained),
            "geometry": _geometry(scan),
            "timings_s": {k: round(v, 4) for k, v in timings.items()},
        },
    )


def _geometry(scan: Scan) -> dict[str, Any]:
    return {"shape": list(scan.shape_on_disk), "spacing_mm": [round(s, 6) for s in scan.spacing_mm]}


def _identity(source: Path) -> dict[str, Any]:
    """Path and hash of an input; for a DICOM folder the hash over its files' names and hashes."""
    if source.is_dir():
        files = sorted(p for p in source.rglob("*") if p.is_file())
        import hashlib

        digest = hashlib.sha256()
        for file in files:
            digest.update(f"{file.relative_to(source)}\0{sha256(file)}\n".encode())
        return {"path": str(source), "sha256": digest.hexdigest()}
    return {"path": str(source), "sha256": sha256(source) if source.exists() else None}


def _model_record(model: Model) -> dict[str, Any]:
    return {"path": str(model.path), "engine": model.engine.name, "sha256": model.hashes}


def _finished(job: Job, wanted: dict[str, Any]) -> bool:
    if not (job.labels.exists() and job.preview.exists()):
        return False
    try:
        record = json.loads(job.record.read_text(encoding="utf-8"))
        return (
            record["input"]["sha256"] == wanted["input"]["sha256"]
            and record["model"]["sha256"] == wanted["model"]["sha256"]
            and record["options"] == wanted["options"]
        )
    except (OSError, ValueError, KeyError, TypeError):
        return False
