import numpy as np
import pytest

from cafrnet.errors import InputError
from cafrnet.evaluation.sets import annotated, resolve
from cafrnet.labels import SCHEMES, ValueSets

SPIDER_SPACE = ValueSets({**ValueSets.identity().values, 0: (0, 1)})
SPINEMRI = SCHEMES["spinemri"].sets


def one_row(*values: int) -> np.ndarray:
    return np.array(values, np.uint8).reshape(1, 1, -1)


def test_sacrum_where_nobody_marked_it():
    #  truth      0    0    2    2        0 stands for background or S
    #  predicted  1    0    1    2
    pair = resolve(one_row(0, 0, 2, 2), one_row(1, 0, 1, 2), SPIDER_SPACE)
    assert pair.ignored.ravel().tolist() == [True, False, False, False]  # S over L5 is wrong, not ignored
    assert pair.truth.ravel().tolist() == [0, 0, 2, 2]
    assert pair.pred.ravel().tolist() == [0, 0, 1, 2]


def test_a_class_that_hides_in_another_value_is_not_annotated():
    assert annotated(ValueSets.identity()) == tuple(range(1, 22))
    assert annotated(SPIDER_SPACE) == tuple(range(2, 22))
    assert annotated(SPINEMRI) == tuple(range(1, 20))
    assert annotated(SCHEMES["verse"].sets) == tuple(range(2, 11))


def test_posterior_elements_of_a_whole_vertebra():
    #  truth      2    2    2    0        2 stands for L5 with its processes, 0 for background or canal
    #  predicted  2   21    3   20
    pair = resolve(one_row(2, 2, 2, 0), one_row(2, 21, 3, 20), SPINEMRI)
    assert pair.ignored.ravel().tolist() == [False, True, False, True]
    assert pair.truth.ravel().tolist() == [2, 0, 2, 0]
    assert pair.pred.ravel().tolist() == [2, 0, 3, 0]
    assert pair.principal.ravel().tolist() == [2, 2, 2, 0]


def test_unknown_truth_is_always_ignored_and_unknown_prediction_is_background():
    pair = resolve(one_row(255, 255, 2), one_row(2, 0, 255), ValueSets.identity())
    assert pair.ignored.ravel().tolist() == [True, True, False]
    assert pair.pred.ravel().tolist() == [0, 0, 0]
    assert pair.marked == {2}


def test_marked_counts_what_was_ignored():
    pair = resolve(one_row(2, 2), one_row(21, 21), SPINEMRI)
    assert not pair.truth.any()
    assert pair.marked == {2}


def test_inputs_stay_as_they_are():
    truth, pred = one_row(2, 2), one_row(21, 255)
    resolve(truth, pred, SPINEMRI)
    assert truth.ravel().tolist() == [2, 2]
    assert pred.ravel().tolist() == [21, 255]


def test_unknown_value():
    with pytest.raises(InputError, match="99"):
        resolve(one_row(99), one_row(0), SPINEMRI)
