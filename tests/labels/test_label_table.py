"""The label table says what the design and the dataset's facts say."""

from itertools import combinations

import numpy as np
import pytest

from cafrnet.errors import UsageError
from cafrnet.labels import TABLE, UNKNOWN

#: Ids and names as the facts about SpineMRI list them.
NAMES = ["background", "S", "L5", "L4", "L3", "L2", "L1", "T12", "T11", "T10", "T9"]
NAMES += ["L5/S", "L4/L5", "L3/L4", "L2/L3", "L1/L2", "T12/L1", "T11/T12", "T10/T11", "T9/T10"]
NAMES += ["spinal canal", "posterior elements"]


def test_ids_and_names():
    assert [label.id for label in TABLE] == list(range(22))
    assert list(TABLE.names) == NAMES
    assert (UNKNOWN, TABLE.unknown, TABLE.version, len(TABLE)) == (255, 255, 1, 22)


def test_kinds_and_parts():
    assert TABLE.of_kind("background") == (0,)
    assert TABLE.of_kind("sacrum") == (1,)
    assert TABLE.of_kind("body") == tuple(range(2, 11))
    assert TABLE.of_kind("disc") == tuple(range(11, 20))
    assert TABLE.of_kind("canal", "posterior") == (20, 21)
    assert {TABLE[k].part for k in TABLE.of_kind("body")} == {"body"}
    assert TABLE["S"].part == "whole"
    assert {TABLE[k].part for k in (0, 11, 20, 21)} == {"-"}


def test_the_column_runs_from_the_sacrum_upwards_body_and_disc_in_turn():
    assert TABLE.column == (1, 11, 2, 12, 3, 13, 4, 14, 5, 15, 6, 16, 7, 17, 8, 18, 9, 19, 10)


def test_neighbours_are_symmetric_lower_one_first_and_those_of_the_column():
    along = TABLE.column
    for place, identity in enumerate(along):
        expected = tuple(along[k] for k in (place - 1, place + 1) if 0 <= k < len(along))
        assert TABLE[identity].neighbours == expected
        assert all(identity in TABLE[n].neighbours for n in expected)
    assert all(TABLE[k].neighbours == () for k in (0, 20, 21))


def test_a_disc_is_named_after_the_bodies_that_it_touches():
    for identity in TABLE.of_kind("disc"):
        lower, upper = (TABLE[n].name for n in TABLE[identity].neighbours)
        assert TABLE[identity].name == f"{upper}/{lower}"


def test_colours_are_distinct_and_neighbours_far_apart():
    colours = {label.id: np.array(label.colour) for label in TABLE}
    assert all(c.shape == (3,) and c.min() >= 0 and c.max() <= 255 for c in colours.values())
    assert min(np.abs(colours[a] - colours[b]).sum() for a, b in combinations(colours, 2)) >= 30
    for label in TABLE:
        assert all(np.linalg.norm(colours[label.id] - colours[n]) > 100 for n in label.neighbours)


def test_lookup_by_id_and_name():
    assert TABLE["L4/L5"] is TABLE[12] is TABLE[np.int64(12)]
    with pytest.raises(UsageError, match="no label 'L4L5' in table version 1; did you mean 'L4/L5'"):
        TABLE["L4L5"]
    with pytest.raises(UsageError, match="no label 22"):
        TABLE[22]
