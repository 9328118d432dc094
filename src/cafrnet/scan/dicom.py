"""DICOM in: a folder of single-frame MR files or an enhanced multi-frame file becomes one Scan.

Array axes: column index, row index, slice. DICOM's LPS becomes RAS in the affine; no voxel is moved.
"""

from __future__ import annotations

import logging
from itertools import groupby
from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataset import Dataset
from pydicom.pixels import get_decoder

from ..errors import InputError
from .dicom_frames import Frame, Series, read_all
from .dicom_series import SeriesInfo, choose, describe
from .orientation import FLIP_XY
from .scan import Scan

logger = logging.getLogger(__name__)

#: Slice positions may differ from an even spacing by this share of it (header numbers are rounded) ...
GAP_TOLERANCE = 0.03
#: ... or by this many mm, whichever is more.
GAP_TOLERANCE_MM = 0.05
#: Positions nearer to each other than this are the same place.
SAME_PLACE_MM = 0.01
#: Direction cosines and relative pixel spacings may differ by this between the slices of one series.
SAME_GRID = 1e-3


def list_series(path: Path) -> list[SeriesInfo]:
    """Return the MR series of a folder (searched with its subfolders) or file, by series number.

    Raises:
        InputError: no MR images, or a damaged DICOM header.
    """
    return [describe(s) for s in _series(path)]


def read(path: Path, series: str = "auto") -> Scan:
    """Read one series.

    Slices are ordered along their normal; the direction of the slice axis follows the instance numbers.
    Integers stay integers unless a rescale slope or intercept says otherwise (then float32).

    Args:
        path: folder, searched with its subfolders, or one file.
        series: SeriesInstanceUID, or ``"auto"`` (see :func:`cafrnet.scan.dicom_series.choose`).

    Raises:
        InputError: no MR images, a damaged file, slices that don't make up one even volume, colour, or a
            compression that can't be decoded here.
        UsageError: no such series, or several fit equally well.
    """
    found = _series(path)
    info = choose([describe(s) for s in found], series, str(path))
    frames = next(s for s in found if s.uid == info.uid).frames
    ordered, affine = arrange(frames, f"{path} (series {info.uid})")
    if len(ordered) == 1 and path.is_file():
        logger.warning("%s: a single slice; give its folder to read the whole series", path)
    return Scan(_voxels(ordered), affine, source=str(path), header={"dicom": info})


def _series(path: Path) -> list[Series]:
    found, skipped = read_all(path)
    if not found:
        others = ", ".join(f"{n} x {kind}" for kind, n in sorted(skipped.items()))
        what = f"only {others}" if others else "no DICOM files"
        raise InputError(f"{path} holds {what}; a DICOM folder with MR images was expected")
    return sorted(found.values(), key=lambda s: (s.number, s.uid))


def arrange(frames: list[Frame], source: str) -> tuple[list[Frame], np.ndarray]:
    """Put frames in order and place them.

    Returns:
        The frames in the order of the slice axis, and the affine (column, row, slice) -> RAS mm.

    Raises:
        InputError: frames of different grids or kinds, without a place, at the same place, or unevenly
            spaced.
    """
    positions, directions, pixel_mm = _one_grid(frames, source)
    normal = np.cross(*directions)
    order = np.argsort(positions @ normal, kind="stable")
    ordered, positions = [frames[i] for i in order], positions[order]
    if ordered[0].number > ordered[-1].number:
        ordered, positions, normal = ordered[::-1], positions[::-1], -normal
    step = _even_step(ordered, positions, normal, source)
    affine_lps = np.eye(4)
    affine_lps[:3, 0] = directions[0] * pixel_mm[1]
    affine_lps[:3, 1] = directions[1] * pixel_mm[0]
    affine_lps[:3, 2] = step
    affine_lps[:3, 3] = positions[0]
    return ordered, FLIP_XY @ affine_lps


def _one_grid(frames: list[Frame], source: str) -> tuple[np.ndarray, np.ndarray, tuple[float, float]]:
    """Check that frames share a grid; return positions (n, 3), directions (2, 3) and pixel size, LPS mm."""
    for frame in frames:
        if frame.position_mm is None or frame.directions is None or frame.pixel_mm is None:
            raise InputError(
                f"{frame.file}: no position, orientation or pixel spacing in its header; export it again "
                "as original MR images"
            )
        if min(frame.pixel_mm) <= 0:
            raise InputError(
                f"{frame.file}: a pixel spacing of {frame.pixel_mm} mm came; it must be positive"
            )
        if frame.colour:
            raise InputError(
                f"{frame.file}: {frame.colour} pixels came, MONOCHROME2 grey values were expected"
            )
    directions = np.array([f.directions for f in frames])
    pixels_mm = np.array([f.pixel_mm for f in frames])
    if np.abs(directions - directions[0]).max() > SAME_GRID:
        n = len(np.unique(directions.round(2), axis=0))
        raise InputError(
            f"{source}: its slices have {n} different orientations (a localizer or several stacks in one "
            "series); choose another series with --series UID"
        )
    shapes = sorted({f.shape for f in frames})
    if len(shapes) > 1 or np.abs(pixels_mm / pixels_mm[0] - 1).max() > SAME_GRID:
        raise InputError(
            f"{source}: slices of different grids in one series (rows x columns {shapes}, pixel spacings "
            f"{np.unique(pixels_mm, axis=0).tolist()} mm); export the series again"
        )
    positions = np.array([f.position_mm for f in frames])
    return positions, directions[0], (float(pixels_mm[0, 0]), float(pixels_mm[0, 1]))


def _even_step(ordered: list[Frame], positions: np.ndarray, normal: np.ndarray, source: str) -> np.ndarray:
    """Return the vector from one slice to the next, mm.

    Raises:
        InputError: two slices at one place, a missing slice, uneven spacing, or a sideways jump.
    """
    if len(ordered) == 1:
        return normal * (ordered[0].between_mm or max(ordered[0].pixel_mm or (1.0,)))
    gaps_mm = np.diff(positions @ normal)
    if (gaps_mm < SAME_PLACE_MM).any():
        raise InputError(f"{source}: {_same_place(ordered, gaps_mm)}")
    expected_mm = float(np.sort(gaps_mm)[(len(gaps_mm) - 1) // 2])
    tolerance_mm = max(GAP_TOLERANCE * expected_mm, GAP_TOLERANCE_MM)
    if (wrong := np.flatnonzero(np.abs(gaps_mm - expected_mm) > tolerance_mm)).size:
        k = int(wrong[0])
        missing = round(gaps_mm[k] / expected_mm) - 1
        whole = missing > 0 and abs(gaps_mm[k] - (missing + 1) * expected_mm) <= tolerance_mm * (missing + 1)
        raise InputError(
            f"{source}: {f'{missing} slice(s) missing' if whole else 'uneven slice spacing'} between slices "
            f"{k + 1} and {k + 2} of {len(ordered)} ({ordered[k].file.name}, {ordered[k + 1].file.name}): "
            f"{gaps_mm[k]:.2f} mm found, {expected_mm:.2f} mm expected; export the whole series again"
        )
    steps = np.diff(positions, axis=0)
    step = (positions[-1] - positions[0]) / (len(ordered) - 1)
    if (sideways := np.linalg.norm(steps - step, axis=1)).max() > tolerance_mm:
        k = int(sideways.argmax())
        raise InputError(
            f"{source}: slice {k + 2} is shifted sideways by {sideways[k]:.2f} mm against a straight stack; "
            "export the series again"
        )
    return step


def _same_place(ordered: list[Frame], gaps_mm: np.ndarray) -> str:
    """Say how many frames share a place and what tells them apart."""
    k = int(np.flatnonzero(gaps_mm < SAME_PLACE_MM)[0])
    names = {name for frame in ordered for name in frame.traits}
    differing = {name: sorted({f.traits.get(name, "-") for f in ordered}) for name in sorted(names)}
    told = ", ".join(f"{name} {', '.join(v[:4])}" for name, v in differing.items() if len(v) > 1)
    kind = f"several echoes, time points or image types in one series ({told})" if told else "repeated slices"
    return (
        f"slices {ordered[k].file.name} and {ordered[k + 1].file.name} lie at the same place: {kind}; "
        "export one volume as a series of its own"
    )


def _voxels(frames: list[Frame]) -> np.ndarray:
    """Return the grey values of frames, axes (column, row, slice)."""
    planes: list[np.ndarray] = [np.empty(0)] * len(frames)
    by_file = sorted(range(len(frames)), key=lambda k: (str(frames[k].file), frames[k].index))
    for file, places in groupby(by_file, key=lambda k: frames[k].file):
        stored = _pixels(file)
        for k in places:
            planes[k] = stored[frames[k].index]
    if any(f.slope != 1 or f.intercept != 0 for f in frames):
        planes = [(p * f.slope + f.intercept).astype(np.float32) for p, f in zip(planes, frames, strict=True)]
    return np.stack(planes).transpose(2, 1, 0)


def _pixels(file: Path) -> np.ndarray:
    """Return the stored values of all frames of a file: (frame, row, column)."""
    try:
        dataset = pydicom.dcmread(file)
        _check_decodable(dataset, file)
        pixels = dataset.pixel_array
    except InputError:
        raise
    except Exception as error:  # decoders are other people's plugins and raise what they like
        raise InputError(
            f"{file}: its pixel data is damaged or cut short ({error}); copy or export it again"
        ) from error
    return pixels.reshape(-1, dataset.Rows, dataset.Columns)


def _check_decodable(dataset: Dataset, file: Path) -> None:
    """Raise InputError when the pixels are compressed in a way that nothing installed here can decode."""
    syntax = dataset.file_meta.TransferSyntaxUID
    try:
        decoder = get_decoder(syntax)
        if decoder.is_available:
            return
        needs = "it needs " + "; or ".join(d.split("requires ")[-1] for d in decoder.missing_dependencies)
    except NotImplementedError:
        needs = "no decoder known to pydicom"
    raise InputError(
        f"{file}: compressed as {syntax.name} ({syntax}), which can't be decoded here ({needs}); install "
        "what it needs with pip, or decompress the files first (for example with gdcmconv --raw)"
    )
