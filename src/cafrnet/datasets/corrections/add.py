"""Scans and their corrected label maps become cases of a dataset in the contract's layout.

The order of writing keeps a dataset whole at every moment: ``patients.csv`` first, then the label map, the
image last. A case is there once its image is; what was interrupted is made again under the same number.
"""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np

from ...errors import CAFRNetError, InputError, UsageError
from ...labels import Scheme, ValueSets, get_scheme
from ...scan import Scan, read_labels, read_scan, write_labels
from ..doctor import check
from ..layout import read_patients
from ..registry import open_dataset
from .lattice import on_scan
from .pairs import find_pairs
from .record import Row, dataset_text, read_rows, value_sets, write_rows

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Added:
    """What became of one corrected label map.

    Attributes:
        name: of the scan.
        status: ``"added"``, ``"replaced"``, ``"unchanged"`` or ``"failed"``.
        case: id in the dataset; empty for a failure.
        message: why it failed.
        usage: whether only an option was missing.
    """

    name: str
    status: str
    case: str = ""
    message: str = ""
    usage: bool = False


def add_corrections(
    scans: str | os.PathLike[str],
    corrected: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    labels: str = "cafrnet",
    unmarked: Sequence[str] = (),
    patients: str | os.PathLike[str] | None = None,
    overwrite: bool = False,
    force: bool = False,
    progress: Callable[[int, int, Added], None] | None = None,
) -> list[Added]:
    """Add scans with corrected label maps to a dataset, new or begun before.

    Args:
        scans: folder of scans: files, or DICOM folders.
        corrected: folder of label maps with the scans' names (``scan_seg.nii.gz``, ``scan.seg.nrrd``). Scans
            without one are left out.
        out: the dataset's folder.
        labels: scheme of the label maps' values.
        unmarked: structures that are visible in the scans but marked in no map; background may be one.
        patients: CSV with the columns ``case`` (the scan's name) and ``patient``; None takes each scan for a
            patient of its own.
        overwrite: replace the label map of a case that is there already.
        force: add cases in which the data doctor finds an error.
        progress: told number, count and outcome after each label map.

    Returns:
        What became of each label map, in natural order. A bad one never stops the rest.

    Raises:
        UsageError: no such folder, no label maps, two of one name, a dataset of other values.
    """
    scheme = get_scheme(labels)
    pairs = find_pairs(Path(scans), Path(corrected))
    out, sets = Path(out), value_sets(scheme, unmarked)
    rows = read_rows(out, sets)
    people = read_patients(Path(patients)) if patients is not None else {}
    outcomes = []
    for number, (name, (scan, label_map)) in enumerate(pairs, 1):
        try:
            if scan is None:
                raise InputError(f"{label_map}: no scan of the name {name!r} in {scans}")
            job = _Job(name, scan, label_map, scheme, sets, out, overwrite, force)
            outcome = _add(job, rows, people)
        except CAFRNetError as error:
            outcome = Added(name, "failed", message=str(error), usage=isinstance(error, UsageError))
        outcomes.append(outcome)
        if progress:
            progress(number, len(pairs), outcome)
    return outcomes


@dataclass(frozen=True)
class _Job:
    name: str
    scan: Path
    label_map: Path
    scheme: Scheme
    sets: ValueSets
    out: Path
    overwrite: bool
    force: bool


def _add(job: _Job, rows: dict[str, Row], people: dict[str, str]) -> Added:
    """Check one pair on a bench and move it into the dataset."""
    if people and job.name not in people:
        raise UsageError(f"the file of patients has no row for {job.name!r}; add one")
    there = rows.get(job.name)
    scan = read_scan(job.scan)
    truth = _truth(job, scan)
    number = there.number if there else 1 + max((r.number for r in rows.values()), default=0)
    image, mask = _places(job.out, number)
    replaced = there is not None and image.exists()
    if replaced:
        if mask.exists() and np.array_equal(read_labels(mask)[0], truth):
            return Added(job.name, "unchanged", f"Case{number}")
        if not job.overwrite:
            raise UsageError(
                f"{job.name} is Case{number} already, with another label map; add --overwrite to replace it"
            )
    job.out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".adding-", dir=job.out.parent) as bench:
        _write(Path(bench), number, job, scan, truth)
        _doctor(Path(bench), job)
        rows[job.name] = Row(number, people.get(job.name, job.name), job.name)
        write_rows(job.out, rows, job.scheme, job.sets)
        for source, target in zip(reversed(_places(Path(bench), number)), (mask, image), strict=True):
            target.parent.mkdir(parents=True, exist_ok=True)
            os.replace(source, target)
    return Added(job.name, "replaced" if replaced else "added", f"Case{number}")


def _truth(job: _Job, scan: Scan) -> np.ndarray:
    """Read the label map in the scheme's values, on the scan's voxels."""
    source = str(job.label_map)
    values, affine = read_labels(job.label_map, job.scheme)
    job.sets.check(values, source)
    if values.max() > 255:
        raise InputError(f"{source}: the value {values.max()} came, a label map here holds at most 255")
    return on_scan(values.astype(np.uint8), affine, scan, source)


def _places(root: Path, number: int) -> tuple[Path, Path]:
    """Return where image and label map of a case stand."""
    return root / f"train/MR/Case{number}.nii.gz", root / f"train/Mask/mask_case{number}.nii.gz"


def _write(bench: Path, number: int, job: _Job, scan: Scan, truth: np.ndarray) -> None:
    """Write a dataset of this one case."""
    image, mask = _places(bench, number)
    for folder in (image.parent, mask.parent):
        folder.mkdir(parents=True)
    if job.scan.name.lower().endswith(".nii.gz"):
        shutil.copyfile(job.scan, image)
    elif "png" in scan.header:
        raise InputError(f"{job.scan}: a PNG came; training takes volumes with their geometry")
    else:
        nib.save(nib.Nifti1Image(scan.voxels, scan.affine), image)
    write_labels(truth, scan, mask, scheme=job.scheme.name)
    (bench / "dataset.yaml").write_text(dataset_text(bench.name, job.scheme, job.sets), encoding="utf-8")


def _doctor(bench: Path, job: _Job) -> None:
    """Raise InputError if the data doctor finds an error in the case, unless it is to be added even so."""
    errors = [f for f in check(open_dataset(bench)).findings if f.severity == "error"]
    said = "; ".join(f"{f.message} ({f.advice})" for f in errors)
    if errors and not job.force:
        raise InputError(f"{job.name} was not added: {said}. If it is right as it is, add --force")
    if errors:
        logger.warning("%s: %s", job.name, said)
