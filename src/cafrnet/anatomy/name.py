"""From structures to names: one column, its posterior, and what a person should look at."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
from scipy.special import softmax

from ..labels import TABLE, UNKNOWN
from .emissions import HIGHEST, LOWEST
from .instances import Grid, Instance, find_instances
from .kinds import KINDS, ROW, Voxels
from .naming import Named, Naming
from .naming_flags import Field, naming_flags
from .options import NamingOptions
from .prices import NamingModel
from .sequence import Posterior, infer, shifts

SACRUM = TABLE.column[0]


def name_column(
    instances: Sequence[Instance],
    to_world: np.ndarray,
    *,
    model: NamingModel | None = None,
    options: NamingOptions | None = None,
    field: Field | None = None,
    not_trained: Collection[int] = (),
) -> tuple[Naming, tuple[int, ...]]:
    """Name the structures of a column.

    Args:
        instances: from :func:`cafrnet.anatomy.instances.find_instances`, ordered from below, with the sacrum
            first where it was seen.
        to_world: 4 x 4, (slice, y, x) of the model grid -> world mm in RAS.
        model: what was fitted for the network.
        options: ``sequence`` matters here.
        field: what the field of view leaves out.
        not_trained: ids that the network can't say. A structure that stands between others gets such a name
            all the same: the order says it.

    Returns:
        The naming, and the id of each instance: 0 where it is no part of the column, 255 above T9.
    """
    options = options or NamingOptions()
    if not instances:
        return Naming(flags=naming_flags((), (), None, field)), ()
    found = infer(instances, model, not_trained, field.bottom_mm if field else 0.0)
    if not options.sequence:
        found = _each_alone(instances, found)
    ids = tuple(identity(one.kind, place) for one, place in zip(instances, found.places, strict=True))
    elements = tuple(
        Named(
            id=i,
            kind=one.kind,
            confidence=round(found.confidence(n), 6),
            centre_mm=tuple(map(float, (to_world @ [*one.centre, 1.0])[:3])),  # type: ignore[arg-type]
            evidence=tuple(map(float, one.evidence)),
            volume_mm3=one.volume_mm3,
            height_mm=one.height_mm,
        )
        for n, (one, i) in enumerate(zip(instances, ids, strict=True))
    )
    levels: dict[str, float] = {}
    for e in elements:
        if e.id in (*ROW["body"], *ROW["disc"]):
            levels[e.name] = min(e.confidence, levels.get(e.name, 1.0))
    kept = tuple(e for e in elements if e.id)
    flags = naming_flags(instances, ids, found, field)
    return Naming(kept, found.shifts, levels, flags), ids


def identity(kind: str, place: int | None) -> int:
    """Return the id of a structure of a kind at a place; 0 without a place, 255 above the table.

    What lies below L5/S is sacrum.
    """
    if place is None:
        return 0
    if place < 0:
        return SACRUM
    return TABLE.column[place + 1] if place <= HIGHEST else UNKNOWN


def _each_alone(instances: Sequence[Instance], found: Posterior) -> Posterior:
    """Give each structure its own likeliest name, as if it were alone."""
    marginals = np.zeros_like(found.marginals)
    places: list[int | None] = []
    for n, one in enumerate(instances):
        first = -1 if one.kind == "sacrum" else (0 if one.kind == "disc" else 1)
        share = softmax(one.evidence.astype(np.float64)) if len(one.evidence) else np.ones(1)
        marginals[n, first - LOWEST : first - LOWEST + 2 * len(share) : 2] = share
        places.append(first + 2 * int(share.argmax()))
    nothing = np.zeros(len(places)), np.zeros(1), np.zeros(found.emissions.shape[1])
    alone = shifts(found.emissions[None], places, *nothing)
    return Posterior(tuple(places), alone, marginals, found.emissions)


def name_voxels(
    voxels: Voxels,
    grid: Grid,
    to_world: np.ndarray,
    *,
    not_trained: Collection[int] = (),
    model: NamingModel | None = None,
    options: NamingOptions | None = None,
) -> tuple[Naming, np.ndarray]:
    """Group voxels into structures and name them: all of this package, in one call.

    Args:
        voxels: of all slices, see :func:`cafrnet.anatomy.kinds.voxels_of`.
        grid: the model grid.
        to_world: 4 x 4, (slice, y, x) of the model grid -> world mm in RAS.
        not_trained: ids that the network can't say.
        model: what was fitted for the network.
        options: switches.

    Returns:
        The naming, and the id of each voxel, [v] uint8: 0 where it is no part of the column. Where a sacrum
        was dropped nothing is called sacrum; one that is too small to count from stays.
    """
    options = options or NamingOptions()
    instances = find_instances(voxels, grid, options)
    field = field_of(instances, voxels, grid, SACRUM not in not_trained)
    naming, ids = name_column(
        instances, to_world, model=model, options=options, field=field, not_trained=not_trained
    )
    of_voxel = np.zeros(len(voxels.at), np.uint8)
    if all(identity for one, identity in zip(instances, ids, strict=True) if one.kind == "sacrum"):
        of_voxel[voxels.kind == KINDS.index("sacrum")] = SACRUM
    for one, identity in zip(instances, ids, strict=True):
        if one.kind != "sacrum":
            of_voxel[one.voxels] = identity
    return naming, of_voxel


def field_of(instances: Sequence[Instance], voxels: Voxels, grid: Grid, sacrum_known: bool) -> Field:
    """Measure how far the column's ends lie from those of the picture."""
    ends = [one for one in instances if one.kind != "sacrum"]
    if not ends or grid.rows is None:
        return Field(np.inf, np.inf, sacrum_known, grid.unseen_mm)
    low, high = voxels.at[ends[0].voxels, 1].max(), voxels.at[ends[-1].voxels, 1].min()
    return Field(
        bottom_mm=float(grid.rows[1] - low) * grid.pixel_mm,
        top_mm=float(high - grid.rows[0]) * grid.pixel_mm,
        sacrum_known=sacrum_known,
        unseen_mm=grid.unseen_mm,
    )
