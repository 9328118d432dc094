"""What a dataset holds: cases, slices, voxels and volume of each class, and the geometry of each case."""

from __future__ import annotations

import csv
import logging
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError, MissingExtraError, UsageError
from ..files import whole_file
from ..labels import TABLE, UNKNOWN
from .case import Case, Dataset
from .splits import Track

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ClassCount:
    """How often a class occurs.

    Attributes:
        id: in the label table; the principal id of the truth's value.
        name: in the label table.
        cases: that hold it.
        slices: sagittal slices that hold it.
        voxels: of it.
        volume_ml: of it, all cases together.
    """

    id: int
    name: str
    cases: int
    slices: int
    voxels: int
    volume_ml: float


@dataclass(frozen=True)
class Geometry:
    """The grid of one case in its sagittal frame (rows run caudally, columns posteriorly).

    Attributes:
        case, patient: ids.
        slices, rows, columns: lengths.
        slice_mm, row_mm, column_mm: spacings.
        labelled: whether it has a truth.
    """

    case: str
    patient: str
    slices: int
    rows: int
    columns: int
    slice_mm: float
    row_mm: float
    column_mm: float
    labelled: bool


@dataclass(frozen=True)
class Statistics:
    """The counts of one dataset.

    Attributes:
        dataset: its name.
        classes: in the order of their ids; every class that some value of the truth can stand for.
        geometry: one row per case that could be read.
        failed: case -> why it could not be read; it is in no count.
    """

    dataset: str
    classes: tuple[ClassCount, ...]
    geometry: tuple[Geometry, ...]
    failed: Mapping[str, str] = field(default_factory=dict)

    @property
    def labelled_slices(self) -> int:
        """Sagittal slices of all cases that have a truth."""
        return sum(g.slices for g in self.geometry if g.labelled)

    def save(self, folder: str | os.PathLike[str]) -> list[Path]:
        """Write ``classes.csv``, ``geometry.csv`` and, with matplotlib, ``classes.png``; return their paths.

        Without matplotlib the picture is left out, which is logged.
        """
        from .class_figure import draw

        folder = Path(folder)
        paths = [folder / name for name in ("classes.csv", "geometry.csv", "classes.png")]
        _write(paths[0], ClassCount, self.classes)
        _write(paths[1], Geometry, self.geometry)
        try:
            draw(self, paths[2])
        except MissingExtraError as error:
            logger.warning("%s is not drawn: %s", paths.pop(), error)
        return paths


def statistics(dataset: Dataset, *, track: Track = iter) -> Statistics:
    """Count a dataset. Each file is read once; a case that can't be read is named and left out.

    Args:
        dataset: the cases.
        track: shows progress over the cases.

    Raises:
        UsageError: no case could be read.
    """
    ids = sorted({s[0] for s in dataset.sets.values.values()} - {0, UNKNOWN})
    sums = {i: np.zeros(3, np.int64) for i in ids}  # cases, slices, voxels
    volumes_mm3 = dict.fromkeys(ids, 0.0)
    geometry, failed = [], {}
    for case in track(dataset.cases):
        try:
            row, counts = _count(case)
        except InputError as error:
            failed[case.id] = str(error)
            continue
        geometry.append(row)
        for i in ids:
            per_slice = counts[:, i]
            sums[i] += np.array([per_slice.any(), np.count_nonzero(per_slice), per_slice.sum()])
            volumes_mm3[i] += float(per_slice.sum()) * row.slice_mm * row.row_mm * row.column_mm
    if not geometry:
        raise UsageError(f"no case of {dataset.root} could be read; 'cafrnet data check' says why")
    classes = []
    for i in ids:
        n_cases, n_slices, n_voxels = (int(n) for n in sums[i])
        volume_ml = round(volumes_mm3[i] / 1000, 3)
        classes.append(ClassCount(i, TABLE[i].name, n_cases, n_slices, n_voxels, volume_ml))
    return Statistics(dataset.name, tuple(classes), tuple(geometry), failed)


def _count(case: Case) -> tuple[Geometry, np.ndarray]:
    """Return a case's geometry, and voxels per sagittal slice and id (slices x 256)."""
    scan = case.read()
    frame = scan.frame
    slices, rows, columns = frame.to_sagittal(scan.voxels).shape
    counts = np.zeros((slices, 256), np.int64)
    if case.labels is not None:
        ids = frame.to_sagittal(case.sets.principal(case.read_truth(scan)))
        for k, plane in enumerate(ids):
            counts[k] = np.bincount(plane.ravel(), minlength=256)
    slice_mm, row_mm, column_mm = (round(s, 5) for s in frame.spacing_mm)
    labelled = case.labels is not None
    row = Geometry(case.id, case.patient, slices, rows, columns, slice_mm, row_mm, column_mm, labelled)
    return row, counts


def _write(path: Path, kind: Any, rows: Sequence[Any] | Iterable[Any]) -> None:
    with whole_file(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([f.name for f in fields(kind)])
        writer.writerows(astuple(row) for row in rows)
