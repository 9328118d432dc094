"""All levels renamed together: everything one level higher, or so that one structure gets its right name.

What never moves: the sacrum, which is known by its shape and not by counting, the canal, and the posterior
elements. So no body ever becomes sacrum, and the sacrum never becomes a body. What would leave the label
table, above T9 or below L5, becomes 255: unknown, never background.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import numpy as np

from ..errors import InputError, UsageError, nearest
from ..labels import SCHEMES, TABLE, UNKNOWN, Label, Scheme

#: Further than this, every body leaves the table.
FARTHEST = len(TABLE.of_kind("body")) - 1
#: Kinds that levels are counted by.
MOVING = ("body", "disc")


def shift_levels(
    labels: np.ndarray, k: int, scheme: Scheme = SCHEMES["cafrnet"]
) -> tuple[np.ndarray, tuple[int, ...]]:
    """Rename all bodies and discs by a number of levels.

    Args:
        labels: integers of any shape, values of the scheme.
        k: +1 is one level higher: L5 becomes L4, L5/S becomes L4/L5; -1 is one lower: L4 becomes L5, while L5
            and L5/S leave the table.
        scheme: what the values mean; by default cafrnet's ids. Several values of one structure (a vertebra
            and its endplate, a whole vertebra and a cut one) keep their difference.

    Returns:
        The renamed map (uint8, or the type it had where values beyond 255 occur), and the values that became
        255, in ascending order. With ``k`` other than 0, values that the scheme knows but the table has no
        name for (T8, L6) are among them: left as they are, they would stand beside levels that moved.

    Raises:
        UsageError: ``k`` is not a whole number from -8 to 8.
        InputError: a value that the scheme does not know.

    Example:
        >>> shift_levels(np.array([0, 1, 11, 2, 12, 10, 20]), +1)
        (array([  0,   1,  12,   3,  13, 255,  20], dtype=uint8), (10,))
    """
    if isinstance(k, bool) or int(k) != k or abs(k) > FARTHEST:
        raise UsageError(
            f"a shift of {k} levels came, a whole number from {-FARTHEST} to {FARTHEST} was expected"
        )
    scheme.sets.check(labels, "the label map")
    moved = _moved(scheme, int(k))
    table = np.arange(max(moved) + 1)
    for old, new in moved.items():
        table[old] = new
    present = np.flatnonzero(np.bincount(labels.ravel(), minlength=len(table)))
    lost = tuple(int(v) for v in present if v != UNKNOWN and table[v] == UNKNOWN)
    small = len(table) <= UNKNOWN + 1
    return table.astype(np.uint8 if small else labels.dtype)[labels], lost


def _moved(scheme: Scheme, k: int) -> dict[int, int]:
    """Return value -> value of a scheme, for all that it knows."""
    values: dict[int, list[int]] = {}
    for value in sorted(scheme.sets.values):
        values.setdefault(scheme.sets.values[value][0], []).append(value)
    moved = {}
    for identity, own in values.items():
        target = _higher(identity, k)
        others = [UNKNOWN] if target == UNKNOWN else values.get(target, [UNKNOWN])
        for rank, value in enumerate(own):
            stays = k == 0 or target == identity != UNKNOWN
            moved[value] = value if stays else others[min(rank, len(others) - 1)]
    return moved


def _higher(identity: int, k: int) -> int:
    """Return the id ``k`` levels higher, 255 outside the table; an id that does not move is its own."""
    if identity == UNKNOWN or TABLE[identity].kind not in MOVING:
        return identity
    row = [i for i in TABLE.column if TABLE[i].kind == TABLE[identity].kind]
    place = row.index(identity) + k
    return row[place] if 0 <= place < len(row) else UNKNOWN


def level_named(name: str) -> Label:
    """Return the body or disc of this name, in capitals or not.

    Raises:
        UsageError: no such name, or a structure that levels are not counted by.
    """
    levels = {TABLE[i].name: TABLE[i] for i in TABLE.column if TABLE[i].kind in MOVING}
    label = next((label for n, label in levels.items() if n.casefold() == name.strip().casefold()), None)
    if label is not None:
        return label
    if name.strip().casefold() in {n.casefold() for n in TABLE.names}:
        raise UsageError(f"{name} never moves; name a vertebra or a disc (L5, L4/L5 ...)")
    raise UsageError(f"no vertebra or disc is called {name!r}{nearest(name, levels)}")


def anchor(
    labels: np.ndarray, affine: np.ndarray, name: str, point: Sequence[float], *, voxel: bool = False
) -> int:
    """Return the shift after which the structure at a point has its right name.

    Args:
        labels: ids of the label table, three axes.
        affine: 4 x 4, array index -> world mm in RAS.
        name: what the structure at the point is, ``"L5"`` or ``"L4/L5"``.
        point: world mm in RAS, or array indices from 0 with ``voxel``.
        voxel: whether the point is given as array indices.

    Returns:
        ``k`` for :func:`shift_levels`; 0 where the name is right already.

    Raises:
        UsageError: the name is no vertebra or disc, or the point is not three finite numbers (with ``voxel``,
            whole ones).
        InputError: the point lies outside the volume, on background (the nearest structure is named), on
            something without a level, or on a disc where the name is a vertebra's, or the other way round.
    """
    wanted = level_named(name)
    affine = np.asarray(affine, np.float64)
    index, said = _index(affine, point, voxel)
    if any(not 0 <= i < n for i, n in zip(index, labels.shape, strict=True)):
        raise InputError(f"{said} lies outside the volume, {_extent(affine, labels.shape, voxel)}")
    identity = int(labels[index])
    if identity == UNKNOWN:
        raise InputError(
            f"{said} lies on {UNKNOWN}, unknown: nothing is named there; {_near(labels, affine, index)}"
        )
    found = TABLE[identity]
    if found.kind == "background":
        raise InputError(f"{said} lies on background; {_near(labels, affine, index)}")
    if found.kind == "sacrum":
        raise InputError(f"{said} lies on the sacrum, which never becomes {wanted.name}; correct it by hand")
    if found.kind not in MOVING:
        raise InputError(
            f"{said} lies on the {found.name}, which has no level; {_near(labels, affine, index)}"
        )
    if found.kind != wanted.kind:
        raise InputError(
            f"{said} lies on {found.name}, a {found.kind}, but {wanted.name} is a {wanted.kind}; give "
            f"a point inside the {wanted.kind}"
        )
    row = [i for i in TABLE.column if TABLE[i].kind == wanted.kind]
    return row.index(wanted.id) - row.index(identity)


def _index(affine: np.ndarray, point: Sequence[float], voxel: bool) -> tuple[tuple[int, ...], str]:
    """Return the array index of a point, and the point in words."""
    given = np.asarray(point, np.float64)
    words = ", ".join(f"{v:g}" for v in given.ravel())
    if given.shape != (3,) or not np.isfinite(given).all():
        raise UsageError(f"the point ({words}) came, three finite numbers were expected")
    if voxel:
        if (given != np.round(given)).any():
            raise UsageError(f"the voxel ({words}) came, three whole numbers were expected")
        return tuple(int(v) for v in given), f"the voxel ({words})"
    index = np.linalg.inv(affine) @ [*given, 1.0]
    return tuple(int(v) for v in np.floor(index[:3] + 0.5)), f"the point ({words}) mm"


def _extent(affine: np.ndarray, shape: tuple[int, ...], voxel: bool) -> str:
    if voxel:
        return f"whose indices end at ({', '.join(str(n - 1) for n in shape)})"
    corners = np.array([[*c, 1] for c in product(*((-0.5, n - 0.5) for n in shape))]) @ affine.T
    low, high = corners.min(axis=0), corners.max(axis=0)
    return "which spans " + ", ".join(f"{low[k]:.0f} to {high[k]:.0f}" for k in range(3)) + " mm in RAS"


def _near(labels: np.ndarray, affine: np.ndarray, index: tuple[int, ...]) -> str:
    """Name the body or disc nearest to a voxel, with its distance and the place of its nearest voxel."""
    there = np.argwhere(np.isin(labels, TABLE.of_kind(*MOVING)))
    if not len(there):
        return "there is no vertebra or disc in the label map"
    apart = np.linalg.norm((there - index) @ affine[:3, :3].T, axis=1)
    best = tuple(int(v) for v in there[apart.argmin()])
    place = affine[:3, :3] @ best + affine[:3, 3]
    name = TABLE[int(labels[best])].name
    return (
        f"the nearest structure is {name}, {apart.min():.1f} mm away, at "
        f"({', '.join(f'{v:.1f}' for v in place)}) mm = voxel ({', '.join(map(str, best))})"
    )
