"""Every row of the table of mappings, both ways; and what has no id here is unknown, not background."""

import numpy as np
import pytest

from cafrnet.errors import InputError, UsageError
from cafrnet.labels import SCHEMES, TABLE, UNKNOWN, ValueSets, get_scheme

#: id -> value, as the facts about the datasets list them. None: the scheme can't say it.
FACTS = {
    "tptbox": {
        1: 26,
        **dict(zip(range(2, 11), (24, 23, 22, 21, 20, 19, 18, 17, 16), strict=True)),
        **dict(zip(range(11, 20), (124, 123, 122, 121, 120, 119, 118, 117, 116), strict=True)),
        20: 61,
        21: 41,
    },
    "totalspineseg": {
        1: 50,
        **dict(zip(range(2, 11), (45, 44, 43, 42, 41, 32, 31, 30, 29), strict=True)),
        **dict(zip(range(11, 20), (100, 95, 94, 93, 92, 91, 82, 81, 80), strict=True)),
        20: 2,
    },
    "spider": {
        **dict(zip(range(2, 11), range(1, 10), strict=True)),
        **dict(zip(range(11, 20), range(201, 210), strict=True)),
        20: 100,
    },
    "verse": dict(zip(range(2, 11), (24, 23, 22, 21, 20, 19, 18, 17, 16), strict=True)),
    "spinemri": {k: k for k in range(1, 20)},
    "cafrnet": {k: k for k in range(1, 22)},
}
#: Further values that mean the same: cord beside canal, subregions of the arch, endplates, cut-off vertebrae.
ALSO = {
    "tptbox": {60: 20, **dict.fromkeys(range(41, 49), 21), 226: 1, 224: 2, 216: 10},
    "totalspineseg": {1: 20},
    "spider": {101: 2, 109: 10},
}
#: Vertebrae, discs and parts that exist there and have no id here.
NO_ID = {
    "tptbox": (1, 7, 8, 15, 25, 27, 28, 49, 101, 115, 125, 201, 215),
    "totalspineseg": (11, 17, 21, 28, 63, 71, 79),
    "spider": (10, 25, 110, 125, 210, 225),
    "verse": (1, 7, 8, 15, 25, 28),
}


def values(*numbers: int) -> np.ndarray:
    return np.array(numbers, np.int32).reshape(1, 1, -1)


@pytest.mark.parametrize("name", FACTS)
def test_each_row_of_the_facts_both_ways(name):
    scheme = get_scheme(name)
    for identity, value in FACTS[name].items():
        assert scheme.sets.principal(values(value)).item() == identity
        written, lost = scheme.encode(values(identity))
        assert (written.item(), lost) == (value, ())
    for value, identity in ALSO.get(name, {}).items():
        assert scheme.sets.principal(values(value)).item() == identity


def test_the_facts_cover_every_scheme():
    assert set(FACTS) == set(SCHEMES)


@pytest.mark.parametrize("name", NO_ID)
def test_a_source_label_without_an_id_is_unknown_never_background(name):
    sets = get_scheme(name).sets
    for value in NO_ID[name]:
        assert sets.values[value] == (UNKNOWN,)
        assert sets.principal(values(value)).item() == UNKNOWN


@pytest.mark.parametrize("name", SCHEMES)
def test_every_value_has_a_principal_id_and_background_is_zero(name):
    scheme = get_scheme(name)
    assert scheme.sets.values[0][0] == 0
    assert scheme.value_of[0] == 0
    assert scheme.sets.values[UNKNOWN] == (UNKNOWN,)
    assert all(ids[0] != 0 for value, ids in scheme.sets.values.items() if value)
    for identity, value in scheme.value_of.items():  # what is written is read back as the same id
        assert scheme.sets.values[value][0] == identity


def test_unknown_stays_unknown_in_every_scheme():
    for scheme in SCHEMES.values():
        assert scheme.encode(values(UNKNOWN, 2))[0].ravel()[0] == UNKNOWN


def test_what_the_zero_of_each_dataset_leaves_open():
    zero = {name: scheme.sets.values[0] for name, scheme in SCHEMES.items()}
    assert zero["spinemri"] == (0, 20)  # no canal there
    assert zero["spider"] == (0, 1)  # no sacrum there
    assert set(zero["verse"]) == {0, 1, *range(11, 21)}  # only vertebrae there
    assert zero["cafrnet"] == zero["tptbox"] == zero["totalspineseg"] == (0,)


def test_whole_vertebrae_are_told_from_bodies():
    for name, scheme in SCHEMES.items():
        assert scheme.sets.whole_vertebrae == (scheme.part == "whole") == (name != "cafrnet")
    assert get_scheme("spinemri").sets.values[2] == (2, 21)


def test_encode_names_what_is_lost():
    written, lost = get_scheme("spider").encode(values(0, 1, 2, 21))
    assert (written.ravel().tolist(), lost) == ([0, 0, 1, 0], (1, 21))
    assert written.dtype == np.uint8


def test_within_the_papers_20_classes():
    sets = ValueSets({0: (0, 20), 2: (2, 21), 20: (20,), 21: (21,), 7: (20, 21), 9: (255,)}).within(20)
    assert sets.values == {0: (0,), 2: (2,), 20: (0,), 21: (0,), 7: (0,), 9: (255,), 255: (255,)}
    assert get_scheme("cafrnet").sets.within(22) == get_scheme("cafrnet").sets


def test_principal_keeps_shape_and_refuses_what_it_does_not_know():
    sets = ValueSets({0: (0,), 300: (5, 21)})
    out = sets.principal(np.array([[0, 300], [255, 0]]))
    assert (out.tolist(), out.dtype) == ([[0, 5], [255, 0]], np.uint8)
    with pytest.raises(InputError, match=r"mask\.nii holds the label values \[4, 9\].*known are 0, 255, 300"):
        sets.principal(np.array([4, 9, 0]), "mask.nii")
    with pytest.raises(InputError, match=r"\[-1\]"):
        sets.principal(np.array([-1, 0]))
    with pytest.raises(InputError, match=r"\[70000\]"):
        sets.principal(np.array([70000, 0]))
    with pytest.raises(InputError, match=r"and 40 more"):
        sets.principal(np.arange(1, 51))
    with pytest.raises(InputError, match="float64; labels are whole numbers"):
        sets.principal(np.array([0.5]))


def test_truth_masks_of_bools_are_values_not_an_index():
    sets = ValueSets({0: (0,), 1: (20,)})
    assert sets.principal(np.array([True, False, True])).tolist() == [20, 0, 20]
    assert sets.principal(np.zeros((0, 3), np.uint8)).shape == (0, 3)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"L5": [2]}, "'L5'"),
        ({1.5: [2]}, "1.5"),
        ({True: [2]}, "True"),
        ({-1: [2]}, "-1"),
        ({70000: [2]}, "70000"),
        ({1: []}, "a list of ids"),
        ({1: ["L5"]}, "a list of ids"),
        ({1: [2.0]}, "a list of ids"),
        ({1: [22]}, r"ids \[22\], which are not in the label table \(0 to 21, or 255"),
    ],
)
def test_bad_tables(table, message):
    with pytest.raises(UsageError, match=message):
        ValueSets(table)


def test_one_id_may_stand_without_a_list():
    assert ValueSets({3: 4}).values[3] == (4,)  # type: ignore[dict-item]


def test_an_unknown_scheme_names_the_nearest():
    with pytest.raises(UsageError, match=r"no label scheme 'spiner'; did you mean '(spider|spinemri)'"):
        get_scheme("spiner")


def test_identity_is_the_table():
    assert ValueSets.identity().values == {**{label.id: (label.id,) for label in TABLE}, 255: (255,)}
