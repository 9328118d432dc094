"""Whether a label map can be a spine: levels in order, each in one place, bodies or whole vertebrae."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
from scipy import ndimage

from ...labels import TABLE
from .findings import Finding

#: A second piece at least this large, in shares of the largest, is a structure of its own, not debris.
OWN_STRUCTURE_SHARE = 0.25
#: Pieces this far apart along the column belong to two levels (a disc is 5 to 12 mm high).
LEVEL_GAP_MM = 5.0
#: Smaller pieces are pointed out when they lie this far from the largest.
DEBRIS_GAP_MM = 15.0
#: Whole vertebrae reach behind the canal: over twice as deep as the discs beside them; bodies, 1.1 times.
WHOLE_TO_DISC_DEPTH = 1.5
#: Where no disc is marked: no vertebral body is this deep.
WHOLE_DEPTH_MM = 60.0

Part = Literal["body", "whole", "unknown"]
_KINDS = TABLE.of_kind("sacrum", "body", "disc")


@dataclass(frozen=True)
class Structure:
    """Where one id lies, in mm of the sagittal frame (slice, row, column; rows run caudally).

    Attributes:
        id: its id.
        centre_mm: of gravity.
        depth_mm: extent from front to back.
        pieces: for each connected piece, the largest first: voxels, lower and upper corner in mm.
    """

    id: int
    centre_mm: np.ndarray
    depth_mm: float
    pieces: tuple[tuple[int, np.ndarray, np.ndarray], ...]


def structures(ids: np.ndarray, spacing_mm: tuple[float, float, float]) -> dict[int, Structure]:
    """Measure the sacrum, bodies and discs of a label map.

    Args:
        ids: principal ids, axes (slice, row, column).
        spacing_mm: along these axes.
    """
    boxes = ndimage.find_objects(ids)
    found = {}
    for identity in _KINDS:
        box = boxes[identity - 1] if identity <= len(boxes) else None
        if box is not None:
            found[identity] = _measure(identity, ids[box] == identity, box, np.asarray(spacing_mm))
    return found


def _measure(identity: int, mask: np.ndarray, box: tuple[slice, ...], spacing_mm: np.ndarray) -> Structure:
    start = np.array([s.start for s in box])
    components, _ = ndimage.label(mask, np.ones((3, 3, 3)))
    sizes = np.bincount(components.ravel())[1:]
    corners = ndimage.find_objects(components)
    pieces = [
        (
            int(sizes[k]),
            (start + [s.start for s in corners[k]]) * spacing_mm,
            (start + [s.stop for s in corners[k]]) * spacing_mm,
        )
        for k in np.argsort(-sizes, kind="stable")
    ]
    centre = (start + 0.5 + np.array(ndimage.center_of_mass(mask))) * spacing_mm
    depth = (box[2].stop - box[2].start) * spacing_mm[2]
    return Structure(identity, centre, float(depth), tuple(pieces))


def order(case: str, found: dict[int, Structure], *, whole: bool) -> Iterator[Finding]:
    """Check that levels follow one another from the sacrum upwards, none swapped, none skipped.

    Args:
        case: its id.
        found: from :func:`structures`.
        whole: vertebrae with their processes: their centres lie lower, so that vertebrae and discs are
            only compared among themselves.
    """
    bodies = [i for i in TABLE.column if i in found and TABLE[i].kind != "disc"]
    discs = [i for i in TABLE.column if i in found and TABLE[i].kind == "disc"]
    column = [i for i in TABLE.column if i in found]
    rows = [bodies, discs] if whole else [column]
    pairs = [pair for row in rows for pair in pairwise(row)]
    swapped = [(a, b) for a, b in pairs if found[b].centre_mm[1] >= found[a].centre_mm[1]]
    if swapped and len(swapped) == len(pairs) and len(pairs) > 1:
        yield Finding(
            "error",
            "level order",
            case,
            "all levels are numbered the wrong way up: the sacral end lies uppermost",
            "the affine's up direction is probably wrong: correct it in the image and in the label map",
        )
    else:
        for a, b in swapped:
            yield Finding(
                "error",
                "level order",
                case,
                f"{TABLE[b].name} lies lower than {TABLE[a].name}, although it is the upper one",
                "correct the label map: two ids are swapped, or a whole stretch is misnumbered",
            )
    for row in (bodies, discs):
        yield from _skipped(case, row)


def _skipped(case: str, present: list[int]) -> Iterator[Finding]:
    """Report ids that are missing between two ids of the same kind."""
    if len(present) < 2:
        return
    kinds = {TABLE[i].kind for i in present}
    full = [i for i in TABLE.column if TABLE[i].kind in kinds]
    inside = full[full.index(present[0]) : full.index(present[-1]) + 1]
    missing = [TABLE[i].name for i in inside if i not in present]
    if missing:
        yield Finding(
            "error",
            "level skipped",
            case,
            f"{', '.join(missing)} is missing although levels below and above it are marked",
            "mark it, or renumber the levels above if the count jumped",
        )


def pieces(case: str, found: dict[int, Structure], *, whole: bool) -> Iterator[Finding]:
    """Report structures that lie in far-apart pieces.

    Args:
        case: its id.
        found: from :func:`structures`.
        whole: vertebrae with their processes, which come apart from the body in single slices: distance from
            front to back says nothing then.
    """
    axes = slice(0, 2) if whole else slice(0, 3)
    for identity, structure in found.items():
        (size, low, high), *rest = structure.pieces
        own = [p for p in rest if p[0] >= OWN_STRUCTURE_SHARE * size and _gap(p, low, high)[1] > LEVEL_GAP_MM]
        far = [p for p in rest if np.linalg.norm(_gap(p, low, high)[axes]) > DEBRIS_GAP_MM]
        name = TABLE[identity].name
        if own:
            gap = max(_gap(p, low, high)[1] for p in own)
            yield Finding(
                "error",
                "pieces",
                case,
                f"{name} marks {len(own) + 1} structures, {gap:.0f} mm apart along the column",
                "give each its own id",
            )
        elif far:
            gap = max(float(np.linalg.norm(_gap(p, low, high))) for p in far)
            voxels = sum(p[0] for p in far)
            yield Finding(
                "warning",
                "pieces",
                case,
                f"{name} has {voxels} voxels in {len(far)} stray pieces, up to {gap:.0f} mm from the rest",
                "look at them; remove them if they are slips of the brush",
            )


def _gap(piece: tuple[int, np.ndarray, np.ndarray], low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Return the distance between two boxes along each axis, in mm; 0 where they overlap."""
    return np.maximum(0.0, np.maximum(piece[1] - high, low - piece[2]))


def part(found: dict[int, Structure]) -> Part:
    """Tell vertebral bodies from whole vertebrae by their depth; of all levels, the median counts."""
    depths = []
    for identity in TABLE.of_kind("body"):
        if identity not in found:
            continue
        discs = [found[n].depth_mm for n in TABLE[identity].neighbours if n in found]
        limit = WHOLE_TO_DISC_DEPTH * float(np.mean(discs)) if discs else WHOLE_DEPTH_MM
        depths.append(found[identity].depth_mm / limit)
    if not depths:
        return "unknown"
    return "whole" if np.median(depths) > 1 else "body"
