"""What a person should look at, from the way a column got its names."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from ..labels import TABLE, UNKNOWN
from .checks import Flag
from .emissions import LOWEST
from .instances import MERGED_BODY, Instance
from .sequence import Posterior, pitch_of

#: Below this probability of the names as they stand, the runner-up is reported.
SURE = 0.9
#: The lower part of a column wants other names than the upper part by so many nats: possibly transitional.
TRANSITIONAL_NATS = 1.5
#: A structure whose end lies this near to the end of the picture is cut.
EDGE_MM = 4.0


@dataclass(frozen=True)
class Field:
    """What is known of the picture beside the column.

    Attributes:
        bottom_mm: distance of the lowest structure from the picture's lower edge.
        top_mm: the same for the uppermost and the upper edge.
        sacrum_known: whether the model can find a sacrum at all.
    """

    bottom_mm: float
    top_mm: float
    sacrum_known: bool = True


def naming_flags(
    instances: Sequence[Instance],
    ids: Sequence[int],
    found: Posterior | None,
    field: Field | None,
) -> tuple[Flag, ...]:
    """Return what is doubtful about a column's names.

    Args:
        instances: from below.
        ids: of each; 0 for no part of the column.
        found: the posterior; None where there is no structure.
        field: of view.
    """
    if found is None:
        return (Flag("empty", (), "no vertebra and no disc was found"),)
    return (
        *_sacrum(instances, field),
        *_competing(found),
        *_transitional(instances, ids, found),
        *_gaps(instances, ids, found),
        *_merged(instances, ids),
        *_spurious(instances, ids),
        *_unnamed(instances, ids),
        *_edges(instances, ids, field),
    )


def _sacrum(instances: Sequence[Instance], field: Field | None) -> Iterator[Flag]:
    if not any(i.kind == "sacrum" for i in instances):
        why = "" if field is None or field.sacrum_known else " (the model was not trained to find it)"
        yield Flag(
            "sacrum", (TABLE.column[0],), f"the sacrum was not seen{why}: levels are not counted from it"
        )


def _competing(found: Posterior) -> Iterator[Flag]:
    if found.shifts.get(0, 1.0) >= SURE:
        return
    other, share = max(((k, p) for k, p in found.shifts.items() if k), key=lambda pair: pair[1])
    way = "higher" if other > 0 else "lower"
    yield Flag(
        "levels",
        (),
        f"all names may be wrong: as they stand they have a probability of {found.shifts[0]:.0%}, "
        f"{abs(other)} level{'s' if abs(other) > 1 else ''} {way} {share:.0%}",
    )


def _transitional(instances: Sequence[Instance], ids: Sequence[int], found: Posterior) -> Iterator[Flag]:
    """Compare with one level more or fewer somewhere along the column."""
    kept = [(n, p) for n, p in enumerate(found.places) if p is not None and instances[n].kind != "sacrum"]
    if len(kept) < 4:
        return
    fits, count = found.emissions, found.emissions.shape[1]
    own = np.array([fits[n, p - LOWEST] for n, p in kept])
    for k, what in ((2, "one level fewer"), (-2, "one level more")):
        moved = np.array([fits[n, p + k - LOWEST] if 0 <= p + k - LOWEST < count else -99.0 for n, p in kept])
        gain = (np.maximum(moved, -99.0) - own)[::-1].cumsum()[::-1]  # of moving all from here upwards
        at = int(gain[2:-1].argmax()) + 2 if len(gain) > 3 else 0
        whole = max(gain[0], 0.0)
        if gain[at] - whole > TRANSITIONAL_NATS:
            n = kept[at][0]
            yield Flag(
                "transitional",
                (ids[n],),
                f"below and above {_name(ids[n], instances[n])} the names fit better with {what} between "
                "them: transitional anatomy, or a structure that was missed",
            )
            return


def _gaps(instances: Sequence[Instance], ids: Sequence[int], found: Posterior) -> Iterator[Flag]:
    kept = [(n, p) for n, p in enumerate(found.places) if p is not None]
    for (a, low), (b, high) in pairwise(kept):
        missing = tuple(TABLE.column[p + 1] for p in range(low + 1, high) if 0 <= p < len(TABLE.column) - 1)
        if missing:
            names = ", ".join(TABLE[i].name for i in missing)
            yield Flag(
                "gap",
                missing,
                f"{names} missing between {_name(ids[a], instances[a])} and {_name(ids[b], instances[b])}, "
                f"which lie {instances[b].at_mm - instances[a].at_mm:.0f} mm apart "
                f"(a level here is {pitch_of(instances):.0f} mm)",
            )


def _merged(instances: Sequence[Instance], ids: Sequence[int]) -> Iterator[Flag]:
    bodies = [(i, one) for i, one in zip(ids, instances, strict=True) if one.kind == "body" and i]
    if len(bodies) < 3:
        return
    usual = float(np.median([one.height_mm for _, one in bodies]))
    for i, one in bodies:
        if one.height_mm > MERGED_BODY * usual:
            yield Flag(
                "merged",
                (i,),
                f"{_name(i, one)} is {one.height_mm:.0f} mm high, a body here is {usual:.0f} mm: it covers "
                "more than one level",
            )


def _spurious(instances: Sequence[Instance], ids: Sequence[int]) -> Iterator[Flag]:
    for i, one in zip(ids, instances, strict=True):
        if not i:
            yield Flag(
                "dropped",
                (),
                f"a {one.kind} of {one.volume_mm3 / 1000:.1f} ml was dropped: it has no place in the column",
            )


def _unnamed(instances: Sequence[Instance], ids: Sequence[int]) -> Iterator[Flag]:
    above = [one.kind for i, one in zip(ids, instances, strict=True) if i == UNKNOWN]
    if above:
        bodies = above.count("body")
        yield Flag(
            "unnamed",
            (UNKNOWN,),
            f"{bodies} bodies and {len(above) - bodies} discs lie above T9 and got no name ({UNKNOWN})",
        )


def _edges(instances: Sequence[Instance], ids: Sequence[int], field: Field | None) -> Iterator[Flag]:
    kept = [(i, one) for i, one in zip(ids, instances, strict=True) if i and one.kind != "sacrum"]
    if field is None or not kept:
        return
    for distance_mm, end, (i, one) in (
        (field.bottom_mm, "bottom", kept[0]),
        (field.top_mm, "top", kept[-1]),
    ):
        if distance_mm <= EDGE_MM:
            yield Flag("field of view", (i,), f"the picture ends within {_name(i, one)} at the {end}")


def _name(identity: int, one: Instance) -> str:
    return f"an unnamed {one.kind}" if identity in (0, UNKNOWN) else TABLE[identity].name
