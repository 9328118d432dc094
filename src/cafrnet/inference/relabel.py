"""Many label maps renamed: files in, files out, with the records and previews that `segment` wrote beside."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from .. import __version__
from ..anatomy import anchor, check, column, level_named, shift_levels
from ..errors import CAFRNetError, InputError, UsageError
from ..files import whole_file, write_json
from ..labels import TABLE, UNKNOWN, Scheme, get_scheme
from ..report.preview import write_preview
from ..scan import Scan, aligned, is_segmentation, read_labels, read_scan, write_labels, written_scheme
from ..scan.formats import is_dicom
from ..scan.nifti import whole_numbers
from ..scan.png import PIXEL_KEY
from .inputs import Job
from .record import identity, is_output, read_record
from .relabel_jobs import bases

logger = logging.getLogger(__name__)

#: What a record says about levels as they were found: kept under ``relabelled``, not true of a renamed map.
LEVEL_KEYS = ("triage", "reasons", "predicted_dice", "levels", "shift_posterior", "flags")


@dataclass(frozen=True)
class Anchor:
    """A structure and its right name.

    Attributes:
        name: ``"L5"`` or ``"L4/L5"``.
        point: world mm in RAS, or array indices from 0.
        voxel: whether the point is given as array indices.
    """

    name: str
    point: tuple[float, float, float]
    voxel: bool = False


@dataclass(frozen=True)
class Relabelled:
    """What became of one label map.

    Attributes:
        job: the label map and its outputs.
        status: ``"done"`` or ``"failed"``.
        message: why it failed.
        usage: whether it failed because an option is missing or wrong.
        shift: by how many levels it was renamed.
        lost: names of what became 255.
        notes: what a person should know: what the new column looks like, why there is no picture.
    """

    job: Job
    status: str = "done"
    message: str = ""
    usage: bool = False
    shift: int | None = None
    lost: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def relabel_files(
    jobs: Sequence[Job],
    *,
    shift: int | None = None,
    anchors: Sequence[Anchor] = (),
    labels: str | None = None,
    overwrite: bool = False,
    progress: Callable[[int, int, Relabelled], None] | None = None,
) -> list[Relabelled]:
    """Rename the levels of label maps, one after the other; a bad one never stops the rest.

    Args:
        jobs: see :func:`cafrnet.inference.relabel_jobs.plan_relabelling`.
        shift: levels, +1 is one higher. Either this or anchors.
        anchors: structures with their right names; several must ask for one shift.
        labels: scheme of the values; None takes the one that a record beside the label map names, or else
            cafrnet's own.
        overwrite: replace files that are there already, the input itself too.
        progress: called after each with its number from 1, the count, and what became of it.

    Raises:
        UsageError: neither shift nor anchors or both, an unknown scheme or name, or a shift beyond the table.
    """
    if (shift is None) == (not anchors):
        raise UsageError("either a shift or an anchor was expected")
    for one in anchors:
        level_named(one.name)
    if shift is not None:
        shift_levels(np.zeros(1, np.uint8), shift)  # an impossible one is refused before work starts
    if labels is not None:
        get_scheme(labels)
    outcomes = []
    for number, job in enumerate(jobs, 1):
        try:
            outcome = _relabel_one(job, shift, anchors, labels, overwrite)
        except CAFRNetError as error:
            outcome = Relabelled(job, "failed", str(error), isinstance(error, UsageError))
        except Exception as error:  # whatever one label map does, the others go on
            logger.debug("%s: unexpected failure", job.source, exc_info=True)
            reason = " ".join(str(error).split())
            outcome = Relabelled(job, "failed", f"{job.source}: unexpected {type(error).__name__}: {reason}")
        outcomes.append(outcome)
        if progress:
            progress(number, len(jobs), outcome)
    return outcomes


def _relabel_one(
    job: Job, shift: int | None, anchors: Sequence[Anchor], labels: str | None, overwrite: bool
) -> Relabelled:
    record = _record_beside(job.source)
    scheme = _scheme(job.source, labels, record)
    values, geometry = _read(job.source, scheme)
    if record:
        _refuse_other_map(record, values.shape, job.source)
    try:
        ids = scheme.sets.principal(values)
        if not np.isin(ids, TABLE.of_kind("body", "disc")).any():
            raise InputError("there is no vertebra or disc in it, so nothing to rename")
        k = shift if shift is not None else _shift_of(anchors, ids, geometry.affine)
        nameless = int((values == UNKNOWN).sum()) if k else 0
        values, lost = shift_levels(values, k, scheme)
    except InputError as error:
        raise InputError(f"{job.source}: {error}") from error
    ids = scheme.sets.principal(values)
    flags = [flag.message for flag in check(column(ids, geometry.affine))]
    names = tuple(_name(value, scheme) for value in lost)
    scan, drawn, why = _scan_of(record, ids, geometry) if record else (None, ids, "")
    notes = list(flags)
    if nameless:
        notes.append(f"{nameless} voxels without a name ({UNKNOWN}) stay so; to name them, segment again")
    if why:
        notes.append(f"no preview was drawn: {why}")
    if record:
        entry = {
            "from": identity(job.source),
            "shift": k,
            "anchors": [vars(a) for a in anchors],
            "lost": list(names),
            "flags": flags,
            "cafrnet": __version__,
            "before": {key: record[key] for key in LEVEL_KEYS if k and key in record},
        }
        record = _updated(record, job, ids, entry, preview=scan is not None)
    _write(job, values, scheme, geometry, drawn, scan, record, overwrite)
    return Relabelled(job, shift=k, lost=names, notes=tuple(notes))


def _shift_of(anchors: Sequence[Anchor], ids: np.ndarray, affine: np.ndarray) -> int:
    """Return the one shift that all anchors ask for."""
    asked = {f"{a.name} asks for {k:+d}": k for a in anchors for k in [_one(a, ids, affine)]}
    if len(set(asked.values())) > 1:
        raise InputError(f"the anchors disagree: {', '.join(asked)}; a whole column has one shift")
    return next(iter(asked.values()))


def _one(a: Anchor, ids: np.ndarray, affine: np.ndarray) -> int:
    return anchor(ids, affine, a.name, a.point, voxel=a.voxel)


def _name(value: int, scheme: Scheme) -> str:
    identity = scheme.sets.values[value][0]
    return TABLE[identity].name if identity != UNKNOWN else f"value {value}"


def _read(path: Path, scheme: Scheme) -> tuple[np.ndarray, Scan]:
    """Return the values of a label map, and the same as a scan, which knows how to write its geometry."""
    if is_segmentation(path):
        values, affine = read_labels(path, scheme)
        return values, Scan(values, affine, source=str(path))
    if is_dicom(path):
        raise InputError(f"{path}: label maps can't be read from DICOM; export it as NIfTI")
    pixel_mm = None
    if path.suffix.lower() == ".png" and path.is_file():
        with Image.open(path) as image:
            pixel_mm = float(image.info.get(PIXEL_KEY, 0))
        if not pixel_mm:
            raise InputError(
                f"{path}: a PNG without a pixel size came; only those that cafrnet wrote have one"
            )
    scan = read_scan(path, pixel_mm=pixel_mm)
    return whole_numbers(scan.voxels, str(path)), scan


def _record_beside(labels: Path) -> dict[str, Any] | None:
    """Return the record that `segment` wrote for a label map; None where there is none.

    Raises:
        InputError: its parts are not what `segment` writes.
    """
    for path in (base.with_name(base.name + ".json") for base in bases(labels)):
        record = read_record(path)
        outputs = record.get("outputs") if record else None
        if record and isinstance(outputs, dict) and outputs.get("labels") == labels.name:
            where = record["input"].get("path") if isinstance(record["input"], dict) else None
            if not (isinstance(where, str) and isinstance(record["options"], dict)):
                raise InputError(f"{path}: the record is damaged; move it away to rename {labels} without it")
            return record
    return None


def _refuse_other_map(record: dict[str, Any], shape: tuple[int, ...], source: Path) -> None:
    """Raise InputError where a record tells of a map of another shape: it names another scan."""
    told = (record.get("geometry") or {}).get("shape")
    if told and sorted(told) != sorted(shape):
        written, found = (" x ".join(map(str, s)) for s in (told, shape))
        raise InputError(
            f"{source}: the record beside it is of another map, {written} voxels; this one has {found}. Move "
            "the record away to rename the map without it"
        )


def _scheme(source: Path, labels: str | None, record: dict[str, Any] | None) -> Scheme:
    """Return the scheme of a label map's values.

    Raises:
        InputError: the record beside it, or the file itself, names another one than was asked for.
    """
    written = (record or {}).get("options", {}).get("labels") or written_scheme(source)
    if labels and written and labels != written:
        raise InputError(
            f"{source}: its record or header says that its values are those of {written}, not of {labels}"
        )
    return get_scheme(labels or written or "cafrnet")


def _scan_of(record: dict[str, Any], ids: np.ndarray, geometry: Scan) -> tuple[Scan | None, np.ndarray, str]:
    """Return the scan that was segmented and the ids in its axis order, for the picture.

    Where the scan can't be had, or the label map does not lie on it: None, the ids as they came, and why.
    """
    try:
        path, options = Path(record["input"]["path"]), record["options"]
        if not path.exists():
            seen = "" if path.is_absolute() else f", as seen from {Path.cwd()}, where relabel runs"
            return None, ids, f"the scan is no longer at {path}{seen}"
        if identity(path)["sha256"] != record["input"]["sha256"]:
            return None, ids, f"{path} is not the scan that was segmented"
        scan = read_scan(path, series=options.get("series", "auto"), pixel_mm=options.get("pixel_mm"))
        _ = scan.frame
        drawn, _ = aligned(ids, geometry.affine, scan.affine, scan.voxels.shape, geometry.source)
        return scan, drawn, ""
    except (CAFRNetError, OSError, KeyError, TypeError) as error:
        return None, ids, str(error)


def _updated(
    record: dict[str, Any], job: Job, ids: np.ndarray, entry: dict[str, Any], *, preview: bool
) -> dict[str, Any]:
    """Return the record of the renamed map: what is true of it now, and how it came about."""
    kept = {key: value for key, value in record.items() if key not in entry["before"]}
    present = [int(i) for i in np.flatnonzero(np.bincount(ids.ravel())) if i not in (0, UNKNOWN)]
    return {
        **kept,
        "outputs": {"labels": job.labels.name, "preview": job.preview.name if preview else None},
        "structures": [TABLE[i].name for i in present],
        "relabelled": [*record.get("relabelled", []), entry],
    }


def _write(
    job: Job,
    values: np.ndarray,
    scheme: Scheme,
    geometry: Scan,
    drawn: np.ndarray,
    scan: Scan | None,
    record: dict[str, Any] | None,
    overwrite: bool,
) -> None:
    """Write all outputs under temporary names, then give all of them their own: together or not at all.

    Raises:
        InputError: one is there already, or the system refused to write.
    """
    if record and os.path.realpath(record["input"]["path"]) in map(os.path.realpath, job.outputs):
        raise InputError(
            f"{job.source}: its scan, {record['input']['path']}, would be overwritten; name another OUT"
        )
    own = os.path.realpath(job.source) == os.path.realpath(job.labels)
    if job.labels.exists() and not own and not is_output(job.labels):
        raise InputError(
            f"{job.source}: {job.labels} is no label map of cafrnet's, a scan perhaps, and is not replaced, "
            "not even with --overwrite; give another name after -o, or move it away"
        )
    wanted = [job.labels, *([job.preview] if scan else []), *([job.record] if record else [])]
    stale = [path for path in job.outputs if path not in wanted and path.exists() and is_output(path)]
    there = [path for path in (*wanted, *stale) if path.exists()]
    if there and not overwrite:
        what = (
            "the label map itself" if os.path.realpath(there[0]) == os.path.realpath(job.source) else there[0]
        )
        raise InputError(
            f"{job.source}: {what} would be overwritten; give another folder after -o, or replace it with "
            "--overwrite"
        )
    temporary: dict[Path, Path] = {}
    try:
        with ExitStack() as together:  # left backwards: the record gets its name last
            for path in reversed(wanted):
                temporary[path] = together.enter_context(whole_file(path))
            write_labels(values, geometry, temporary[job.labels], scheme=scheme.name)
            if scan is not None:
                write_preview(scan, drawn, temporary[job.preview])
            if record is not None:
                write_json(temporary[job.record], record)
    except InputError as error:
        said = str(error)
        for path, under in temporary.items():
            said = said.replace(str(under), str(path))
        raise InputError(said) from error
    for path in stale:  # a picture or record of what stood here before
        path.unlink(missing_ok=True)
