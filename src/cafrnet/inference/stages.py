"""One case in three stages: read, infer, write. The stages share nothing, so that different cases may be in
different stages at the same time.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .. import __version__
from ..errors import InputError
from ..files import write_json
from ..labels import TABLE, get_scheme
from ..report.preview import write_preview
from ..scan import Scan, read_scan, write_labels
from ..scan.formats import size_in_memory
from .inputs import Job
from .model import Model
from .record import identity, is_output, read_record
from .segment import Segmentation, segment_scan

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Request:
    """What a batch asks for, the same for all of its cases.

    Attributes:
        model: loaded once.
        series: which series of a DICOM folder.
        pixel_mm: pixel size of PNG inputs, in mm.
        labels: scheme of the label maps that are written.
        overwrite: do finished cases again, and replace files of others that have an output's name.
    """

    model: Model
    series: str = "auto"
    pixel_mm: float | None = None
    labels: str = "cafrnet"
    overwrite: bool = False

    @property
    def options(self) -> dict[str, Any]:
        """What the result depends on besides scan and model: a case done with others is done again."""
        options: dict[str, Any] = {"series": self.series, "pixel_mm": self.pixel_mm, "labels": self.labels}
        if self.model.views:
            options["tta"] = list(self.model.views)
        if self.model.postprocessing.off:
            options["without"] = list(self.model.postprocessing.off)
        return options

    def identify(self, job: Job) -> dict[str, Any]:
        """Return the part of the record by which a finished case is known."""
        model = {"path": str(self.model.path), "engine": self.model.engine.name, "sha256": self.model.hashes}
        return {"input": identity(job.source), "model": model, "options": self.options}


@dataclass(frozen=True, eq=False)
class Opened:
    """A case whose scan is in memory.

    Attributes:
        job: the scan and its outputs.
        identified: see :meth:`Request.identify`.
        scan: the scan.
        began: time at which reading began (``time.perf_counter``), in s.
        read_s: seconds that it took.
    """

    job: Job
    identified: dict[str, Any]
    scan: Scan
    began: float
    read_s: float


def read_case(job: Job, request: Request) -> Opened | None:
    """First stage: read the scan.

    Returns:
        The case, or None where it is finished: its JSON names the same input, model and options.

    Raises:
        InputError: the scan can't be used, or an output's name is taken by a file of somebody else.
        UsageError: an option is missing or does not fit.
    """
    began = time.perf_counter()
    identified = request.identify(job)
    if not request.overwrite:
        if is_finished(job, identified):
            return None
        _refuse_others(job)
    if request.model.memory is not None and (size := size_in_memory(job.source)):
        request.model.memory.admit(str(job.source), *size)
    scan = read_scan(job.source, series=request.series, pixel_mm=request.pixel_mm)
    return Opened(job, identified, scan, began, time.perf_counter() - began)


def infer_case(case: Opened, request: Request) -> Segmentation:
    """Second stage: from the scan to its label map.

    Raises:
        InputError: the scan is not sagittal, or the network gave something else than finite logits.
    """
    return segment_scan(case.scan, request.model)


def write_case(case: Opened, result: Segmentation, request: Request) -> None:
    """Third stage: write label map, preview and, last of all, the record; all of them or none.

    Raises:
        InputError: the system refused to write.
    """
    mark = time.perf_counter()
    job, done = case.job, []
    written, lost = get_scheme(request.labels).encode(result.labels)
    if lost:
        names = [TABLE[i].name for i in lost if i != TABLE.unknown]
        logger.warning(
            "%s: the scheme %s has no value for %s; written as 0", job.source, request.labels, names
        )
    try:
        with _naming(job.record):
            job.record.unlink(missing_ok=True)
        write_labels(written, case.scan, job.labels, scheme=request.labels)
        done.append(job.labels)
        write_preview(case.scan, result.labels, job.preview)
        done.append(job.preview)
        now = time.perf_counter()
        timings = {
            "read": case.read_s, **result.timings_s, "write": now - mark, "total": now - case.began
        }  # fmt: skip
        write_json(job.record, _record(case, result, request, timings))
    except BaseException:  # Ctrl-C too: a result is complete or it is not there
        for path in done:
            path.unlink(missing_ok=True)
        raise


def _record(
    case: Opened, result: Segmentation, request: Request, timings: dict[str, float]
) -> dict[str, Any]:
    return {
        **case.identified,
        "cafrnet": __version__,
        "label_table": TABLE.version,
        "outputs": {"labels": case.job.labels.name, "preview": case.job.preview.name},
        **result.record(),
        "not_trained": list(request.model.not_trained),
        "geometry": {
            "shape": list(case.scan.shape_on_disk),
            "spacing_mm": [round(s, 6) for s in case.scan.spacing_mm],
        },
        "timings_s": {k: round(v, 4) for k, v in timings.items()},
    }


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise InputError(f"{path} can't be replaced: {error.strerror or error}") from error


def _refuse_others(job: Job) -> None:
    """Raise InputError when an output's name is taken by a file that cafrnet did not write."""
    for path in job.outputs:
        if path.exists() and not is_output(path):
            raise InputError(
                f"{job.source}: {path} is there already and was not written by cafrnet; move it, choose "
                "another folder after -o, or replace it with --overwrite"
            )


def is_finished(job: Job, identified: dict[str, Any]) -> bool:
    """Whether all outputs are there and the record names the same input, model (by hashes) and options."""
    if not (job.labels.exists() and job.preview.exists()):
        return False
    record = read_record(job.record)
    try:
        return record is not None and (
            record["input"]["sha256"] == identified["input"]["sha256"] is not None
            and record["model"]["sha256"] == identified["model"]["sha256"]
            and record["options"] == identified["options"]
        )
    except (KeyError, TypeError):
        return False
