"""Cutting whole vertebrae down to their bodies, so that they can be compared with bodies (``--common body``).

In each sagittal slice, a vertebra is cut by the straight line through the posterior edges of the discs below
and above it; what lies behind the line by more than half a voxel is posterior elements.

- A disc's posterior edge is its most posterior voxel in the slice (the middle one, where several are).
- A disc counts in a slice only if it is at least half as deep there (front to back) as at its deepest: the
  slivers at its lateral rim say nothing about where a body ends.
- Where only one of the two discs counts (the highest vertebra of the field of view), the line goes through
  that disc's edge in the direction of the nearest vertebra with two discs in the same slice.
- Where no line can be drawn in a slice, the nearest slice with a line for that vertebra lends its own.
- A vertebra with no line in any slice is left whole, and named.

The sacrum is never cut: on all sides it is whole.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..labels import TABLE, ValueSets
from ..scan import SagittalFrame

#: A disc counts in a slice if it is at least this share of its greatest depth.
DEEP_ENOUGH = 0.5

_POSTERIOR = TABLE.of_kind("posterior")[0]
_BODIES = TABLE.of_kind("body")
_PLACE = {identity: place for place, identity in enumerate(TABLE.column)}


@dataclass(frozen=True, eq=False)
class Line:
    """A straight line in a sagittal slice.

    Attributes:
        through_mm: a point, (row, column) from the first voxel's centre; rows run down, columns to the back.
        caudal: unit vector along the line, pointing down.
    """

    through_mm: np.ndarray
    caudal: np.ndarray

    def behind_mm(self, points_mm: np.ndarray) -> np.ndarray:
        """Return how far each point lies behind the line: (n, 2) -> (n,), positive is posterior."""
        return (points_mm - self.through_mm) @ np.array([-self.caudal[1], self.caudal[0]])


def posterior_part(ids: np.ndarray, frame: SagittalFrame) -> tuple[np.ndarray, tuple[int, ...]]:
    """Find what belongs to the posterior elements of whole vertebrae.

    Args:
        ids: principal ids, three axes, in the array's own order; bodies (2-10) stand for whole vertebrae.
        frame: how the array turns into sagittal slices.

    Returns:
        Boolean array of the same shape: the voxels behind the lines; and the vertebrae left whole because no
        line could be drawn.
    """
    sagittal = frame.to_sagittal(ids)
    pixel_mm = np.array(frame.spacing_mm[1:])
    edges = {disc: _posterior_edges_mm(sagittal == disc, pixel_mm) for disc in TABLE.of_kind("disc")}
    behind = np.zeros(sagittal.shape, bool)
    left_whole = []
    lines = _lines(edges, range(len(sagittal)))
    for body in _BODIES:
        of_body = sagittal == body
        if not of_body.any():
            continue
        known = [s for s, found in lines.items() if body in found]
        if not known:
            left_whole.append(body)
            continue
        for s in np.flatnonzero(of_body.any(axis=(1, 2))):
            line = lines[min(known, key=lambda k: abs(k - int(s)))][body]
            points = np.argwhere(of_body[s])
            cut = line.behind_mm(points * pixel_mm) > pixel_mm[1] / 2
            behind[s][tuple(points[cut].T)] = True
    return frame.to_array(behind), tuple(left_whole)


def bodies_of_prediction(ids: np.ndarray, frame: SagittalFrame) -> tuple[np.ndarray, tuple[int, ...]]:
    """Cut a prediction of whole vertebrae: what is behind the lines becomes id 21.

    Returns:
        The new ids, uint8; and the vertebrae left whole.
    """
    behind, left_whole = posterior_part(ids, frame)
    return np.where(behind, np.uint8(_POSTERIOR), ids).astype(np.uint8), left_whole


def bodies_of_truth(
    values: np.ndarray, sets: ValueSets, frame: SagittalFrame
) -> tuple[np.ndarray, ValueSets, tuple[int, ...]]:
    """Cut a truth of whole vertebrae: its vertebra values come to stand for bodies alone.

    What is behind the lines gets a value of its own that stands for background or posterior elements: the
    truth doesn't say which, and only bodies are compared.

    Returns:
        The new values, what they stand for, and the vertebrae left whole (their voxels keep standing for
        body and posterior elements).
    """
    behind, left_whole = posterior_part(sets.principal(values), frame)
    new_value = max(sets.values) + 1
    table: dict[int, tuple[int, ...]] = {new_value: (0, _POSTERIOR)}
    for value, ids in sets.values.items():
        whole = ids[0] in _BODIES and ids[0] not in left_whole
        table[value] = tuple(i for i in ids if i != _POSTERIOR) if whole else ids
    return np.where(behind, new_value, values), ValueSets(table), left_whole


def _posterior_edges_mm(disc: np.ndarray, pixel_mm: np.ndarray) -> dict[int, np.ndarray]:
    """Return slice -> (row, column) in mm of the posterior edge of a disc, where it is deep enough."""
    spans = {int(s): np.flatnonzero(disc[s].any(axis=0)) for s in np.flatnonzero(disc.any(axis=(1, 2)))}
    deepest = max((c[-1] - c[0] + 1 for c in spans.values()), default=0)
    edges = {}
    for s, columns in spans.items():
        if columns[-1] - columns[0] + 1 >= DEEP_ENOUGH * deepest:
            rows = np.flatnonzero(disc[s][:, columns[-1]])
            edges[s] = np.array([rows.mean(), columns[-1]]) * pixel_mm
    return edges


def _lines(
    edges: Mapping[int, Mapping[int, np.ndarray]], slices: Sequence[int]
) -> dict[int, dict[int, Line]]:
    """Return slice -> body -> its line; bodies and slices without one are left out."""
    found: dict[int, dict[int, Line]] = {}
    for s in slices:
        here = {disc: points[s] for disc, points in edges.items() if s in points}
        lines: dict[int, Line] = {}
        single: dict[int, np.ndarray] = {}
        for body in _BODIES:
            discs = [here[n] for n in TABLE[body].neighbours if n in here]  # the lower one first
            if len(discs) == 2:
                along = discs[0] - discs[1]
                lines[body] = Line(discs[0], along / np.linalg.norm(along))
            elif discs:
                single[body] = discs[0]
        complete = tuple(lines)
        for body, through in single.items():
            if complete:
                nearest = min(complete, key=lambda other: abs(_PLACE[other] - _PLACE[body]))
                lines[body] = Line(through, lines[nearest].caudal)
        if lines:
            found[s] = lines
    return found
