"""One sagittal slice as a PNG picture: rows run caudally, columns posteriorly, pixels are square.

A PNG has no patient coordinates, so the pixel size is given by the user and the origin is the first pixel.
"""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
from PIL import Image, PngImagePlugin, UnidentifiedImageError

from ..errors import InputError, UsageError
from ..files import whole_file
from .nifti import whole_numbers
from .orientation import LARGEST_MM, SMALLEST_MM
from .scan import Scan

logger = logging.getLogger(__name__)

SUFFIXES = (".png",)
#: Text chunk in which our own label maps carry their pixel size.
PIXEL_KEY = "cafrnet pixel_mm"
#: The one in which they name the scheme of their values, where it is not cafrnet's own table.
SCHEME_KEY = "cafrnet scheme"
#: Modes whose values are grey values or ids as they stand: one bit, 8 bit and 16 bit.
GREY = ("1", "L", "I;16", "I;16B", "I")


def read(path: Path, pixel_mm: float | None) -> Scan:
    """Read one slice.

    Args:
        path: 8 or 16 bit grey; colours are taken only where they are grey in truth.
        pixel_mm: distance of neighbouring pixels, in mm.

    Returns:
        Voxels (row, column, 1): rows to inferior, columns to posterior.

    Raises:
        UsageError: no pixel size, or one that no scan has.
        InputError: missing, damaged, animated, or in colour.
    """
    if pixel_mm is None:
        raise UsageError(f"{path}: a PNG has no pixel size; give it with --pixel-mm (for example 0.6)")
    if not SMALLEST_MM <= pixel_mm <= LARGEST_MM:
        raise UsageError(
            f"--pixel-mm {pixel_mm} came, a length from {SMALLEST_MM:g} to {LARGEST_MM:g} mm was expected"
        )
    voxels = _grey(_load(path), path)[..., None]
    return Scan(voxels, affine(pixel_mm), source=str(path), header={"png": {"pixel_mm": pixel_mm}})


def affine(pixel_mm: float) -> np.ndarray:
    """Return the affine (row, column, slice) -> RAS mm of a picture: inferior, posterior, right."""
    matrix = np.eye(4)
    matrix[:3, :3] = pixel_mm * np.array([[0.0, 0.0, 1.0], [0.0, -1.0, 0.0], [-1.0, 0.0, 0.0]])
    return matrix


def read_labels(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Read a label map: ids are grey values or palette indices.

    Returns:
        Integers (row, column, 1), and an affine. The pixel size is the one that cafrnet wrote into the file;
        other files have none, and 1 mm stands there with a warning: take the image's affine.

    Raises:
        InputError: missing, damaged, or in colours that are not a palette.
    """
    image = _load(path)
    if image.mode not in (*GREY, "P"):
        raise InputError(f"{path}: {image.mode} colours came, ids as grey values or a palette were expected")
    labels = whole_numbers(np.asarray(image)[..., None], str(path))
    try:
        return labels, affine(float(image.info[PIXEL_KEY]))
    except (KeyError, ValueError):
        logger.warning("%s: a PNG has no pixel size; 1 mm assumed, use that of the image", path)
        return labels, affine(1.0)


def scheme_of(path: Path) -> str | None:
    """Return the scheme that a label map of ours names; None if it names none, or can't be read."""
    try:
        with Image.open(path, formats=["PNG"]) as image:
            scheme = image.info.get(SCHEME_KEY)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return None  # reading it will say why
    return None if scheme is None else str(scheme)


def write_labels(labels: np.ndarray, scan: Scan, path: Path, scheme: str) -> None:
    """Write a label map as 8-bit grey, each pixel its value, so that any reader gives the values back.

    Raises:
        InputError: another shape, ids beyond 255, or the file could not be written.
        UsageError: the scan did not come from a PNG.
    """
    if "png" not in scan.header:
        raise UsageError(f"{path}: only labels of a PNG can be written as PNG; use .nii.gz for {scan.source}")
    if labels.shape != scan.voxels.shape:
        raise InputError(f"labels of shape {labels.shape} came for a picture of shape {scan.voxels.shape}")
    if labels.min() < 0 or labels.max() > 255:
        raise InputError(f"labels from {labels.min()} to {labels.max()} came; a label map holds 0 to 255")
    info = PngImagePlugin.PngInfo()
    info.add_text(PIXEL_KEY, repr(float(scan.header["png"]["pixel_mm"])))
    if scheme != "cafrnet":
        info.add_text(SCHEME_KEY, scheme)
    with whole_file(path) as temporary:
        Image.fromarray(labels[..., 0].astype(np.uint8)).save(temporary, format="PNG", pnginfo=info)


def _load(path: Path) -> Image.Image:
    try:
        with Image.open(path, formats=["PNG"]) as image:
            if getattr(image, "n_frames", 1) > 1:
                raise InputError(f"{path}: an animated PNG came, a single picture was expected")
            image.load()
            return image
    except UnidentifiedImageError:
        raise InputError(f"{path} is not a PNG file") from None
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise InputError(f"{path} is damaged or cut short ({error}); copy or export it again") from error


def _grey(image: Image.Image, path: Path) -> np.ndarray:
    """Return (row, column) grey values; colours only where red, green and blue agree and nothing is clear."""
    if image.mode in GREY:
        pixels = np.asarray(image)
        return pixels.astype(np.uint16 if image.mode.startswith("I") else np.uint8)
    colours = np.asarray(image.convert("RGBA"))
    if (colours[..., :3] != colours[..., :1]).any() or (colours[..., 3] != 255).any():
        raise InputError(
            f"{path}: a picture in colour or with transparency ({image.mode}) came, grey was expected; "
            "export it as an 8 or 16 bit greyscale PNG without annotations"
        )
    logger.warning("%s: a %s picture whose channels are equal was taken as 8-bit grey", path, image.mode)
    return colours[..., 0]
