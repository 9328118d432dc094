"""NIfTI in, NIfTI out in the input's exact geometry."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from ..errors import InputError
from ..files import whole_file
from .scan import Scan

SUFFIXES = (".nii.gz", ".nii")


def _load(path: Path) -> tuple[nib.Nifti1Image, np.ndarray]:
    """Return the image and its array, with trailing axes of length 1 removed."""
    try:
        image = nib.load(path)
        if not isinstance(image, nib.Nifti1Image):
            raise InputError(f"{path}: a {type(image).__name__} came, a NIfTI file was expected")
        spacing = np.asarray(image.header["pixdim"][1:4], float)
        if not np.isfinite(spacing).all() or (spacing <= 0).any():
            raise InputError(f"{path}: its header gives a voxel spacing of {spacing} mm; it must be positive")
        array = np.asanyarray(image.dataobj)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except nib.filebasedimages.ImageFileError as error:
        raise InputError(f"{path} is not a NIfTI file: {error}") from error
    except (EOFError, zlib.error, OSError, ValueError) as error:
        raise InputError(f"{path} is damaged or cut short ({error}); copy or export it again") from error
    if array.dtype.names:
        raise InputError(f"{path}: colour voxels ({array.dtype}) came, grey values were expected")
    while array.ndim > 3 and array.shape[-1] == 1:
        array = array[..., 0]
    if array.ndim == 2:
        array = array[..., None]
    return image, array


def read(path: Path) -> Scan:
    """Read one volume.

    Raises:
        InputError: missing, not NIfTI, cut short, more than three dimensions, colour, a spacing that is not
            positive, or what :class:`Scan` refuses.
    """
    image, array = _load(path)
    return Scan(
        array if array.dtype.kind in "uib" else array.astype(np.float32),
        image.affine,
        source=str(path),
        shape_on_disk=image.shape,
        header={"nifti": image.header},
    )


def read_labels(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Read a label map: its integer array of three axes, and its affine.

    Raises:
        InputError: as :func:`read`, or values that are not whole numbers from 0.
    """
    image, array = _load(path)
    return whole_numbers(array, str(path)), image.affine


def whole_numbers(array: np.ndarray, source: str) -> np.ndarray:
    """Return a label map as integers.

    Raises:
        InputError: not three-dimensional, or a value that is not a whole number from 0 up.
    """
    if array.ndim != 3:
        raise InputError(f"{source}: labels of shape {array.shape} came, three dimensions were expected")
    whole = array.astype(np.int32) if array.dtype.kind in "fuib" and np.isfinite(array).all() else None
    if whole is None or (array.dtype.kind == "f" and (whole != array).any()) or whole.min(initial=0) < 0:
        raise InputError(f"{source}: label values must be whole numbers from 0; this looks like an image")
    return whole


def geometry_header(scan: Scan) -> nib.Nifti1Header:
    """Return a header that places a uint8 label map exactly where the scan lies.

    A scan that came from NIfTI keeps its own q-form, s-form and codes; any other gets its affine as s-form
    and q-form in scanner coordinates.
    """
    header: Any = scan.header.get("nifti")
    if header is None:
        image = nib.Nifti1Image(np.zeros((1, 1, 1), np.uint8), scan.affine)
        image.set_sform(scan.affine, code=1)
        image.set_qform(scan.affine, code=1, strip_shears=True)
        header = image.header
    header = header.copy()
    header.set_data_dtype(np.uint8)
    header.set_slope_inter(1, 0)
    header["cal_min"] = header["cal_max"] = 0
    header["descrip"] = b"cafrnet label map"
    header.extensions.clear()
    return header


def write_labels(labels: np.ndarray, scan: Scan, path: Path) -> None:
    """Write a label map in the scan's own shape, affine and codes, as uint8 with slope 1 and intercept 0.

    Args:
        labels: same three-dimensional shape as ``scan.voxels``, values 0 to 255.
        scan: the scan that the labels belong to.
        path: ends in ``.nii.gz`` or ``.nii``.

    Raises:
        InputError: another shape, or the file could not be written.
    """
    if labels.shape != scan.voxels.shape:
        raise InputError(f"labels of shape {labels.shape} came for a scan of shape {scan.voxels.shape}")
    on_disk = np.asarray(labels, np.uint8).reshape(scan.shape_on_disk)
    header = geometry_header(scan)
    kind = nib.Nifti2Image if isinstance(header, nib.Nifti2Header) else nib.Nifti1Image
    with whole_file(path) as temporary:
        nib.save(kind(on_disk, None, header=header), temporary)
