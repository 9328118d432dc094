"""What a person should look at, from the way a column got its names."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy.special import softmax

from ..labels import TABLE, UNKNOWN
from .checks import Flag
from .emissions import LOWEST
from .instances import Instance
from .sequence import CUT_PITCHES, Posterior, body_volume_of, pitch_of

#: Below this probability of the names as they stand, the runner-up is reported.
SURE = 0.9
#: The lower part of a column wants other names than the upper part by so many nats: possibly transitional.
TRANSITIONAL_NATS = 1.5
#: ... where each part has at least so many structures; none counts more than so many nats.
LEAST_OF_A_PART, FAR_OFF = 3, 20.0
#: The network's names fall along the column by more than so many places per place.
WRONG_WAY = -0.3
#: Dropped structures smaller than this are debris, and not reported.
WORTH_A_WORD_MM3 = 1000.0
#: A body, or a disc, this many times as high as the median body may be two, if it is as high as this at all.
#: In the 31 columns of spider-space a body reaches 1.23 times, a disc (a steep L5/S) 1.07 times and 24 mm.
TALL_BODY, TALL_DISC, TALL_MM = 1.4, 1.0, 26.0
#: A structure whose end lies this near to the end of the picture is cut.
EDGE_MM = 4.0
#: Less of a picture than this may lie outside of the model grid without a word: it is lost to rounding.
UNSEEN_MM = 10.0


@dataclass(frozen=True)
class Field:
    """What is known of the picture beside the column.

    Attributes:
        bottom_mm: distance of the lowest structure from the picture's lower edge.
        top_mm: the same for the uppermost and the upper edge.
        sacrum_known: whether the model can find a sacrum at all.
        unseen_mm: how much of the picture's height the model was not shown.
    """

    bottom_mm: float
    top_mm: float
    sacrum_known: bool = True
    unseen_mm: float = 0.0


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
        *_sacrum(instances, ids, field),
        *_bottom(instances, ids, field),
        *_competing(found),
        *_upside_down(instances, found),
        *_transitional(instances, ids, found),
        *_gaps(instances, ids, found),
        *_merged(instances, ids),
        *_spurious(instances, ids),
        *_unnamed(instances, ids),
        *_edges(instances, ids, field),
        *_unseen(field),
    )


def _sacrum(instances: Sequence[Instance], ids: Sequence[int], field: Field | None) -> Iterator[Flag]:
    if not any(name and one.kind == "sacrum" for one, name in zip(instances, ids, strict=True)):
        why = "" if field is None or field.sacrum_known else " (the model was not trained to find it)"
        yield Flag(
            "sacrum", (TABLE.column[0],), f"the sacrum was not seen{why}: levels are not counted from it"
        )


def _bottom(instances: Sequence[Instance], ids: Sequence[int], field: Field | None) -> Iterator[Flag]:
    """Ask for the bottom of the column, and whether it could be something else that the picture cuts.

    Held-out crops without either, or with a piece of L5 in its place, were wrong at a probability of 0.99.
    """
    sacrum, lowest = TABLE.column[:2]
    seen = [i for i, name in zip(instances, ids, strict=True) if i.kind == "sacrum" and name == sacrum]
    if any(not i.cut or i.volume_mm3 >= body_volume_of(instances) for i in seen):
        return
    if seen:
        yield Flag(
            "bottom",
            (sacrum,),
            f"only {seen[0].volume_mm3 / 1000:.1f} ml of the sacrum are in the picture, less than a body: "
            "it may be a part of L5",
        )
    elif lowest not in ids:
        names = f"neither {TABLE[sacrum].name} nor {TABLE[lowest].name}"
        yield Flag("bottom", (), f"{names} was seen: the levels can't be counted from below")
    elif field and field.bottom_mm < CUT_PITCHES * pitch_of(instances):
        yield Flag(
            "bottom",
            (lowest,),
            f"the picture ends {field.bottom_mm:.0f} mm below the column; no sacrum says that the lowest "
            "disc is L5/S",
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


def _upside_down(instances: Sequence[Instance], found: Posterior) -> Iterator[Flag]:
    """Compare the names that the network gives, on the average, with the places along the column."""
    own = [
        (place, 2 * float(softmax(one.evidence.astype(np.float64)) @ np.arange(len(one.evidence))))
        for one, place in zip(instances, found.places, strict=True)
        if place is not None and len(one.evidence)
    ]
    if len(own) < 4:
        return
    places, said = np.array(own).T
    slope = float(np.polyfit(places, said, 1)[0])
    if slope < WRONG_WAY:
        yield Flag(
            "upside down",
            (),
            "the names that the network gives run the wrong way, from above downwards: is the up direction "
            "of the affine right?",
        )


def _transitional(instances: Sequence[Instance], ids: Sequence[int], found: Posterior) -> Iterator[Flag]:
    """Compare the best whole-column shift with the best two, one level apart, below and above a cut."""
    kept = [(n, p) for n, p in enumerate(found.places) if p is not None and instances[n].kind != "sacrum"]
    if len(kept) < 2 * LEAST_OF_A_PART:
        return
    count = found.emissions.shape[1]
    fits = np.full((5, len(kept)), -FAR_OFF)  # [shift, structure]
    for k, row in enumerate(fits):
        for m, (n, place) in enumerate(kept):
            to = place + 2 * (k - 2) - LOWEST
            row[m] = max(found.emissions[n, to], -FAR_OFF) if 0 <= to < count else -FAR_OFF
    low = np.cumsum(fits, axis=1)  # of all up to and with each
    whole = low[:, -1].max()
    for other, what in ((1, "one level fewer"), (-1, "one level more")):
        a, b = (slice(0, -1), slice(1, None)) if other > 0 else (slice(1, None), slice(0, -1))
        pair = low[a] + low[b, -1:] - low[b]
        at = int(pair.max(axis=0)[LEAST_OF_A_PART - 1 : -LEAST_OF_A_PART].argmax()) + LEAST_OF_A_PART
        if pair[:, at - 1].max() - whole > TRANSITIONAL_NATS:
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
    bodies = [one.height_mm for i, one in zip(ids, instances, strict=True) if one.kind == "body" and i]
    if len(bodies) < 3:
        return
    usual = float(np.median(bodies))
    for i, one in zip(ids, instances, strict=True):
        high = {"body": TALL_BODY, "disc": TALL_DISC}.get(one.kind, np.inf) * usual
        if i and one.height_mm > max(high, TALL_MM):
            yield Flag(
                "merged",
                (i,),
                f"{_name(i, one)} is {one.height_mm:.0f} mm high, a body here is {usual:.0f} mm: it may "
                "cover more than one level",
            )


def _spurious(instances: Sequence[Instance], ids: Sequence[int]) -> Iterator[Flag]:
    for i, one in zip(ids, instances, strict=True):
        if not i and one.volume_mm3 >= WORTH_A_WORD_MM3:
            yield Flag(
                "dropped",
                (),
                f"a {one.kind} of {one.volume_mm3 / 1000:.1f} ml was dropped: it has no place in the column",
            )


def _unnamed(instances: Sequence[Instance], ids: Sequence[int]) -> Iterator[Flag]:
    above = [one.kind for i, one in zip(ids, instances, strict=True) if i == UNKNOWN]
    if above:
        counts = {"body": above.count("body"), "disc": above.count("disc")}
        plural = {"body": "bodies", "disc": "discs"}
        words = [f"{n} {kind if n == 1 else plural[kind]}" for kind, n in counts.items() if n]
        yield Flag("unnamed", (UNKNOWN,), f"{' and '.join(words)} above T9 got no name ({UNKNOWN})")


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


def _unseen(field: Field | None) -> Iterator[Flag]:
    if field is not None and field.unseen_mm >= UNSEEN_MM:
        yield Flag(
            "view",
            (),
            f"the picture is higher than the model's view: {field.unseen_mm:.0f} mm of it, at its upper end, "
            "were not looked at",
        )


def _name(identity: int, one: Instance) -> str:
    return f"an unnamed {one.kind}" if identity in (0, UNKNOWN) else TABLE[identity].name
