"""MHA, MHD, NRRD and seg.nrrd through SimpleITK (extra ``itk``); ITK's LPS becomes RAS in the affine."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError, MissingExtraError
from .nifti import whole_numbers
from .orientation import FLIP_XY
from .scan import Scan

SUFFIXES = (".mha", ".mhd", ".nrrd", ".nhdr")


def read(path: Path) -> Scan:
    """Read one volume.

    Raises:
        MissingExtraError: SimpleITK is not installed.
        InputError: missing, damaged, several values per voxel, not three-dimensional, a spacing that is not
            positive, or what :class:`Scan` refuses.
    """
    image = _load(path)
    voxels = image_array(image)
    return Scan(
        voxels if voxels.dtype.kind in "uib" else voxels.astype(np.float32, copy=False),
        image_affine(image),
        source=str(path),
    )


def read_labels(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Read a label map: its integer array of three axes, and its affine in RAS.

    Raises:
        MissingExtraError: SimpleITK is not installed.
        InputError: as :func:`read`, or values that are not whole numbers from 0.
    """
    image = _load(path)
    return whole_numbers(image_array(image), str(path)), image_affine(image)


def _load(path: Path) -> Any:
    try:
        import SimpleITK as sitk
    except ImportError:
        raise MissingExtraError("reading MHA and NRRD files", "itk") from None
    _check_spacing(path)
    try:
        image = sitk.ReadImage(str(path))
    except RuntimeError as error:
        raise InputError(
            f"{path} could not be read ({_reason(error)}); is it whole, and what its name says?"
        ) from error
    if image.GetNumberOfComponentsPerPixel() > 1:
        raise InputError(
            f"{path}: {image.GetNumberOfComponentsPerPixel()} values per voxel came, one was expected; save "
            "one channel (or, for overlapping segments, one merged label map)"
        )
    while image.GetDimension() > 3 and image.GetSize()[-1] == 1:
        image = image[..., 0]
    if image.GetDimension() != 3:
        raise InputError(
            f"{path}: an image of size {image.GetSize()} came, a single three-dimensional volume was "
            "expected; save one volume alone"
        )
    return image


def _check_spacing(path: Path) -> None:
    """Raise InputError where a MetaImage states a spacing that is not positive: ITK would flip the axis."""
    if path.suffix.lower() not in (".mha", ".mhd"):
        return
    with open(path, "rb") as file:
        head = file.read(4096)
    stated = re.search(rb"^ElementSpacing\s*=([-+.\deE \t]+)", head, re.MULTILINE)
    if stated and min((float(v) for v in stated[1].split()), default=0.0) <= 0:
        raise InputError(
            f"{path}: its header gives a voxel spacing of {stated[1].decode().strip()} mm; it must be "
            "positive"
        )


def _reason(error: RuntimeError) -> str:
    """Return the part of an ITK message that is meant for people, on one line."""
    text = re.split(r"ERROR: (?:\w+\(0x[0-9a-f]+\): )?", str(error))[-1]
    return " ".join(text.split())


def image_array(image: Any) -> np.ndarray:
    """Return voxels in ITK's index order (first index fastest), which is that of the affine's columns."""
    import SimpleITK as sitk

    array: np.ndarray = sitk.GetArrayFromImage(image)
    return array.transpose()


def image_affine(image: Any) -> np.ndarray:
    """Return array index -> RAS mm."""
    affine = np.eye(4)
    affine[:3, :3] = np.reshape(image.GetDirection(), (3, 3)) * np.array(image.GetSpacing())
    affine[:3, 3] = image.GetOrigin()
    return FLIP_XY @ affine
