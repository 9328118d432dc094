"""The data doctor: what is wrong with a dataset, before anything is trained or scored on it.

Each file is read once, and one case is held at a time.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from ...errors import CAFRNetError, InputError, MissingExtraError
from ...labels import TABLE, UNKNOWN, ValueSets
from ...scan import Scan, read_labels
from ..case import Case, Dataset
from ..splits import Split, Track
from . import anatomy, duplicates, geometry, intensities
from .findings import Finding, Report, Severity

__all__ = ["Finding", "Report", "Severity", "check"]

logger = logging.getLogger(__name__)

#: Unknown values that are listed, and how many a label map of any scheme may have.
SHOWN, MOST_VALUES = 10, 100


@dataclass
class _Seen:
    """What is kept of the cases for the comparisons between them."""

    spacings_mm: dict[str, tuple[float, ...]] = field(default_factory=dict)
    prints: dict[str, duplicates.Fingerprint] = field(default_factory=dict)
    parts: dict[str, anatomy.Part] = field(default_factory=dict)


def check(dataset: Dataset, *, split: Split | None = None, track: Track = iter) -> Report:
    """Examine a dataset.

    Args:
        dataset: the cases.
        split: a split whose parts must not share a patient, nor a scan.
        track: shows progress over the cases.

    Returns:
        The findings. Broken files are findings too; nothing is raised for them.

    Raises:
        MissingExtraError: reading this dataset needs an extra that is not installed.
    """
    findings = [*_pairs(dataset), *_declared(dataset.sets)]
    seen = _Seen()
    for case in track(dataset.cases):
        findings += _case(case, seen)
    part_of = split.part_of if split else {}
    findings += geometry.odd_spacings(seen.spacings_mm)
    findings += duplicates.check(seen.prints, part_of)
    findings += _bodies_or_whole(dataset.sets, seen.parts)
    if split is not None:
        findings += _split(dataset, part_of)
    return Report.of(dataset.name, len(dataset), findings)


def _pairs(dataset: Dataset) -> Iterator[Finding]:
    """Report images without label maps and label maps without images."""
    bare = [case.id for case in dataset if case.labels is None]
    if not dataset.cases:
        yield Finding("error", "pairs", "", "it has no case", "check the folder's layout")
    elif len(bare) == len(dataset):
        yield Finding(
            "warning", "pairs", "", "no case has a label map", "it can be segmented, not trained or scored on"
        )
    else:
        for identity in bare:
            yield Finding(
                "error", "pairs", identity, "its label map is missing", "add it, or remove the image"
            )
    for path in dataset.orphans:
        yield Finding("error", "pairs", "", f"{path} has no image", "add the image, or remove the label map")


def _declared(sets: ValueSets) -> Iterator[Finding]:
    """Report value sets that call some vertebrae whole and others bodies."""
    bodies, behind = TABLE.of_kind("body"), set(TABLE.of_kind("posterior"))
    whole = {ids[0]: bool(behind & set(ids)) for ids in sets.values.values() if ids[0] in bodies}
    if len(set(whole.values())) > 1:
        names = [TABLE[i].name for i, is_whole in whole.items() if is_whole]
        yield Finding(
            "error",
            "body or whole",
            "",
            f"its values call only {', '.join(names)} whole vertebrae (with {TABLE[21].name})",
            "give all vertebrae the same kind of set in dataset.yaml: [2] ... or [2, 21] ...",
        )


def _case(case: Case, seen: _Seen) -> Iterator[Finding]:
    """Examine one case: its image, its label map, and the two together."""
    scan = None
    try:
        scan = case.read()
    except MissingExtraError:
        raise  # nothing is wrong with the case
    except CAFRNetError as error:
        yield Finding("error", "image", case.id, str(error), "repair or export it again, or remove the case")
    if scan is not None:
        yield from _image(case, scan, seen)
    if case.labels is not None:
        yield from _truth(case, scan, seen)


def _image(case: Case, scan: Scan, seen: _Seen) -> Iterator[Finding]:
    findings = list(geometry.image(case.id, scan))
    yield from findings
    if any(f.severity == "error" for f in findings):
        return  # not sagittal: there are no sagittal slices to look at
    sagittal = scan.frame.to_sagittal(scan.voxels)
    yield from intensities.check(case.id, sagittal)
    seen.spacings_mm[case.id] = scan.frame.spacing_mm
    seen.prints[case.id] = duplicates.fingerprint(case.patient, sagittal)


def _truth(case: Case, scan: Scan | None, seen: _Seen) -> Iterator[Finding]:
    try:
        truth, affine = read_labels(case.labels)  # type: ignore[arg-type]
    except InputError as error:
        yield Finding("error", "labels", case.id, str(error), "repair or export the label map again")
        return
    if scan is not None and truth.shape != scan.voxels.shape:
        yield Finding(
            "error",
            "shape",
            case.id,
            f"its label map has the shape {truth.shape}, the image {scan.voxels.shape}",
            "resample the label map to the image (nearest neighbour)",
        )
        return
    if scan is not None:
        yield from geometry.pair(case.id, scan, affine)
    values = np.flatnonzero(np.bincount(truth.ravel()))
    if unknown := [int(v) for v in values if int(v) not in case.sets.values]:
        yield _unknown(case.id, unknown)
        return
    if not any(case.sets.values[int(v)][0] not in (0, UNKNOWN) for v in values):
        yield Finding(
            "error", "empty", case.id, "nothing is marked in its label map", "mark it, or leave it out"
        )
        return
    yield from _spine(case, scan, truth, seen)


def _unknown(case: str, values: list[int]) -> Finding:
    """Say which values stand for nothing; so many that no label map has them are an image's."""
    more = f" and {len(values) - SHOWN} more" if len(values) > SHOWN else ""
    advice = "say in dataset.yaml what they stand for, or correct the label map"
    if len(values) > MOST_VALUES:
        advice = "it looks like an image: put the label map in its place"
    shown = ", ".join(map(str, values[:SHOWN]))
    message = f"its label map holds the values [{shown}]{more}, which stand for nothing"
    return Finding("error", "unknown ids", case, message, advice)


def _spine(case: Case, scan: Scan | None, truth: np.ndarray, seen: _Seen) -> Iterator[Finding]:
    """Examine the marked spine, in the image's sagittal frame."""
    if case.id not in seen.spacings_mm or scan is None:
        return  # the image has no sagittal frame, which was reported
    ids = scan.frame.to_sagittal(case.sets.principal(truth))
    found = anatomy.structures(np.where(ids == UNKNOWN, 0, ids), scan.frame.spacing_mm)
    seen.parts[case.id] = anatomy.part(found)
    whole = seen.parts[case.id] == "whole"
    yield from anatomy.order(case.id, found, whole=whole)
    yield from anatomy.pieces(case.id, found, whole=whole)


def _bodies_or_whole(sets: ValueSets, parts: dict[str, anatomy.Part]) -> Iterator[Finding]:
    """Compare what the vertebrae are said to be with what was measured."""
    said = "whole" if sets.whole_vertebrae else "body"
    for case, measured in parts.items():
        if measured in (said, "unknown"):
            continue
        if measured == "whole":
            message = (
                "its vertebrae reach far behind the discs (whole vertebrae), dataset.yaml calls them bodies"
            )
            advice = (
                "write 'values: {2: [2, 21], ...}' in dataset.yaml, or move cases of another kind elsewhere"
            )
        else:
            message = "its vertebrae are no deeper than the discs (bodies), dataset.yaml calls them whole"
            advice = "write 'values: {2: [2], ...}' in dataset.yaml, or move cases of another kind elsewhere"
        yield Finding("error", "body or whole", case, message, advice)


def _split(dataset: Dataset, part_of: dict[str, str]) -> Iterator[Finding]:
    """Report ids that the dataset does not have, and patients in two parts."""
    cases = dataset.by_id
    first: dict[str, str] = {}
    for identity, part in part_of.items():
        if identity not in cases:
            yield Finding(
                "error",
                "split",
                identity,
                f"{part} names it, the dataset has no such case",
                "make the split again",
            )
        elif (other := first.setdefault(cases[identity].patient, part)) != part:
            yield Finding(
                "error",
                "split",
                identity,
                f"its patient {cases[identity].patient} is in {other} and in {part}",
                "make the split again with 'cafrnet data split', which keeps patients together",
            )
