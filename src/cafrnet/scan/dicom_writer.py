"""A Scan as DICOM: a series of single slices, or one enhanced multi-frame file. For phantoms and tests.

Array axes on the way out: columns of a frame, rows of a frame, frames. Every UID is derived from
``seed_uid`` (study and frame of reference from ``patient_id``), so the same call gives the same bytes.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    UID,
    EnhancedMRImageStorage,
    ExplicitVRLittleEndian,
    MRImageStorage,
    generate_uid,
)
from pydicom.valuerep import format_number_as_ds

from ..errors import InputError, UsageError
from ..files import whole_file
from .orientation import FLIP_XY
from .scan import Scan

#: A fixed moment, since nothing was really acquired and equal calls must give equal bytes.
DATE, TIME = "20000101", "120000"


def upright(scan: Scan) -> Scan:
    """Return the scan with its array in the order of a usual sagittal series.

    Columns run posteriorly, rows caudally, slices to the right, so that every viewer shows the patient
    upright; :func:`write_series` stores frames as the array has them. A label map follows by
    ``scan.frame.to_sagittal(labels).transpose(2, 1, 0)``.
    """
    frame = scan.frame
    order = frame.axes[::-1]
    affine = scan.affine.copy()
    for axis, flipped in zip(frame.axes, frame.flipped, strict=True):
        if flipped:
            affine[:3, 3] += affine[:3, axis] * (scan.voxels.shape[axis] - 1)
            affine[:3, axis] *= -1
    affine[:, :3] = affine[:, list(order)]
    return Scan(frame.to_sagittal(scan.voxels).transpose(2, 1, 0), affine, scan.source)


def write_series(
    scan: Scan,
    folder: str | os.PathLike[str],
    *,
    description: str,
    seed_uid: str,
    echo_time_ms: float = 100.0,
    repetition_time_ms: float = 3500.0,
    inversion_time_ms: float | None = None,
    patient_id: str = "PHANTOM",
    series_number: int = 1,
) -> list[Path]:
    """Write one MR Image Storage file per slice, ``0001.dcm`` and onwards.

    Slices are cut across the array axis with the widest spacing (the last one where they are equal). When
    that is the last axis, reading the folder gives the same array and affine back; otherwise the same voxels
    at the same places, with the slice axis last.

    Args:
        scan: whole numbers from 0 to 65535. Directions that are not quite orthogonal are stored repaired.
        folder: new or empty; it appears whole or not at all.
        description: series description, for example ``"T2 TSE SAG"``.
        seed_uid: any text; the same text gives the same series UID.
        echo_time_ms: TE.
        repetition_time_ms: TR.
        inversion_time_ms: TI, for an inversion recovery (STIR) sequence.
        patient_id: series with the same patient share one study.
        series_number: place of the series in its study.

    Returns:
        The files, in the order of the slices.

    Raises:
        InputError: other voxels, or the system refused to write.
        UsageError: the folder holds something already.
    """
    planes, affine_lps = _planes(scan)
    base = _base(planes, description, seed_uid, patient_id, series_number)
    base.SOPClassUID = MRImageStorage
    base.ScanningSequence = "SE" if inversion_time_ms is None else ["SE", "IR"]
    base.SequenceVariant = "SK"
    base.ScanOptions = ""
    base.MRAcquisitionType = "2D"
    base.EchoTime = echo_time_ms
    base.RepetitionTime = repetition_time_ms
    base.InversionTime = inversion_time_ms
    base.EchoTrainLength = None
    base.ImageType = ["ORIGINAL", "PRIMARY", "OTHER"]
    base.update(_measures(affine_lps))
    base.update(_orientation(affine_lps))
    target = Path(folder)
    names = [f"{k + 1:04d}.dcm" for k in range(len(planes))]
    with _whole_folder(target) as temporary:
        for k, (name, plane) in enumerate(zip(names, planes, strict=True)):
            base.SOPInstanceUID = generate_uid(entropy_srcs=[seed_uid, "instance", str(k)])
            base.InstanceNumber = k + 1
            base.update(_position(affine_lps, k))
            _save(base, plane, temporary / name)
    return [target / name for name in names]


def write_enhanced(
    scan: Scan,
    path: str | os.PathLike[str],
    *,
    description: str,
    seed_uid: str,
    echo_time_ms: float = 100.0,
    repetition_time_ms: float = 3500.0,
    inversion_time_ms: float | None = None,
    patient_id: str = "PHANTOM",
    series_number: int = 1,
) -> Path:
    """Write the scan as one Enhanced MR Image Storage file with a frame per slice.

    Arguments and errors are those of :func:`write_series`; ``path`` is a file, replaced if it exists.
    """
    planes, affine_lps = _planes(scan)
    dataset = _base(planes, description, seed_uid, patient_id, series_number)
    dataset.SOPClassUID = EnhancedMRImageStorage
    dataset.SOPInstanceUID = generate_uid(entropy_srcs=[seed_uid, "enhanced"])
    dataset.InstanceNumber = 1
    dataset.NumberOfFrames = len(planes)
    frame_type = _item(
        FrameType=["ORIGINAL", "PRIMARY", "OTHER", "NONE"],
        PixelPresentation="MONOCHROME",
        VolumetricProperties="VOLUME",
        VolumeBasedCalculationTechnique="NONE",
        ComplexImageComponent="MAGNITUDE",
        AcquisitionContrast="UNKNOWN",
    )
    dataset.update(frame_type)
    del dataset.FrameType
    dataset.ImageType = frame_type.FrameType
    dataset.EchoPulseSequence = "SPIN"
    inversion = _item(InversionRecovery="NO" if inversion_time_ms is None else "YES")
    if inversion_time_ms is not None:
        inversion.InversionTimes = [inversion_time_ms]
    dataset.SharedFunctionalGroupsSequence = Sequence(
        [
            _item(
                MRImageFrameTypeSequence=Sequence([frame_type]),
                PixelMeasuresSequence=Sequence([_measures(affine_lps)]),
                PlaneOrientationSequence=Sequence([_orientation(affine_lps)]),
                MREchoSequence=Sequence([_item(EffectiveEchoTime=float(echo_time_ms))]),
                MRTimingAndRelatedParametersSequence=Sequence(
                    [_item(RepetitionTime=repetition_time_ms, FlipAngle=90.0, EchoTrainLength=1)]
                ),
                MRModifierSequence=Sequence([inversion]),
                PixelValueTransformationSequence=Sequence(
                    [_item(RescaleIntercept=0, RescaleSlope=1, RescaleType="US")]
                ),
            )
        ]
    )
    dataset.PerFrameFunctionalGroupsSequence = Sequence(
        [
            _item(
                FrameContentSequence=Sequence(
                    [_item(StackID="1", InStackPositionNumber=k + 1, DimensionIndexValues=[1, k + 1])]
                ),
                PlanePositionSequence=Sequence([_position(affine_lps, k)]),
            )
            for k in range(len(planes))
        ]
    )
    with whole_file(path) as temporary:
        _save(dataset, planes, temporary)
    return Path(path)


def _planes(scan: Scan) -> tuple[np.ndarray, np.ndarray]:
    """Return the frames (slice, row, column) as uint16, and the affine column, row, slice -> LPS mm."""
    voxels = scan.voxels
    whole = voxels.dtype.kind in "ub" or bool((voxels == np.round(voxels)).all())
    if not whole or voxels.min() < 0 or voxels.max() > 65535:
        raise InputError(
            f"{scan.source}: {voxels.dtype} voxels from {voxels.min()} to {voxels.max()} came; DICOM is "
            "written from whole numbers between 0 and 65535: scale and round first"
        )
    spacing_mm = np.round(scan.spacing_mm, 4)
    across = int(np.flatnonzero(spacing_mm == spacing_mm.max())[-1])
    column, row = (axis for axis in range(3) if axis != across)
    affine = (FLIP_XY @ scan.rigid_affine)[:, [column, row, across, 3]]
    return voxels.transpose(across, row, column).astype("<u2"), affine


def _base(
    planes: np.ndarray, description: str, seed_uid: str, patient_id: str, series_number: int
) -> Dataset:
    """Return what both kinds of file share: patient, study, series, equipment and the pixels' description."""
    low, high = (int(v) for v in np.percentile(planes, [1, 99]))
    return _item(
        SpecificCharacterSet="ISO_IR 192",
        PatientName=patient_id,
        PatientID=patient_id,
        PatientBirthDate="",
        PatientSex="",
        StudyInstanceUID=generate_uid(entropy_srcs=["cafrnet study", patient_id]),
        FrameOfReferenceUID=generate_uid(entropy_srcs=["cafrnet frame of reference", patient_id]),
        PositionReferenceIndicator="",
        StudyID="1",
        StudyDate=DATE,
        StudyTime=TIME,
        ContentDate=DATE,
        ContentTime=TIME,
        AcquisitionDateTime=DATE + TIME,
        AccessionNumber="",
        ReferringPhysicianName="",
        Modality="MR",
        Manufacturer="cafrnet",
        ManufacturerModelName="cafrnet phantom",
        SeriesInstanceUID=generate_uid(entropy_srcs=[seed_uid, "series"]),
        SeriesNumber=series_number,
        SeriesDescription=description,
        PatientPosition="HFS",
        Rows=planes.shape[1],
        Columns=planes.shape[2],
        SamplesPerPixel=1,
        PhotometricInterpretation="MONOCHROME2",
        BitsAllocated=16,
        BitsStored=16,
        HighBit=15,
        PixelRepresentation=0,
        WindowCenter=(low + high) / 2,
        WindowWidth=max(high - low, 1),
    )


def _item(**values: object) -> Dataset:
    dataset = Dataset()
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    return dataset


def _numbers(values: np.ndarray) -> list[str]:
    """Write numbers as decimal strings with all the digits that DICOM's 16 characters hold."""
    return [format_number_as_ds(float(v)) for v in values]


def _measures(affine_lps: np.ndarray) -> Dataset:
    column_mm, row_mm, slice_mm = np.linalg.norm(affine_lps[:3, :3], axis=0)
    pixel = _numbers(np.array([row_mm, column_mm]))
    between = _numbers(np.array([slice_mm]))[0]
    return _item(PixelSpacing=pixel, SliceThickness=between, SpacingBetweenSlices=between)


def _orientation(affine_lps: np.ndarray) -> Dataset:
    directions = affine_lps[:3, :2] / np.linalg.norm(affine_lps[:3, :2], axis=0)
    return _item(ImageOrientationPatient=_numbers(directions.T.ravel()))


def _position(affine_lps: np.ndarray, k: int) -> Dataset:
    return _item(ImagePositionPatient=_numbers(affine_lps[:3, 3] + k * affine_lps[:3, 2]))


def _save(dataset: Dataset, pixels: np.ndarray, path: Path) -> None:
    dataset.PixelData = pixels.tobytes()
    dataset["PixelData"].VR = "OW"
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.MediaStorageSOPClassUID = UID(dataset.SOPClassUID)
    dataset.file_meta.MediaStorageSOPInstanceUID = UID(dataset.SOPInstanceUID)
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.save_as(path, enforce_file_format=True)


@contextmanager
def _whole_folder(target: Path) -> Iterator[Path]:
    """Yield a temporary folder that becomes ``target`` only if the block ends without an error."""
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise UsageError(f"{target} exists and is not an empty folder; a series needs a folder of its own")
    temporary = target.with_name(f".{os.getpid()}-{target.name}")
    try:
        temporary.mkdir(parents=True)
        yield temporary
        os.replace(temporary, target)
    except OSError as error:
        raise InputError(f"{target} could not be written: {error.strerror or error}") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
