"""The one place that decides which reader a path gets. Adding a format is one file and one line here."""

from __future__ import annotations

import importlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError, UsageError
from ..labels import Scheme
from .scan import Scan

#: How many files of a folder are looked at before it is said to hold no DICOM.
FILES_LOOKED_AT = 20


@dataclass(frozen=True)
class Format:
    """One kind of file.

    Attributes:
        module: the file of this folder that reads it, imported when first needed.
        suffixes: how its names end, in lower case.
        options: which options of :func:`read_scan` its ``read`` takes.
        labels: whether it reads label maps.
        written: whether label maps are written in it.
    """

    module: str
    suffixes: tuple[str, ...]
    options: tuple[str, ...] = ()
    labels: bool = True
    written: bool = False

    @property
    def code(self) -> Any:
        """The module with ``read``, and ``read_labels`` and ``write_labels`` where it has them."""
        return importlib.import_module(f".{self.module}", __package__)


NIFTI = Format("nifti", (".nii.gz", ".nii"), written=True)
DICOM = Format("dicom", (".dcm", ".dicom", ".ima"), options=("series",), labels=False)
PNG = Format("png", (".png",), options=("pixel_mm",), written=True)
ITK = Format("itk", (".mha", ".mhd", ".nrrd", ".nhdr"))
#: How the names of Slicer's segmentations end: NRRD files whose values have names.
SEGMENTATION = ".seg.nrrd"
#: Every kind of file, in the order in which names are compared.
FORMATS = (NIFTI, DICOM, PNG, ITK)


def _by_name(path: Path) -> Format | None:
    name = path.name.lower()
    return next((f for f in FORMATS if name.endswith(f.suffixes)), None)


def _by_content(path: Path) -> Format | None:
    """Return the format of a folder, or of a file whose name says nothing (DICOM often has no suffix)."""
    return DICOM if path.is_dir() or is_dicom(path) else None


def is_dicom(path: Path) -> bool:
    """Whether a file has the mark of DICOM files: 128 bytes, then DICM."""
    try:
        with open(path, "rb") as file:
            return file.read(132)[128:] == b"DICM"
    except OSError:
        return False


def is_scan(path: Path) -> bool:
    """Whether the name of this file is one that some reader takes (hidden files never are)."""
    return not path.name.startswith(".") and _by_name(path) is not None


def is_dicom_folder(path: str | os.PathLike[str]) -> bool:
    """Whether a folder holds DICOM files itself (not in subfolders), going by its first files."""
    try:
        names = sorted(e.name for e in os.scandir(path) if e.is_file() and not e.name.startswith("."))
    except OSError:
        return False
    return "DICOMDIR" in names or any(is_dicom(Path(path, name)) for name in names[:FILES_LOOKED_AT])


def _format_of(path: Path) -> Format:
    if not path.exists():
        raise InputError(f"{path}: no such file or folder")
    if not os.access(path, os.R_OK):
        raise InputError(f"{path} may not be read; change its permissions")
    found = (_by_name(path) if path.is_file() else None) or _by_content(path)
    if found is None:
        known = ", ".join(s for f in FORMATS for s in f.suffixes)
        raise InputError(f"{path}: not a kind of file that can be read; expected {known} or a DICOM folder")
    return found


def read_scan(path: str | os.PathLike[str], *, series: str = "auto", pixel_mm: float | None = None) -> Scan:
    """Read one scan from a file or a DICOM folder.

    Args:
        path: NIfTI, MHA, MHD, NRRD (extra ``itk``), PNG, an enhanced DICOM file, or a DICOM folder, which is
            searched with its subfolders.
        series: which series of a DICOM folder: its UID, or ``"auto"``, which prefers sagittal T2.
        pixel_mm: pixel size of a PNG, in mm; it needs one.

    Raises:
        InputError: missing, damaged, of an unknown kind, or not a usable volume.
        UsageError: an option is missing or does not fit (a PNG without ``pixel_mm``, several series).
        MissingExtraError: the format needs an extra that is not installed.
    """
    path = Path(path)
    kind = _format_of(path)
    given = {"series": series, "pixel_mm": pixel_mm}
    scan: Scan = kind.code.read(path, **{name: given[name] for name in kind.options})
    return scan


def size_in_memory(path: str | os.PathLike[str]) -> tuple[int, int] | None:
    """Return how many voxels a scan has and the bytes of each in memory, without reading it.

    Returns:
        None where that takes reading it (all but NIfTI), or where the file can't be read at all.
    """
    path = Path(path)
    kind = _by_name(path) if path.is_file() else None
    if kind is not NIFTI:
        return None
    size: tuple[int, int] | None = kind.code.size_in_memory(path)
    return size


def is_segmentation(path: str | os.PathLike[str]) -> bool:
    """Whether a name is that of Slicer's segmentations, whose values mean nothing without their names."""
    return Path(path).name.lower().endswith(SEGMENTATION)


def read_labels(path: str | os.PathLike[str], scheme: Scheme | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Read a label map: an integer array of three axes, and its affine.

    Args:
        path: any format that label maps are read from.
        scheme: of the values. With it, the segments of a ``.seg.nrrd`` are taken by their names; without it,
            its values come as they stand in the file, and they are Slicer's own.

    Raises:
        InputError: missing, damaged, of an unknown kind, not whole numbers, not three-dimensional, a
            ``.seg.nrrd`` with segments that can't be placed, or a label map of cafrnet's that was written in
            another scheme.
        MissingExtraError: the format needs an extra that is not installed.
    """
    path = Path(path)
    kind = _format_of(path)
    if scheme is not None and is_segmentation(path):
        from .slicer import read_segments

        return read_segments(path, scheme)
    if not kind.labels:
        raise InputError(f"{path}: label maps can't be read from DICOM; export it as NIfTI")
    labels: tuple[np.ndarray, np.ndarray] = kind.code.read_labels(path)
    if scheme is not None and (said := written_scheme(path)) not in (None, scheme.name):
        raise InputError(
            f"{path}: it says that its values are those of {said}, not of {scheme.name}; use --labels {said} "
            "or save it without the note in its header if they were changed"
        )
    return labels


def written_scheme(path: str | os.PathLike[str]) -> str | None:
    """Return the scheme that a label map of cafrnet's names as that of its values.

    Returns:
        None for any other file, and for values of cafrnet's own table, which needs no name.
    """
    path = Path(path)
    kind = _by_name(path) if path.is_file() else None
    scheme: str | None = kind.code.scheme_of(path) if kind is not None and kind.written else None
    return scheme


def is_placed(path: str | os.PathLike[str]) -> bool:
    """Whether a file says where its voxels lie in the patient; a PNG never does, a NIfTI may not."""
    path = Path(path)
    kind = _format_of(path)
    return kind is not PNG and (kind is not NIFTI or bool(kind.code.is_placed(path)))


def output_suffix(scan: Scan) -> str:
    """Return how the name of a label map for this scan ends: ``.png`` for a PNG, else ``.nii.gz``."""
    return ".png" if "png" in scan.header else ".nii.gz"


def write_labels(
    labels: np.ndarray, scan: Scan, path: str | os.PathLike[str], *, scheme: str = "cafrnet"
) -> None:
    """Write a label map with the geometry of its scan; the file is whole or absent.

    Args:
        labels: same shape as ``scan.voxels``, values 0 to 255.
        scan: the scan that the labels belong to.
        path: ends in ``.nii.gz`` or ``.nii`` for any scan, or in ``.png`` for one that came from a PNG.
        scheme: name of what the values are from. The file keeps it, and is never read as another.

    Raises:
        InputError: another shape, values beyond 255, or the system refused to write.
        UsageError: another ending.
    """
    path = Path(path)
    kind = _by_name(path)
    if kind is None or not kind.written:
        raise UsageError(f"{path}: label maps are written as .nii.gz, .nii or (for a PNG) .png")
    kind.code.write_labels(labels, scan, path, scheme)
