"""Every case of a dataset: pair, read, score, sum up, write."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from .. import __version__
from ..errors import CAFRNetError, InputError, UsageError
from ..files import check_folder, write_json
from ..labels import TABLE, Scheme, ValueSets, get_scheme
from ..scan import SagittalFrame, orthonormal, read_labels, read_scan, sagittal_frame
from ..words import counted
from .case import CaseScore, evaluate_arrays
from .common import bodies_of_prediction, bodies_of_truth
from .on_truth import prediction_on, scheme_of
from .pairing import Pairs, pair
from .sets import annotated
from .signal import Pool, Thresholds, signal_of
from .summary import summarise
from .tables import (
    CASE_COLUMNS,
    REGION_COLUMNS,
    SLICE_COLUMNS,
    case_rows,
    region_rows,
    remove_csv,
    slice_rows,
    write_csv,
)
from .truths import Truth, find_truths, of_part

logger = logging.getLogger(__name__)

COMMON = ("body",)


@dataclass(frozen=True)
class Evaluation:
    """Scores of all cases, and their summary.

    Attributes:
        cases: in the order of the truths.
        summary: what ``summary.json`` holds.
    """

    cases: tuple[CaseScore, ...]
    summary: dict[str, Any]

    def __repr__(self) -> str:
        """Say in a few words what came out; the scores themselves are long."""
        mean = self.summary["headline"]["dsc"]["mean"]
        dsc = "no DSC" if mean is None else f"mean DSC {mean:.4f}"
        return f"<Evaluation of {counted(len(self.cases), 'case')}, {len(self.failed)} failed: {dsc}>"

    @property
    def failed(self) -> dict[str, str]:
        """Case id -> why it could not be scored."""
        return {case.id: case.failed for case in self.cases if case.failed}

    def write(self, folder: str | os.PathLike[str]) -> None:
        """Write ``cases.csv``, ``cases_after_shift.csv``, ``slices.csv``, ``regions.csv``, ``summary.json``.

        The slices and the regions only where they were scored; where not, those of an earlier evaluation are
        removed in the end. Each file is whole or absent; the summary is written last.

        Raises:
            InputError: a file could not be written.
        """
        out = Path(folder)
        write_csv(out / "cases.csv", CASE_COLUMNS, case_rows(self.cases))
        write_csv(out / "cases_after_shift.csv", CASE_COLUMNS, case_rows(self.cases, after_shift=True))
        slices = any(case.slices is not None for case in self.cases)
        regions = any(case.regions is not None for case in self.cases)
        if slices:
            write_csv(out / "slices.csv", SLICE_COLUMNS, slice_rows(self.cases))
        if regions:
            write_csv(out / "regions.csv", REGION_COLUMNS, region_rows(self.cases))
        write_json(out / "summary.json", self.summary)
        if not slices:
            remove_csv(out / "slices.csv", SLICE_COLUMNS)
        if not regions:
            remove_csv(out / "regions.csv", REGION_COLUMNS)


def evaluate(
    truth: str | os.PathLike[str],
    pred: str | os.PathLike[str],
    out: str | os.PathLike[str] | None = None,
    *,
    labels: str = "cafrnet",
    common: str | None = None,
    split: str | os.PathLike[str] | None = None,
    part: str = "test",
    fold: int | None = None,
    slices: bool = True,
    regions: bool = False,
    thresholds: Thresholds | None = None,
    seed: int = 0,
) -> Evaluation:
    """Score predictions against truths, case by case; one bad case never stops the rest.

    Args:
        truth: a dataset's folder, a folder of label maps, or one label map.
        pred: a folder of label maps, or one.
        out: folder to write to; nothing is written without it.
        labels: scheme of the predictions' values (see :data:`cafrnet.labels.SCHEMES`).
        common: ``"body"`` cuts whole vertebrae down to bodies, on each side whose values are whole.
        split: file of a split; only the cases of ``part`` are scored.
        part: ``train``, ``val`` or ``test``; only with ``split``.
        fold: which fold is tested, for a split into folds.
        slices: whether each sagittal slice is scored too.
        regions: whether the regions are scored too; needs a dataset with its images.
        thresholds: what counts as low contrast and as homogeneous, for instance of a larger test set that
            these cases belong to (:func:`region_thresholds`); else pooled over these cases.
        seed: of the bootstrap interval.

    Raises:
        UsageError: nothing could start: no truth, no prediction, an unknown scheme, an unusable split,
            ambiguous names or none that match, regions without images, a folder that can't be written to.
        InputError: a table could not be written.
    """
    scheme = get_scheme(labels)
    if out is not None:
        check_folder(out)  # before the long part
    if common is not None and common not in COMMON:
        raise UsageError(f"--common {common!r} came; 'body' is all that there is")
    truths = find_truths(Path(truth))
    if fold is not None and split is None:
        raise UsageError(f"fold {fold} came without a split; --fold counts the folds of --split FILE")
    if split is not None:
        truths = of_part(truths, Path(split), part, fold)
    pairs = pair(truths, Path(truth), Path(pred))
    if regions and not any(t.image for t, _ in pairs.pairs):
        raise UsageError(f"{truth}: its images are not known; regions need a dataset's folder with images")
    warnings = _warnings(pairs, scheme, common)
    pooled = (thresholds or _pooled([t for t, _ in pairs.pairs], common)) if regions else None
    job = _Job(scheme, common, slices, pooled)
    cases = []
    for number, (one, file) in enumerate(pairs.pairs, start=1):
        started = time.perf_counter()
        case = job.score(one, file)
        _report(case, f"{number}/{len(pairs.pairs)}", time.perf_counter() - started)
        cases.append(case)
    summary = {
        "cafrnet": __version__,
        "label_table": TABLE.version,
        "truth": str(truth),
        "prediction": str(pred),
        "labels": labels,
        "common": common,
        "split": None if split is None else {"file": str(split), "part": part, "fold": fold},
        "not_annotated": _not_annotated(pairs),
        "extra_predictions": [str(path) for path in pairs.extra],
        "warnings": warnings,
        **({"thresholds": vars(job.thresholds)} if job.thresholds else {}),
        **summarise(cases, seed),
    }
    evaluation = Evaluation(tuple(cases), summary)
    if out is not None:
        evaluation.write(out)
    return evaluation


@dataclass(frozen=True)
class _Job:
    """What is done alike to every case."""

    scheme: Scheme
    common: str | None
    slices: bool
    thresholds: Thresholds | None

    def score(self, truth: Truth, file: Path | None) -> CaseScore:
        """Score one case; whatever goes wrong with it is in the score, not raised."""
        try:
            return self._score(truth, file)
        except CAFRNetError as error:
            return CaseScore(truth.id, failed=str(error))
        except Exception as error:  # a batch survives what nobody foresaw; the trace is in the log
            logger.debug("case %s", truth.id, exc_info=True)
            return CaseScore(truth.id, failed=f"{type(error).__name__}: {error}")

    def _score(self, truth: Truth, file: Path | None) -> CaseScore:
        values, sets, frame, affine, notes = _read_truth(truth, self.common)
        pred = None
        if file is not None:
            pred, said = prediction_on(truth, affine, values.shape, file, self.scheme)
            notes += said
        if self.common and pred is not None and self.scheme.part == "whole":
            pred, whole = bodies_of_prediction(pred, frame)
            notes += _left_whole("prediction", whole)
        image = None
        if self.thresholds:
            try:
                image = _read_image(truth, values)
            except InputError as error:
                notes.append(f"no regions: {error}")
        case = evaluate_arrays(
            values,
            pred,
            _spacing_mm(affine),
            sets=sets,
            sagittal_axis=frame.axes[0] if self.slices or image is not None else None,
            image=image,
            thresholds=self.thresholds,
            case=truth.id,
        )
        return replace(case, notes=tuple(notes), slices=case.slices if self.slices else None)


def _read_truth(
    truth: Truth, common: str | None
) -> tuple[np.ndarray, ValueSets, SagittalFrame, np.ndarray, list[str]]:
    """Read a truth as it is scored: values, what they stand for, frame, orthonormal affine, notes."""
    values, affine = read_labels(truth.labels, scheme_of(truth))
    truth.sets.check(values, str(truth.labels))
    affine = orthonormal(affine, str(truth.labels))
    frame = sagittal_frame(affine, values.shape, str(truth.labels))
    if common is None or not truth.sets.whole_vertebrae:
        return values, truth.sets, frame, affine, []
    values, sets, whole = bodies_of_truth(values, truth.sets, frame)
    return values, sets, frame, affine, _left_whole("truth", whole)


def _spacing_mm(affine: np.ndarray) -> tuple[float, ...]:
    return tuple(float(s) for s in np.linalg.norm(affine[:3, :3], axis=0))


def _left_whole(side: str, bodies: tuple[int, ...]) -> list[str]:
    return [f"{side}: {TABLE[i].name} was left whole, there is no disc to cut it by" for i in bodies]


def _read_image(truth: Truth, values: np.ndarray) -> np.ndarray:
    if truth.image is None:
        raise InputError("the image is not known")
    image = read_scan(truth.image).voxels
    if image.shape != values.shape:
        raise InputError(f"{truth.image}: its shape {image.shape} is not that of the truth, {values.shape}")
    return image


def region_thresholds(truth: str | os.PathLike[str]) -> Thresholds:
    """Return what counts as low contrast and as homogeneous over all cases of a dataset.

    Raises:
        UsageError: no truth there, or no image of any.
    """
    truths = find_truths(Path(truth))
    if not any(t.image for t in truths):
        raise UsageError(f"{truth}: its images are not known; regions need a dataset's folder with images")
    return _pooled(truths, None)


def _pooled(truths: Sequence[Truth], common: str | None) -> Thresholds:
    """Read all images and truths once, and return the thresholds pooled over the test set."""
    pool = Pool()
    for truth in truths:
        try:
            values, sets, frame, affine, _ = _read_truth(truth, common)
            image = _read_image(truth, values)
        except InputError as error:
            logger.warning("%s is left out of the regions' thresholds: %s", truth.id, error)
            continue
        pool.add(
            signal_of(image, sets.principal(values), annotated(sets), _spacing_mm(affine), frame.axes[0])
        )
    return pool.thresholds()


def _warnings(pairs: Pairs, scheme: Scheme, common: str | None) -> list[str]:
    """Say, and log, what makes the scores less than they seem."""
    found = []
    bodies = any(not truth.sets.whole_vertebrae for truth, _ in pairs.pairs)
    if scheme.part == "whole" and bodies and common is None:
        found.append(
            f"the predictions' scheme {scheme.name!r} marks whole vertebrae, the truth bodies: their scores "
            "compare two different things; '--common body' cuts whole vertebrae to bodies"
        )
    if missing := [truth.id for truth, file in pairs.pairs if file is None]:
        verbs = "has no prediction and counts" if len(missing) == 1 else "have no prediction and count"
        found.append(f"{counted(len(missing), 'case')} {verbs} as all missed: {', '.join(missing)}")
    if pairs.extra:
        names = ", ".join(path.name for path in pairs.extra)
        verbs = "belongs to no truth and is" if len(pairs.extra) == 1 else "belong to no truth and are"
        found.append(f"{counted(len(pairs.extra), 'prediction')} {verbs} not scored: {names}")
    for text in found:
        logger.warning("%s", text)
    return found


def _not_annotated(pairs: Pairs) -> list[str]:
    """Name the structures that no case's truth can score."""
    scored: set[int] = set()
    for truth, _ in pairs.pairs:
        scored |= set(annotated(truth.sets))
    return [label.name for label in TABLE if label.id and label.id not in scored]


def _report(case: CaseScore, where: str, seconds: float) -> None:
    if case.failed:
        logger.error("%s %s failed: %s", where, case.id, case.failed)
        return
    dsc: Any = case.mean("dsc")
    logger.info("%s %s: DSC %s (%.1f s)", where, case.id, "-" if dsc is None else f"{dsc:.4f}", seconds)
