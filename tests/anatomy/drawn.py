"""A column drawn by hand, as a network would answer: logits on the model grid whose truth is known.

Pixels of 1 mm, slices of 4 mm; a straight column of bodies 24 mm high and discs 8 mm high stands upright in
the picture, 30 mm deep: a pitch is 32 mm. Rows run caudally, columns posteriorly.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from cafrnet.anatomy.instances import Grid
from cafrnet.anatomy.kinds import Voxels, by_kind, voxels_of
from cafrnet.anatomy.name import name_voxels
from cafrnet.anatomy.naming import Naming
from cafrnet.anatomy.options import NamingOptions
from cafrnet.anatomy.prices import NamingModel, Prices
from cafrnet.labels import TABLE

BODY_MM, DISC_MM, SACRUM_MM, FRONT, DEPTH = 24, 8, 30, 20, 30
SLICES, EDGE = 4, 320
GRID = Grid(pixel_mm=1.0, slice_mm=4.0, rows=(0, EDGE - 1))
#: (slice, y, x) -> world mm in RAS.
TO_WORLD = np.array([[4.0, 0, 0, 0], [0, 0, -1, 0], [0, -1, 0, 0], [0, 0, 0, 1]])
#: Prices that are easy to reckon with: one structure is worth one look, the network is hardly ever off as a
#: whole, a name that is not said has next to no probability.
PLAIN = NamingModel(Prices(evidence=1.0, offset=1e-9, offset_whole=1e-9, floor=1e-9))


def ids(*names: str) -> list[int]:
    return [TABLE[name].id for name in names]


def run_of(low: str, high: str) -> list[int]:
    """Return the ids from one structure up to another."""
    column = list(TABLE.column)
    return column[column.index(TABLE[low].id) : column.index(TABLE[high].id) + 1]


def draw(
    kinds: Sequence[str],
    said: Sequence[Mapping[int, float]],
    *,
    lowest: int = EDGE - 10,
    missing: Sequence[int] = (),
    slices: int = SLICES,
) -> np.ndarray:
    """Return logits [slice, 22, y, x] of a column.

    Args:
        kinds: from below: "body", "disc", "sacrum".
        said: for each the probabilities that the network gives to ids; the rest is shared by all others.
        lowest: row under the lowest structure.
        missing: which structures the network does not see (their room stays).
        slices: how many.
    """
    p = np.full((slices, len(TABLE), EDGE, 90), 1e-9, np.float32)
    p[:, 0] = 1.0
    bottom = lowest
    for n, (kind, names) in enumerate(zip(kinds, said, strict=True)):
        top = bottom - {"body": BODY_MM, "disc": DISC_MM, "sacrum": SACRUM_MM}[kind]
        if n not in missing:
            p[:, 0, top:bottom, FRONT : FRONT + DEPTH] = 1e-9
            for identity, share in names.items():
                p[:, identity, top:bottom, FRONT : FRONT + DEPTH] = share
        bottom = top
    return np.log(p / p.sum(axis=1, keepdims=True))


def sure(identities: Sequence[int]) -> tuple[list[str], list[dict[int, float]]]:
    """Return kinds and answers of a column that the network names so, without a doubt."""
    return [TABLE[i].kind for i in identities], [{i: 1.0} for i in identities]


def voxels(logits: np.ndarray) -> Voxels:
    return voxels_of(logits, by_kind(logits), 0)


def name(
    logits: np.ndarray,
    model: NamingModel = PLAIN,
    options: NamingOptions | None = None,
    grid: Grid = GRID,
    not_trained: Sequence[int] = (),
) -> tuple[Naming, np.ndarray]:
    """Name a drawn column; also return the ids as an array [slice, y, x]."""
    found = voxels(logits)
    naming, of_voxel = name_voxels(
        found, grid, TO_WORLD, model=model, options=options, not_trained=not_trained
    )
    labels = np.zeros((len(logits), *logits.shape[2:]), np.uint8)
    labels[tuple(found.at.astype(int).T)] = of_voxel
    return naming, labels
