"""What a column says about its own names: in order, each once, none skipped, none over two levels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from ..labels import TABLE
from .column import Element

#: Two bodies are further apart than their names say when the distance is this many pitches more. Over the 31
#: cases of spider-space a pitch is 0.60 to 1.23 times the median of its case.
EXTRA_PITCHES = 0.6
#: A structure this many times as high as the median body covers more than one level. A body of spider-space
#: reaches 1.19 times; two bodies with the disc between them, over twice.
MERGED_HEIGHT = 1.7
#: Medians are taken over at least this many bodies or pitches; below, nothing is said about sizes.
ENOUGH = 3

_PLACE = {identity: place for place, identity in enumerate(TABLE.column)}


@dataclass(frozen=True)
class Flag:
    """Something about a column that can't be right, or that a person should look at.

    Attributes:
        kind: one of

            - ``upside down``: all names run the wrong way;
            - ``order``: a structure lies above one that its name says is higher;
            - ``disc``: a disc does not lie between the two bodies it is named after;
            - ``duplicate``: one id names structures that lie apart;
            - ``gap``: levels are missing between two structures, by their names or by the distance of bodies;
            - ``merged``: one structure is as high as two levels.
        ids: the ids concerned, from below; for a gap in the names, the missing ones.
        message: one sentence.
    """

    kind: str
    ids: tuple[int, ...]
    message: str


def check(column: Sequence[Element]) -> tuple[Flag, ...]:
    """Return what is wrong with a column, in the order of :class:`Flag`'s kinds; empty if nothing is.

    Args:
        column: from :func:`cafrnet.anatomy.column`, ordered from below. It may begin and end anywhere:
            a field of view is cut at both ends, and the sacrum is not always marked.
    """
    once = [e for e in column if Counter(e.id for e in column)[e.id] == 1]
    places = [_PLACE[e.id] for e in once]
    if len(once) > 2 and all(b < a for a, b in pairwise(places)):
        return (
            Flag(
                "upside down",
                tuple(e.id for e in once),
                f"the names run the wrong way: {once[0].name} lies lowest and {once[-1].name} uppermost; "
                "is the up direction of the affine right?",
            ),
        )
    return (*_order(once), *_discs(once), *_duplicates(column), *_gaps(column, once), *_merged(column))


def _order(once: Sequence[Element]) -> Iterator[Flag]:
    for low, high in pairwise(once):
        if _PLACE[high.id] < _PLACE[low.id]:
            yield Flag(
                "order",
                (low.id, high.id),
                f"{high.name} lies above {low.name}, although by its name it is the lower one",
            )


def _discs(once: Sequence[Element]) -> Iterator[Flag]:
    """Compare each disc with the nearest body (or sacrum) below and above it."""
    present = {e.id for e in once}
    for k, disc in enumerate(once):
        if disc.kind != "disc":
            continue
        below = next((e for e in reversed(once[:k]) if e.kind != "disc"), None)
        above = next((e for e in once[k + 1 :] if e.kind != "disc"), None)
        for side, found, wanted in zip(
            ("below", "above"), (below, above), TABLE[disc.id].neighbours, strict=True
        ):
            if wanted in present and (found is None or found.id != wanted):
                there = "no body" if found is None else found.name
                yield Flag(
                    "disc",
                    (disc.id, wanted),
                    f"{side} the disc {disc.name} lies {there}, {TABLE[wanted].name} was expected",
                )


def _duplicates(column: Sequence[Element]) -> Iterator[Flag]:
    for identity in TABLE.column:
        same = [e for e in column if e.id == identity]
        if len(same) > 1:
            apart = max(_distance(a, b) for a in same for b in same)
            yield Flag(
                "duplicate",
                (identity,),
                f"{len(same)} structures are called {TABLE[identity].name}, up to {apart:.0f} mm apart",
            )


def _gaps(column: Sequence[Element], once: Sequence[Element]) -> Iterator[Flag]:
    """Report names that are skipped, and bodies that lie further apart than their names say."""
    present = {e.id for e in column}
    for low, high in pairwise(once):
        between = TABLE.column[_PLACE[low.id] + 1 : _PLACE[high.id]]
        missing = tuple(i for i in between if i not in present)
        if missing:
            names = ", ".join(TABLE[i].name for i in missing)
            yield Flag(
                "gap",
                missing,
                f"{names} missing between {low.name} and {high.name}, "
                f"which lie {_distance(low, high):.0f} mm apart",
            )
    yield from _wide(once)


def _wide(once: Sequence[Element]) -> Iterator[Flag]:
    bodies = [e for e in once if e.kind == "body"]
    pairs = [(a, b, (_PLACE[b.id] - _PLACE[a.id]) / 2) for a, b in pairwise(bodies)]
    pairs = [(a, b, levels) for a, b, levels in pairs if levels > 0]
    if len(pairs) < ENOUGH:
        return
    pitch_mm = float(np.median([_distance(a, b) / levels for a, b, levels in pairs]))
    for low, high, levels in pairs:
        if _distance(low, high) > (levels + EXTRA_PITCHES) * pitch_mm:
            yield Flag(
                "gap",
                (low.id, high.id),
                f"{low.name} and {high.name} lie {_distance(low, high):.0f} mm apart, and a level here is "
                f"{pitch_mm:.0f} mm: an unmarked or unnamed level lies between them",
            )


def _merged(column: Sequence[Element]) -> Iterator[Flag]:
    heights = [e.height_mm for e in column if e.kind == "body"]
    if len(heights) < ENOUGH:
        return
    usual_mm = float(np.median(heights))
    for e in column:
        if e.kind != "sacrum" and e.height_mm > MERGED_HEIGHT * usual_mm:
            yield Flag(
                "merged",
                (e.id,),
                f"{e.name} is {e.height_mm:.0f} mm high, a body here is {usual_mm:.0f} mm: it covers "
                "more than one level",
            )


def _distance(a: Element, b: Element) -> float:
    return float(np.linalg.norm(np.subtract(a.centre_mm, b.centre_mm)))
