"""DICOM headers as frames: where one slice lies and how its stored values become grey values.

Single-frame and enhanced multi-frame objects differ only in where an attribute stands. A frame of an
enhanced object is looked up in its own functional groups, then in the shared ones, then at the top.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.uid import (
    UID,
    EnhancedMRImageStorage,
    LegacyConvertedEnhancedMRImageStorage,
    MediaStorageDirectoryStorage,
    MRImageStorage,
)

from ..errors import InputError

logger = logging.getLogger(__name__)

#: The kinds of object that hold MR slices. Everything else (reports, segmentations, presentation states,
#: secondary captures, other modalities) is skipped.
MR_IMAGES = (MRImageStorage, EnhancedMRImageStorage, LegacyConvertedEnhancedMRImageStorage)
#: Names under which a file that is not DICOM deserves more than a debug message.
SUFFIXES = (".dcm", ".dicom", ".ima")
#: Attributes that tell apart frames at the same place.
TRAITS = (
    "EchoTime",
    "EffectiveEchoTime",
    "EchoNumbers",
    "TemporalPositionIdentifier",
    "TemporalPositionIndex",
    "AcquisitionNumber",
    "TriggerTime",
    "DiffusionBValue",
    "FrameType",
    "ComplexImageComponent",
    "ImageType",
)
#: What is read of a header; everything else is skipped, which is faster and keeps names out of memory.
TAGS = [
    "SOPClassUID",
    "SOPInstanceUID",
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "SeriesNumber",
    "SeriesDescription",
    "ProtocolName",
    "SequenceName",
    "PulseSequenceName",
    "ScanningSequence",
    "EchoPulseSequence",
    "ScanOptions",
    "AcquisitionContrast",
    "RepetitionTime",
    "InversionTime",
    "InstanceNumber",
    "ImagePositionPatient",
    "ImageOrientationPatient",
    "PixelSpacing",
    "SliceThickness",
    "SpacingBetweenSlices",
    "Rows",
    "Columns",
    "NumberOfFrames",
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "RescaleSlope",
    "RescaleIntercept",
    "SharedFunctionalGroupsSequence",
    "PerFrameFunctionalGroupsSequence",
    *TRAITS,
]


@dataclass(frozen=True)
class Frame:
    """One slice, without its pixels. Positions and directions are in LPS, as DICOM has them.

    Attributes:
        file: the file that holds it.
        index: its place among the frames of that file.
        instance: SOP instance UID of the file.
        number: order of acquisition: InstanceNumber, then the place in the file.
        shape: rows, columns.
        position_mm: centre of the first pixel; None when the header has none.
        directions: unit vectors (2, 3): along a row (column index grows), down a column (row index grows).
        pixel_mm: distance between rows, distance between columns.
        between_mm: distance between slices as the header states it, if it does.
        slope: grey value = stored value * slope + intercept.
        intercept: see ``slope``.
        colour: photometric interpretation, where it isn't plain MONOCHROME2.
        traits: attributes that tell apart frames at one place (echo time, time point ...).
        contrast: attributes that tell which contrast it is.
    """

    file: Path
    index: int
    instance: str
    number: tuple[int, int]
    shape: tuple[int, int]
    position_mm: np.ndarray | None
    directions: np.ndarray | None
    pixel_mm: tuple[float, float] | None
    between_mm: float | None
    slope: float
    intercept: float
    colour: str
    traits: dict[str, str] = field(repr=False)
    contrast: dict[str, Any] = field(repr=False)


@dataclass
class Series:
    """All frames that share a SeriesInstanceUID, and what the first header says about them."""

    uid: str
    study: str
    number: int
    description: str
    frames: list[Frame] = field(default_factory=list)


def read_all(path: Path) -> tuple[dict[str, Series], Counter[str]]:
    """Read the headers of every DICOM file in a folder and its subfolders, or of one file.

    Returns:
        The MR series by UID, and how many objects of other kinds were skipped.

    Raises:
        InputError: a DICOM file whose header is damaged.
    """
    series: dict[str, Series] = {}
    skipped: Counter[str] = Counter()
    seen: set[tuple[str, str]] = set()
    for file in _files(path):
        dataset = _header(file)
        if dataset is None:
            continue
        kind = UID(dataset.file_meta.get("MediaStorageSOPClassUID") or dataset.get("SOPClassUID", ""))
        if kind == MediaStorageDirectoryStorage:
            logger.debug("%s: a DICOMDIR, ignored", file)
        elif kind not in MR_IMAGES:
            skipped[kind.name or "unknown kind"] += 1
            logger.debug("%s: %s, skipped", file, kind.name)
        elif (instance := _identity(file, dataset)) in seen:
            logger.warning("%s: the same DICOM object as another file of this folder, ignored", file)
        else:
            seen.add(instance)
            _add(series, file, dataset)
    return series, skipped


def study_of(folder: Path) -> tuple[str, str] | None:
    """Return the study and patient that a folder's own DICOM images belong to, going by the first of them.

    A damaged or anonymous header gives a study of its own, so that nothing is ever joined with it. None when
    no DICOM image lies in the folder itself.
    """
    for file in sorted(f for f in folder.iterdir() if f.is_file() and not f.name.startswith(".")):
        try:
            dataset = pydicom.dcmread(
                file, stop_before_pixels=True, specific_tags=["StudyInstanceUID", "PatientID"]
            )
        except InvalidDicomError:
            continue
        except Exception:  # pydicom raises many kinds on a damaged header; the reader will say which
            return f"damaged: {folder}", ""
        if dataset.file_meta.get("MediaStorageSOPClassUID") != MediaStorageDirectoryStorage:
            return str(dataset.get("StudyInstanceUID") or folder), str(dataset.get("PatientID", ""))
    return None


def _files(path: Path) -> Iterator[Path]:
    if path.is_file():
        yield path
    else:
        yield from (f for f in sorted(path.rglob("*")) if f.is_file() and not f.name.startswith("."))


def _header(file: Path) -> Dataset | None:
    """Return the header of a DICOM file, or None when the file is something else."""
    try:
        return pydicom.dcmread(file, stop_before_pixels=True, specific_tags=TAGS)
    except InvalidDicomError:
        level = logging.WARNING if file.name.lower().endswith(SUFFIXES) else logging.DEBUG
        logger.log(level, "%s: not a DICOM file, ignored", file)
        return None
    except Exception as error:  # pydicom raises many kinds on a damaged header
        raise InputError(f"{file}: its DICOM header is damaged ({error}); copy or export it again") from error


def _identity(file: Path, dataset: Dataset) -> tuple[str, str]:
    """Return what copies of an object share: UID and place, since anonymising may make all UIDs one."""
    return str(dataset.get("SOPInstanceUID", file)), str(dataset.get("ImagePositionPatient", ""))


def _add(series: dict[str, Series], file: Path, dataset: Dataset) -> None:
    try:
        uid = str(dataset.SeriesInstanceUID)
        entry = series.get(uid) or Series(
            uid,
            str(dataset.get("StudyInstanceUID", "")),
            int(dataset.get("SeriesNumber") or 0),
            str(dataset.get("SeriesDescription") or dataset.get("ProtocolName") or ""),
        )
        entry.frames.extend(_frames(file, dataset))
    except (AttributeError, TypeError, ValueError, IndexError) as error:
        raise InputError(
            f"{file}: its DICOM header is damaged or incomplete ({error}); copy or export it again"
        ) from error
    series[uid] = entry


def _frames(file: Path, dataset: Dataset) -> Iterator[Frame]:
    own_groups = dataset.get("PerFrameFunctionalGroupsSequence")
    if own_groups is None:
        if int(dataset.get("NumberOfFrames") or 1) > 1:
            raise ValueError("several frames without functional groups")
        yield _frame(file, 0, dataset, [dataset])
        return
    shared = [_groups(item) for item in dataset.get("SharedFunctionalGroupsSequence") or []]
    if len(own_groups) != int(dataset.get("NumberOfFrames") or 0):
        raise ValueError(f"{len(own_groups)} functional groups for {dataset.get('NumberOfFrames')} frames")
    for index, item in enumerate(own_groups):
        yield _frame(file, index, dataset, [*_groups(item), *(g for s in shared for g in s), dataset])


def _groups(item: Dataset) -> list[Dataset]:
    """Return the functional groups of one frame, or the shared ones: sequences of one item each."""
    return [element.value[0] for element in item if element.VR == "SQ" and element.value]


def _frame(file: Path, index: int, dataset: Dataset, places: list[Dataset]) -> Frame:
    def look(*keywords: str) -> Any:
        """Return the first value that one of these attributes has, or None."""
        for keyword in keywords:
            for place in places:
                value = place.get(keyword)
                if value is not None and str(value) != "":
                    return value
        return None

    position, cosines = _vector(look("ImagePositionPatient"), 3), _vector(look("ImageOrientationPatient"), 6)
    pixel_mm = _vector(look("PixelSpacing"), 2)
    between = look("SpacingBetweenSlices", "SliceThickness")
    slope, intercept = look("RescaleSlope"), look("RescaleIntercept")
    samples, colour = (
        int(look("SamplesPerPixel") or 1),
        str(look("PhotometricInterpretation") or "MONOCHROME2"),
    )
    return Frame(
        file=file,
        index=index,
        instance=str(dataset.get("SOPInstanceUID", file)),
        number=(int(dataset.get("InstanceNumber") or 0), index),
        shape=(int(dataset.Rows), int(dataset.Columns)),
        position_mm=position,
        directions=None if cosines is None else cosines.reshape(2, 3),
        pixel_mm=None if pixel_mm is None else (float(pixel_mm[0]), float(pixel_mm[1])),
        between_mm=None if between is None else abs(float(between)),
        slope=1.0 if slope is None else float(slope),
        intercept=0.0 if intercept is None else float(intercept),
        colour="" if samples == 1 and colour == "MONOCHROME2" else colour,
        traits={name: str(value) for name in TRAITS if (value := look(name)) is not None},
        contrast={
            "echo_time_ms": look("EchoTime", "EffectiveEchoTime"),
            "repetition_time_ms": look("RepetitionTime"),
            "inversion_time_ms": look("InversionTime", "InversionTimes"),
            "sequence": _words(look("ScanningSequence"), look("EchoPulseSequence")),
            "options": _words(look("ScanOptions")),
            "names": _words(
                look("SeriesDescription"), look("ProtocolName"), look("SequenceName", "PulseSequenceName")
            ),
            "stated": _words(look("AcquisitionContrast")),
            "image_type": _words(look("ImageType"), look("FrameType")),
        },
    )


def _vector(value: Any, length: int) -> np.ndarray | None:
    """Return numbers as float64, None when the attribute is missing or has another length."""
    if value is None or isinstance(value, (str, float)) or len(value) != length:
        return None
    return np.array([float(v) for v in value])


def _words(*values: Any) -> str:
    """Return text attributes, which may have several values, as one line."""
    parts = [v if isinstance(v, str) else " ".join(map(str, v)) for v in values if v is not None]
    return " ".join(parts)
