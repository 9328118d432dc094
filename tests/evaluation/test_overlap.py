import numpy as np
import pytest

from cafrnet.errors import UsageError
from cafrnet.evaluation.overlap import Overlap, overlap


def test_two_overlapping_bars():
    #  truth  # # # # . .      4 voxels
    #  pred   . . # # # .      3 voxels, 2 shared
    truth = np.array([1, 1, 1, 1, 0, 0], bool)
    pred = np.array([0, 0, 1, 1, 1, 0], bool)
    found = overlap(truth, pred)
    assert found == Overlap(truth=4, pred=3, both=2)
    assert found.dsc == 4 / 7
    assert found.iou == 2 / 5
    assert found.over_segmentation == 1 / 4


def test_dsc_follows_from_iou():
    found = Overlap(truth=50, pred=70, both=31)
    assert found.dsc == pytest.approx(2 * found.iou / (1 + found.iou))


def test_missed_and_invented_are_zero():
    assert (Overlap(5, 0, 0).dsc, Overlap(5, 0, 0).iou) == (0, 0)
    assert (Overlap(0, 5, 0).dsc, Overlap(0, 5, 0).iou) == (0, 0)


def test_undefined_is_none():
    assert Overlap(0, 0, 0).dsc is None
    assert Overlap(0, 0, 0).iou is None
    assert Overlap(0, 5, 0).over_segmentation is None


def test_other_shape():
    with pytest.raises(UsageError, match=r"\(2, 2\)"):
        overlap(np.ones((2, 2), bool), np.ones((2, 3), bool))
