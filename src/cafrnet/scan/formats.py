"""The one place that decides which reader a path gets. Adding a format is one file and one line here."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from ..errors import InputError
from . import nifti
from .scan import Scan


def is_scan(path: Path) -> bool:
    """Whether the name of this file is one that some reader takes (hidden files never are)."""
    return not path.name.startswith(".") and path.name.lower().endswith(nifti.SUFFIXES)


def read_scan(path: str | os.PathLike[str], *, series: str = "auto", pixel_mm: float | None = None) -> Scan:
    """Read one scan from a file or a DICOM folder.

    Args:
        path: NIfTI file.
        series: which series of a DICOM folder: its UID, or ``"auto"``.
        pixel_mm: pixel size of a PNG, in mm.

    Raises:
        InputError: missing, damaged, of an unknown kind, or not a usable volume.
    """
    path = Path(path)
    if not path.exists():
        raise InputError(f"{path}: no such file or folder")
    if path.name.lower().endswith(nifti.SUFFIXES):
        return nifti.read(path)
    raise InputError(f"{path}: not a kind of file that can be read; expected {', '.join(nifti.SUFFIXES)}")


def read_labels(path: str | os.PathLike[str]) -> tuple[np.ndarray, np.ndarray]:
    """Read a label map: an integer array of three axes, and its affine.

    Raises:
        InputError: missing, damaged, not whole numbers, or not three-dimensional.
    """
    path = Path(path)
    if not path.exists():
        raise InputError(f"{path}: no such file")
    return nifti.read_labels(path)


def write_labels(labels: np.ndarray, scan: Scan, path: str | os.PathLike[str]) -> None:
    """Write a label map with the geometry of its scan; the file is whole or absent."""
    nifti.write_labels(labels, scan, Path(path))
