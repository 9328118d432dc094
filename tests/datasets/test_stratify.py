"""Dealing patients into parts: quotas by hand, and rare classes in every part that can have them."""

import itertools

import numpy as np
import pytest

from cafrnet.datasets.stratify import quotas, stratify

HOLDOUT = (0.70, 0.15, 0.15)


@pytest.mark.parametrize(
    ("total", "expected"),
    [
        (0, [0, 0, 0]),
        (1, [1, 0, 0]),
        (2, [1, 0, 1]),  # train first, then test
        (3, [1, 1, 1]),
        (4, [2, 1, 1]),
        (20, [14, 3, 3]),
        (172, [120, 26, 26]),  # 120.4, 25.8, 25.8
    ],
)
def test_quotas_are_whole_and_give_each_part_one(total, expected):
    assert quotas(total, np.array(HOLDOUT), (0, 2, 1)).tolist() == expected


def held(marks, part, parts=3):
    return np.stack([marks[part == p].sum(axis=0) for p in range(parts)])


def spinemri_like(rng):
    """172 patients; T9 in 8, T9/T10 in 13, T10 in 43, T10/T11 in 64, nested as a field of view nests them."""
    height = rng.permutation(172)
    return np.stack([height < n for n in (8, 13, 43, 64, 172)], axis=1).astype(int)


@pytest.mark.parametrize("seed", range(8))
def test_spinemri_always_has_t9_in_every_part(seed):
    rng = np.random.default_rng(seed)
    marks = spinemri_like(rng)
    part = stratify(marks, np.ones(172, int), HOLDOUT, rng, order=(0, 2, 1))
    counts = held(marks, part)
    assert np.bincount(part).tolist() == [120, 26, 26]
    assert counts[:, 0].min() >= 1  # a plain random 26-case test part has none with probability 0.26
    np.testing.assert_allclose(counts[:, 2:], np.outer([120, 26, 26], [43, 64, 172]) / 172, atol=1.0)


def test_five_folds_of_31_share_a_class_of_five_patients():
    marks = np.stack([np.arange(31) < 2, np.arange(31) < 5, np.ones(31)], axis=1).astype(int)
    part = stratify(marks, np.ones(31, int), [0.2] * 5, np.random.default_rng(0))
    assert sorted(np.bincount(part)) == [6, 6, 6, 6, 7]
    counts = held(marks, part, 5)
    assert counts[:, 1].tolist() == [1, 1, 1, 1, 1]
    assert counts[:, 0].max() == 1


def best_possible(marks):
    """Try all deals of 9 patients in 3 parts of 3: the fewest (part, label) pairs without a case."""
    best = marks.shape[1] * 3
    for one in itertools.combinations(range(9), 3):
        rest = [i for i in range(9) if i not in one]
        for two in itertools.combinations(rest, 3):
            three = [i for i in rest if i not in two]
            held = np.stack([marks[list(p)].sum(axis=0) for p in (one, two, three)])
            best = min(best, int((held == 0).sum()))
    return best


@pytest.mark.parametrize("seed", range(8))
def test_no_deal_of_overlapping_classes_is_better(seed):
    rng = np.random.default_rng(seed)
    marks = (rng.random((9, 4)) < 0.45).astype(int)
    marks = marks[:, marks.sum(axis=0) >= 3]
    part = stratify(marks, np.ones(9, int), [1 / 3] * 3, rng)
    assert np.bincount(part).tolist() == [3, 3, 3]
    assert int((held(marks, part) == 0).sum()) == best_possible(marks)


def test_patients_with_many_cases_keep_the_sizes_even():
    sizes = np.array([3] * 10 + [1] * 30)
    marks = np.stack([sizes], axis=1)
    part = stratify(marks, sizes, HOLDOUT, np.random.default_rng(0))
    np.testing.assert_allclose(np.bincount(part, sizes), [42, 9, 9], atol=1)


def test_the_generator_decides_and_nothing_else():
    marks = spinemri_like(np.random.default_rng(0))
    one, again, other = (
        stratify(marks, np.ones(172, int), HOLDOUT, np.random.default_rng(s)) for s in (1, 1, 2)
    )
    assert (one == again).all()
    assert (one != other).any()
