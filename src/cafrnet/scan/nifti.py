"""NIfTI in, NIfTI out in the input's exact geometry."""

from __future__ import annotations

import gzip
import logging
import zlib
from itertools import product
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from ..errors import InputError
from ..files import whole_file
from .scan import Scan

logger = logging.getLogger(__name__)

SUFFIXES = (".nii.gz", ".nii")
#: What ``xyzt_units`` says of lengths -> its name and millimetres; 2 is mm, 0 nothing, which is taken for mm.
UNITS = {1: ("metres", 1000.0), 3: ("microns", 0.001)}
#: Voxel sizes of ``pixdim`` and s-form may differ by this share of them.
SAME_SPACING = 0.01
#: Description in the header of every label map of ours, by which they are told from scans.
MARK = b"cafrnet label map"
#: What follows it where the values are not those of cafrnet's own table, before the scheme's name.
VALUES = b", values of "


def _load(path: Path) -> tuple[nib.Nifti1Image, np.ndarray]:
    """Return the image and its array, with trailing axes of length 1 removed."""
    try:
        _check_spacing(path)
        image = nib.load(path)
        if not isinstance(image, nib.Nifti1Image):
            raise InputError(f"{path}: a {type(image).__name__} came, a NIfTI file was expected")
        array = np.asanyarray(image.dataobj)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (nib.filebasedimages.ImageFileError, gzip.BadGzipFile) as error:
        raise InputError(_not_nifti(path)) from error
    except (EOFError, zlib.error, OSError, ValueError, nib.spatialimages.HeaderDataError) as error:
        if path.is_file() and path.stat().st_size == 0:
            raise InputError(_not_nifti(path)) from error
        reason = " ".join(str(error).split())
        raise InputError(f"{path} is damaged or cut short ({reason}); copy or export it again") from error
    if array.dtype.names:
        raise InputError(f"{path}: colour voxels ({array.dtype}) came, grey values were expected")
    while array.ndim > 3 and array.shape[-1] == 1:
        array = array[..., 0]
    if array.ndim == 2:
        array = array[..., None]
    return image, array.astype(array.dtype.newbyteorder("="), copy=False)


def _not_nifti(path: Path) -> str:
    """Say what a file is that is named like NIfTI and holds none."""
    if path.stat().st_size == 0:
        return f"{path} is empty (0 bytes); copy or export it again"
    with path.open("rb") as file:
        zipped = file.read(2) == b"\x1f\x8b"
    if path.name.lower().endswith(".gz") and not zipped:
        return (
            f"{path} is not a gzip file, though its name ends in .gz; export the scan again, or give the "
            "file the ending of its kind"
        )
    return f"{path} is not a NIfTI file, whatever its name says; export the scan again"


def _check_spacing(path: Path) -> None:
    """Raise InputError where the header as it stands gives a spacing that is not positive.

    nibabel would make a spacing of 0 one millimetre and drop a minus sign, with no more than a log line.
    """
    with nib.openers.ImageOpener(str(path)) as file:
        block = file.read(nib.Nifti2Header.sizeof_hdr)
    for kind in (nib.Nifti1Header, nib.Nifti2Header):
        if len(block) >= kind.sizeof_hdr and kind.may_contain_header(block):
            header = kind(block[: kind.sizeof_hdr], check=False)
            spacing = np.asarray(header["pixdim"], float)[1 : 1 + min(max(int(header["dim"][0]), 1), 3)]
            if not np.isfinite(spacing).all() or (spacing <= 0).any():
                values = " x ".join(f"{s:g}" for s in spacing)
                raise InputError(
                    f"{path}: its header gives a voxel spacing of {values} mm; it must be positive"
                )
            return


def _has_form(header: Any) -> bool:
    return bool(header["qform_code"] > 0 or header["sform_code"] > 0)


def is_placed(path: Path) -> bool:
    """Whether the header gives an orientation (a q-form or s-form code above 0)."""
    return _has_form(nib.load(path).header)


def _check_orientation(image: nib.Nifti1Image, path: Path) -> None:
    """Warn where the header gives no orientation, or contradicts itself."""
    header = image.header
    if not _has_form(header):
        axes = "".join(nib.aff2axcodes(image.affine))
        logger.warning(
            "%s: its header gives no orientation (q-form and s-form codes are 0); its axes are taken to run "
            "to %s, so look at the result, left and right above all",
            path,
            ", ".join(axes),
        )
    elif header["qform_code"] > 0 and header["sform_code"] > 0:
        try:
            to_other = np.linalg.inv(image.affine) @ header.get_qform()
        except (ValueError, np.linalg.LinAlgError):
            logger.warning("%s: its q-form or s-form is not usable; the s-form counts", path)
            return
        corners = np.array([[*c, 1] for c in product(*((0, n - 1) for n in (*image.shape, 1, 1)[:3]))])
        apart = float(np.linalg.norm((corners @ to_other.T - corners)[:, :3], axis=1).max())
        if apart > 1:
            logger.warning(
                "%s: q-form and s-form differ by up to %.1f voxels; the s-form counts", path, apart
            )
    elif header["sform_code"] > 0:
        stated = header.get_zooms()[:3]
        placed = np.linalg.norm(image.affine[:3, :3], axis=0)[: len(stated)]
        if not np.allclose(stated, placed, rtol=SAME_SPACING):
            logger.warning(
                "%s: its header says voxels of %s mm (pixdim), its s-form %s mm; the s-form counts, "
                "so look at the result",
                path,
                *(" x ".join(f"{s:.3g}" for s in spacing) for spacing in (stated, placed)),
            )


def unit_mm(header: Any) -> float:
    """Return how many millimetres the header's unit of length has."""
    return UNITS.get(int(header["xyzt_units"]) & 7, ("mm", 1.0))[1]


def _affine_mm(image: nib.Nifti1Image, path: Path) -> np.ndarray:
    """Return array index -> mm, whatever unit the header counts in."""
    scale = unit_mm(image.header)
    if scale == 1:
        return image.affine
    name = UNITS[int(image.header["xyzt_units"]) & 7][0]
    logger.warning("%s: its header counts in %s (xyzt_units); lengths were converted to mm", path, name)
    return np.diag([scale, scale, scale, 1.0]) @ image.affine


def read(path: Path) -> Scan:
    """Read one volume.

    Raises:
        InputError: missing, not NIfTI, cut short, more than three dimensions, colour, a spacing that is not
            positive, or what :class:`Scan` refuses.
    """
    image, array = _load(path)
    _check_orientation(image, path)
    if array.dtype.kind == "f":
        with np.errstate(over="ignore"):  # beyond float32 is infinite, and Scan refuses that
            array = array.astype(np.float32)
    return Scan(
        array,
        _affine_mm(image, path),
        source=str(path),
        shape_on_disk=image.shape,
        header={"nifti": image.header},
    )


def size_in_memory(path: Path) -> tuple[int, int] | None:
    """Return the number of voxels and the bytes of each while they are read, from the header alone.

    Scaled voxels pass through float64 before they become float32.
    """
    try:
        image: Any = nib.load(path)
    except (OSError, ValueError, nib.filebasedimages.ImageFileError, nib.spatialimages.HeaderDataError):
        return None  # reading it will say why
    slope, intercept = image.header.get_slope_inter() if isinstance(image, nib.Nifti1Image) else (None, None)
    scaled = slope not in (None, 1.0) or bool(intercept)
    item = image.get_data_dtype().itemsize
    return int(np.prod(image.shape, dtype=np.int64)), item + 12 if scaled else item


def read_labels(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Read a label map: its integer array of three axes, and its affine.

    Raises:
        InputError: as :func:`read`, or values that are not whole numbers from 0.
    """
    image, array = _load(path)
    return whole_numbers(array, str(path)), _affine_mm(image, path)


def scheme_of(path: Path) -> str | None:
    """Return the scheme that a label map of ours names; None if it names none, or can't be read."""
    try:
        header: Any = nib.load(path).header
        said = bytes(header["descrip"].item())
    except (OSError, ValueError, nib.filebasedimages.ImageFileError, nib.spatialimages.HeaderDataError):
        return None  # reading it will say why
    before, names, scheme = said.partition(VALUES)
    return scheme.decode("ascii", "replace") if before == MARK and names else None


def whole_numbers(array: np.ndarray, source: str) -> np.ndarray:
    """Return a label map as integers.

    Raises:
        InputError: not three-dimensional, or a value that is not a whole number from 0 up.
    """
    if array.ndim != 3:
        raise InputError(f"{source}: labels of shape {array.shape} came, three dimensions were expected")
    usable = array.dtype.kind in "fuib" and np.isfinite(array).all()
    if usable and array.dtype.kind != "b":
        usable = array.min(initial=0) >= 0 and array.max(initial=0) < 2**31
    whole = array.astype(np.int32) if usable else None
    if whole is None or (array.dtype.kind == "f" and (whole != array).any()):
        raise InputError(f"{source}: label values must be whole numbers from 0; this looks like an image")
    return whole


def geometry_header(scan: Scan, scheme: str) -> nib.Nifti1Header:
    """Return a header that places a uint8 label map exactly where the scan lies, and names its scheme.

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
    header["descrip"] = MARK if scheme == "cafrnet" else MARK + VALUES + scheme.encode()
    header.extensions.clear()
    return header


def write_labels(labels: np.ndarray, scan: Scan, path: Path, scheme: str) -> None:
    """Write a label map in the scan's own shape, affine and codes, as uint8 with slope 1 and intercept 0.

    Args:
        labels: same three-dimensional shape as ``scan.voxels``, values 0 to 255.
        scan: the scan that the labels belong to.
        path: ends in ``.nii.gz`` or ``.nii``.
        scheme: name of what the values are from; the header keeps it.

    Raises:
        InputError: another shape, values beyond 255, or the file could not be written.
    """
    if labels.shape != scan.voxels.shape:
        raise InputError(f"labels of shape {labels.shape} came for a scan of shape {scan.voxels.shape}")
    if labels.min() < 0 or labels.max() > 255:
        raise InputError(f"labels from {labels.min()} to {labels.max()} came; a label map holds 0 to 255")
    on_disk = np.asarray(labels, np.uint8).reshape(scan.shape_on_disk)
    header = geometry_header(scan, scheme)
    kind = nib.Nifti2Image if isinstance(header, nib.Nifti2Header) else nib.Nifti1Image
    with whole_file(path) as temporary:
        nib.save(kind(on_disk, None, header=header), temporary)
