"""One case as figures show it: scan, truth and the predictions of several models, in sagittal slices.

Axes: s = slice, r = row (caudal), c = column (posterior).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from ...datasets import Case
from ...errors import InputError, UsageError
from ...evaluation.sets import HEADLINE, resolve
from ...labels import UNKNOWN, ValueSets
from ...preprocessing import Preprocessing
from ...preprocessing.intensity import limits, normalise
from ...scan import read_labels
from ..layout import RunFolder

#: Name of a model -> case id -> its label map.
Predictions = Mapping[str, Mapping[str, Path]]


@dataclass(frozen=True, eq=False)
class View:
    """One case in its sagittal frame.

    Attributes:
        id: of the case.
        raw: [s, r, c] grey values as they are on disk.
        image: [s, r, c] float32, 0 to 1 (the percentiles that the models see).
        truth: [s, r, c] uint8 principal ids; 255 unknown.
        predictions: model -> [s, r, c] uint8 ids, structures 1-19 only.
        wrong: model -> [s, r, c] boolean: where the evaluator counts its structures 1-19 as wrong.
        spacing_mm: of slices, rows, columns.
    """

    id: str
    raw: np.ndarray
    image: np.ndarray
    truth: np.ndarray
    predictions: Mapping[str, np.ndarray]
    wrong: Mapping[str, np.ndarray]
    spacing_mm: tuple[float, float, float]

    @property
    def in_plane_mm(self) -> tuple[float, float]:
        """Distance of rows and of columns."""
        return self.spacing_mm[1], self.spacing_mm[2]

    @cached_property
    def structures(self) -> np.ndarray:
        """[s, r, c] boolean: where the truth has a structure 1-19."""
        return only_structures(self.truth) > 0

    def around(self, index: int, margin_mm: float) -> tuple[slice, slice]:
        """Return rows and columns of the box around the structures of a slice, with a margin on all sides."""
        found = []
        for axis, spacing in enumerate(self.in_plane_mm):
            at = np.flatnonzero(self.structures[index].any(axis=1 - axis))
            margin, length = round(margin_mm / spacing), self.truth.shape[1 + axis]
            first, last = (int(at[0]), int(at[-1])) if len(at) else (0, length - 1)
            found.append(slice(max(0, first - margin), min(length, last + 1 + margin)))
        return found[0], found[1]

    def middle(self) -> int:
        """Return the slice with the most voxels of structures 1-19; the lowest of equals."""
        return int(self.structures.sum(axis=(1, 2)).argmax())


def only_structures(labels: np.ndarray) -> np.ndarray:
    """Return uint8 labels with everything but structures 1-19 as 0: canal and processes are not compared."""
    kept = np.zeros(256, np.uint8)
    kept[list(HEADLINE)] = HEADLINE
    return kept[labels]


def find_predictions(rows: Mapping[str, Sequence[RunFolder]]) -> dict[str, dict[str, Path]]:
    """List the label maps of each model, over all its folds; of several seeds the lowest is shown.

    Raises:
        UsageError: no runs.
        InputError: the label maps of a model were not kept, or the models were not tested on the same cases.
    """
    found: dict[str, dict[str, Path]] = {}
    for row, runs in rows.items():
        own: dict[str, Path] = {}
        for run in sorted(runs, key=lambda r: (r.seed, r.fold)):
            for path in sorted(run.predictions.glob("*_seg.nii.gz")):
                own.setdefault(path.name.removesuffix("_seg.nii.gz"), path)
        if not own:
            raise InputError(
                f"{row} has no label maps, which are needed here: its runs were kept without them"
            )
        found[row] = own
    if not found:
        raise UsageError("no runs came; run 'cafrnet reproduce table3' first")
    first = next(iter(found))
    for row, own in found.items():
        if odd := set(own) ^ set(found[first]):
            raise InputError(
                f"{row} and {first} were not tested on the same cases: only one of them has "
                f"{', '.join(sorted(odd)[:5])}; finish both before they are drawn side by side"
            )
    return found


def read_view(case: Case, predictions: Predictions) -> View:
    """Read a case and the models' label maps of it.

    Raises:
        InputError: a file is missing or has another shape.
    """
    scan = case.read()
    frame, values = scan.frame, case.read_truth(scan)
    low, high = limits(scan.voxels, Preprocessing())
    maps, wrong = {}, {}
    for name, files in predictions.items():
        labels = _prediction(files[case.id], scan.voxels.shape)
        maps[name] = frame.to_sagittal(only_structures(labels))
        wrong[name] = frame.to_sagittal(errors(values, labels, case.sets))
    return View(
        case.id,
        frame.to_sagittal(scan.voxels),
        frame.to_sagittal(np.clip(normalise(scan.voxels, low, high), 0, 1)),
        frame.to_sagittal(case.sets.principal(values)),
        maps,
        wrong,
        frame.spacing_mm,
    )


def errors(truth: np.ndarray, labels: np.ndarray, sets: ValueSets) -> np.ndarray:
    """Mark voxels whose structure 1-19 is wrong as the evaluator has it (20, 21 count as background)."""
    pair = resolve(truth, labels, sets)
    return (only_structures(pair.truth) != only_structures(pair.pred)) & ~pair.ignored


def _prediction(path: Path, shape: tuple[int, ...]) -> np.ndarray:
    labels, _ = read_labels(path)
    if labels.shape != shape:
        raise InputError(f"{path}: its shape {labels.shape} is not that of the scan, {shape}; predict again")
    return np.where(labels == UNKNOWN, 0, labels).astype(np.uint8)
