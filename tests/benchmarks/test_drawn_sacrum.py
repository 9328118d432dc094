"""The sacrum that a model draws as a mark: by hand, what becomes sacrum, what "certainly not", what stays."""

import shutil

import drawn_sacrum
import numpy as np
from drawn_sacrum import NOT_IT, mark

from cafrnet.cli.main import main
from cafrnet.datasets import open_dataset

MM = (1.0, 1.0, 4.0)


def scene():
    """Five slices; a square of 20 x 20 drawn in slices 1 to 4, a body (5) over one side of it."""
    truth, drawn = np.zeros((60, 60, 5), np.uint8), np.zeros((60, 60, 5), np.uint8)
    drawn[20:40, 20:40, 1:] = 1
    truth[20:40, 38:45] = 5
    return truth, drawn


def test_the_inner_part_is_sacrum_and_a_ring_is_not():
    truth, drawn = scene()
    assert mark(truth, drawn, MM, slices=3) == 3
    line = truth[30, :, 2]
    assert line[20:38].tolist() == [1] * 18  # the outermost pixel lies 1 mm inside, which is more than 0.7
    assert line[38:45].tolist() == [5] * 7  # what the truth marks stays
    assert line[19] == 0  # 1 mm outside: neither
    assert line[6:19].tolist() == [NOT_IT] * 13  # 2 to 14 mm
    assert not line[:6].any()  # 15 mm and more: as it was


def test_other_slices_and_slices_without_a_drawing_stay():
    truth, drawn = scene()
    before = truth.copy()
    drawn[:, :, 3] = 0
    assert mark(truth, drawn, MM, slices=3) == 2
    assert np.array_equal(truth[:, :, [0, 3, 4]], before[:, :, [0, 3, 4]])


def test_the_copy_opens_as_a_dataset_that_knows_the_new_value(tmp_path, monkeypatch):
    data, drawn, copy = tmp_path / "data", tmp_path / "drawn", tmp_path / "copy"
    assert main(["data", "phantom", "-o", str(data), "--cases", "1", "--small", "--seed", "3", "-q"]) == 0
    drawn.mkdir()
    shutil.copy(data / "train" / "Mask" / "mask_case1.nii.gz", drawn / "Case1_seg.nii.gz")
    monkeypatch.setattr("sys.argv", ["drawn_sacrum.py", str(data), str(drawn), "-o", str(copy)])
    drawn_sacrum.main()
    (case,) = open_dataset(copy).cases
    scan = case.read()
    truth = case.read_truth(scan)
    assert case.sets.values[NOT_IT] == (0,)
    assert case.sets.values[0] == (0, 1)
    assert (truth == NOT_IT).any()
    assert np.array_equal(np.isin(truth, [0, NOT_IT]), open_dataset(data).cases[0].read_truth(scan) == 0)
