import numpy as np
import pytest

from cafrnet.errors import InputError
from cafrnet.evaluation.statistics import (
    TOO_FEW,
    average_seeds,
    bootstrap_interval,
    compare,
    compare_all,
    holm,
    rank_biserial,
)


def cases(values) -> dict[str, float]:
    return {f"Case{k}": float(v) for k, v in enumerate(values)}


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def test_wilcoxon_by_hand():
    # Eight differences with ranks 1..8, only the smallest negative: W- = 1, W+ = 35. Of the 2^8 = 256 equally
    # likely signs, W- <= 1 in two ({}, {1}); two-sided p = 2 * 2 / 256.
    found = compare(cases([-1, 2, 3, 4, 5, 6, 7, 8]), cases([0] * 8), rng())
    assert found.pairs == 8
    assert found.p == pytest.approx(4 / 256)
    assert found.effect == pytest.approx((35 - 1) / 36)
    assert found.mean_difference == pytest.approx(34 / 8)


def test_all_one_way():
    found = compare(cases(range(1, 9)), cases([0] * 8), rng())
    assert found.p == pytest.approx(2 / 256)
    assert found.effect == 1
    assert compare(cases([0] * 8), cases(range(1, 9)), rng()).effect == -1


def test_rank_biserial_with_ties_and_zeros():
    # |d| without zeros: 1 1 2 -> ranks 1.5 1.5 3; signs - + +
    assert rank_biserial(np.array([-1.0, 1.0, 2.0, 0.0])) == pytest.approx((1.5 + 3 - 1.5) / 6)


def test_too_few_cases_whatever_p_is():
    found = compare(cases(range(1, 8)), cases([0] * 7), rng())
    assert (found.p, found.effect, found.reason) == (None, None, TOO_FEW)
    assert found.mean_difference == 4


def test_equal_models():
    found = compare(cases([0.9] * 10), cases([0.9] * 10), rng())
    assert (found.p, found.effect) == (None, None)
    assert found.reason == "no case differs"


def test_rounding_is_no_difference():
    found = compare(cases([0.1 + 0.2] * 9), cases([0.3] * 9), rng())
    assert found.reason == "no case differs"


def test_unpaired_cases():
    with pytest.raises(InputError, match="Case8"):
        compare(cases(range(9)), cases(range(8)), rng())


def test_holm_by_hand():
    # sorted .01 .02 .03 .04 -> x4 x3 x2 x1 = .04 .06 .06 .04 -> not decreasing: .04 .06 .06 .06
    assert holm([0.03, 0.01, 0.04, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert holm([0.5, 0.6]) == [1.0, 1.0]
    assert holm([None, 0.02, None]) == [None, 0.02, None]
    assert holm([]) == []


def test_seeds_are_averaged_per_case():
    assert average_seeds([cases([1, 2]), cases([3, 6])]) == {"Case0": 2.0, "Case1": 4.0}
    with pytest.raises(InputError, match="different cases"):
        average_seeds([cases([1, 2]), cases([3])])
    with pytest.raises(InputError):
        average_seeds([])


def test_family():
    base = np.linspace(0.7, 0.9, 12)
    scores = {
        "ours": cases(base),
        "worse": cases(base - np.linspace(0.01, 0.03, 12)),
        "same": cases(base),
        "mixed": cases(base + np.linspace(-0.02, 0.021, 12)),
    }
    found = compare_all(scores, "ours", rng())
    assert list(found) == ["worse", "same", "mixed"]
    assert found["worse"].p == pytest.approx(2 / 4096)
    assert found["worse"].p_holm == pytest.approx(2 * 2 / 4096)  # two tests were made, not three
    assert found["same"].p_holm is None
    assert found["mixed"].p_holm == found["mixed"].p


def test_bootstrap_covers_and_repeats():
    values = np.random.default_rng(1).normal(0.8, 0.1, 40)
    found = bootstrap_interval(values, rng())
    assert found == bootstrap_interval(values, rng())
    half_width = 1.96 * values.std() / np.sqrt(40)
    assert found.low == pytest.approx(values.mean() - half_width, abs=0.1 * half_width)
    assert found.high == pytest.approx(values.mean() + half_width, abs=0.1 * half_width)


def test_bootstrap_of_equal_or_too_few_values():
    same = bootstrap_interval([0.5, 0.5, 0.5], rng())
    assert (same.low, same.high) == (0.5, 0.5)
    assert bootstrap_interval([0.5], rng()).reason == TOO_FEW
    assert bootstrap_interval([0.5], rng()).low is None
