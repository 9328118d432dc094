import numpy as np
import pytest

from cafrnet.evaluation.levels import Levels, confusion, levels, move

from .drawn import TALL, column, ids

SPINE = ids("L5/S", "L5", "L4/L5", "L4", "L3/L4", "L3")


def judge(truth: np.ndarray, pred: np.ndarray) -> Levels:
    return levels(confusion(truth, pred), set(np.unique(truth)) - {0})


def names(found: Levels) -> list[str]:
    """Statuses from the lowest structure upwards."""
    return [found.status[i] for i in SPINE]


def renamed(array: np.ndarray, **change: str) -> np.ndarray:
    out = array.copy()
    for old, new in change.items():
        out[array == ids(old.replace("_", "/"))[0]] = ids(new)[0]
    return out


def test_right():
    found = judge(column(*SPINE), column(*SPINE))
    assert set(found.status.values()) == {"right"}
    assert (found.shift, found.correction) == (0, 0)


@pytest.mark.parametrize("k", [1, 2, -1])
def test_shift(k):
    truth = column(*ids("L4/L5", "L4", "L3/L4", "L3", "L2/L3", "L2"))
    pred = move(truth, k)
    found = judge(truth, pred)
    assert set(found.status.values()) == {"shift"}
    assert (found.shift, found.correction) == (k, -k)
    assert (move(pred, found.correction) == truth).all()


def test_shift_leaves_the_sacrum_out():
    truth = column(*ids("S"), *SPINE)
    found = judge(truth, move(truth, 1))
    assert found.status[1] == "right"
    assert {found.status[i] for i in SPINE} == {"shift"}


def test_one_wrong_name_is_no_shift():
    truth = column(*SPINE)
    found = judge(truth, renamed(truth, L3="T12"))
    assert names(found) == ["right"] * 5 + ["wrong"]
    assert found.shift == found.correction == 0
    assert found.carried_by[ids("L3")[0]] == ids("T12")[0]


def test_swap():
    truth = column(*SPINE)
    pred = truth.copy()
    pred[truth == 2], pred[truth == 3] = 3, 2
    assert names(judge(truth, pred)) == ["right", "swap", "right", "swap", "right", "right"]


def test_merge():
    # L4's name over L5 and L4 both; the one whose name it is remains right
    truth = column(*SPINE)
    found = judge(truth, renamed(truth, L5="L4"))
    assert names(found) == ["right", "merge", "right", "right", "right", "right"]


def test_merge_under_a_third_name():
    truth = column(*SPINE)
    found = judge(truth, renamed(truth, L5="T12", L4="T12"))
    assert names(found) == ["right", "merge", "right", "merge", "right", "right"]


def test_split_and_partial():
    truth = column(*SPINE, width=10)
    split, partial = truth.copy(), truth.copy()
    split[:, :, 4:8][truth[:, :, 4:8] == 2] = 7  # 4 of 10 columns
    split[:, :, 8:12][truth[:, :, 8:12] == 2] = 8  # 4 of 10; 2 of 10 keep the right name
    assert judge(truth, split).status[2] == "split"
    partial[:, :, 4:10][truth[:, :, 4:10] == 2] = 0  # 4 of 10 keep the right name
    assert judge(truth, partial).status[2] == "partial"


def test_half_covered_is_right_and_less_than_a_tenth_is_missing():
    truth = column(*SPINE, width=20)
    half, little = truth.copy(), truth.copy()
    half[:, :, 4:14][truth[:, :, 4:14] == 2] = 0
    assert judge(truth, half).status[2] == "right"
    little[:, :, 4:23][truth[:, :, 4:23] == 2] = 0  # 1 of 20 columns left
    found = judge(truth, little)
    assert found.status[2] == "missing"
    assert found.carried_by[2] == 2
    gone = judge(truth, np.where(truth == 2, 0, truth))
    assert gone.status[2] == "missing"
    assert gone.carried_by[2] is None


def test_other_ids_than_the_columns_carry_nothing():
    truth = column(*SPINE)
    assert judge(truth, np.where(truth == 2, 20, truth)).status[2] == "missing"


def test_nothing_predicted():
    truth = column(*SPINE)
    found = judge(truth, np.zeros_like(truth))
    assert set(found.status.values()) == {"missing"}
    assert (found.shift, found.correction) == (0, 0)


def test_empty_truth():
    empty = np.zeros((2, 3, 4), np.uint8)
    assert judge(empty, empty).status == {}


def test_a_shift_of_most_is_corrected_though_it_is_not_a_shift_of_all():
    truth = column(*SPINE)
    pred = move(truth, 1)
    pred[truth == ids("L3")[0]] = ids("L3")[0]
    found = judge(truth, pred)
    assert found.shift == 0
    assert found.correction == -1


def test_moving_at_the_ends():
    row = np.array([*ids("S", "L5/S", "L5", "L4/L5", "L4", "T10", "T9/T10", "T9"), 0, 20, 21, 255], np.uint8)
    down = np.array([1, 255, 255, *ids("L5/S", "L5", "L5"), 0, 0, 0, 20, 21, 255], np.uint8)
    # S stays; what would lie below L5/S has no name; T10 -> T11, T9/T10 -> T10/T11, T9 -> T10
    down[5:8] = ids("T11", "T10/T11", "T10")
    assert move(row, -1).tolist() == down.tolist()
    up = [*ids("S", "L4/L5", "L4", "L3/L4", "L3", "T9"), 255, 255, 0, 20, 21, 255]
    assert move(row, 1).tolist() == up
    assert (move(row, 0) == row).all()


def test_confusion_counts():
    truth = column(*SPINE)
    counts = confusion(truth, np.where(truth == 2, 3, truth))
    block = 3 * TALL * 6
    assert counts[2, 3] == block
    assert counts[2, 2] == 0
    assert counts[3, 3] == block
    assert counts.sum() == truth.size
