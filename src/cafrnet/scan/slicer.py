"""Slicer's ``.seg.nrrd``: a label map whose segments have names, in one layer or several.

Its keys ``Segment<k>_Name``, ``_LabelValue`` and ``_Layer`` say what each value of which layer is. The values
are Slicer's own and may have been given anew, so names go before values.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError, MissingExtraError
from ..labels import Scheme, id_of_name
from .itk import image_affine, image_array

#: What Slicer calls a segment that nobody named: the number is the value in the label map it came from. A
#: segment that was begun in Slicer gets such a name, too, so the number must be the segment's value as well.
_UNNAMED = re.compile(r"(?:segment|label)[ _]?(\d+)", re.IGNORECASE)


@dataclass(frozen=True)
class Segment:
    """One segment of the file: its name, and which value of which layer it is."""

    name: str
    value: int
    layer: int


def read_segments(path: Path, scheme: Scheme) -> tuple[np.ndarray, np.ndarray]:
    """Read a ``.seg.nrrd`` as one label map in a scheme's values.

    Args:
        path: the file.
        scheme: of the values; a segment named ``L5`` becomes the scheme's value for L5.

    Returns:
        Values [three axes] uint16, and the affine in RAS.

    Raises:
        MissingExtraError: SimpleITK is not installed.
        InputError: damaged, without segments, a name that can't be placed, two segments of one structure, or
            a voxel that is in two segments.
    """
    image = _load(path)
    segments = _segments(image, path)
    layers = _layers(image)
    values = _values(segments, scheme, path)
    result = np.zeros(layers.shape[1:], np.uint16)
    taken: dict[int, str] = {}
    for segment, value in values.items():
        if segment.layer >= len(layers):
            raise InputError(
                f"{path}: segment {segment.name!r} is said to lie in layer {segment.layer}, there is none"
            )
        here = layers[segment.layer] == segment.value
        if value in taken:
            raise InputError(
                f"{path}: the segments {taken[value]!r} and {segment.name!r} are both one structure"
            )
        if both := int(((result > 0) & here).sum()):
            raise InputError(
                f"{path}: {both} voxels of segment {segment.name!r} are in another segment, too; in Slicer's "
                "Segment Editor let segments overwrite each other (Masking) and paint them once"
            )
        taken[value] = segment.name
        result[here] = value
    return result, image_affine(image)


def _load(path: Path) -> Any:
    try:
        import SimpleITK as sitk
    except ImportError:
        raise MissingExtraError("reading Slicer's .seg.nrrd files", "itk") from None
    try:
        return sitk.ReadImage(str(path))
    except RuntimeError as error:
        raise InputError(
            f"{path} could not be read; save it again ({str(error).splitlines()[-1]})"
        ) from error


def _segments(image: Any, path: Path) -> list[Segment]:
    """Return the segments that the file's keys list."""
    keys = {key: image.GetMetaData(key).strip() for key in image.GetMetaDataKeys()}
    found = []
    for key, name in keys.items():
        if number := re.fullmatch(r"Segment(\d+)_Name", key):
            at = f"Segment{number[1]}"
            try:
                value, layer = int(keys.get(f"{at}_LabelValue", "")), int(keys.get(f"{at}_Layer", "0"))
            except ValueError:
                raise InputError(
                    f"{path}: segment {name!r} has no label value; save it again in Slicer"
                ) from None
            found.append(Segment(name, value, layer))
    if not found:
        raise InputError(
            f"{path} lists no segments; was it saved by Slicer's Segment Editor? A label map of plain values "
            "is named .nrrd"
        )
    return found


def _layers(image: Any) -> np.ndarray:
    """Return the voxels as [layer, i, j, k]."""
    array = image_array(image)
    return array[None] if image.GetNumberOfComponentsPerPixel() == 1 else array


def _values(segments: list[Segment], scheme: Scheme, path: Path) -> dict[Segment, int]:
    """Return segment -> value of the scheme: by its name; by a number for a name; by its value if unnamed."""
    placed, strange = {}, []
    for segment in segments:
        identity = id_of_name(segment.name)
        unnamed = _UNNAMED.fullmatch(segment.name)
        number = int(segment.name) if segment.name.isdecimal() else -1
        if unnamed and int(unnamed[1]) == segment.value:
            number = segment.value
        if identity is not None and identity in scheme.value_of:
            placed[segment] = scheme.value_of[identity]
        elif number in scheme.sets.values:
            placed[segment] = number
        else:
            strange.append(segment.name)
    if strange:
        raise InputError(
            f"{path}: the segments {', '.join(map(repr, strange))} are no structures of the scheme "
            f"{scheme.name!r}; name them L5, L4/L5, S, spinal canal ... in Slicer, or export a label map "
            "(.nii.gz)"
        )
    return placed
