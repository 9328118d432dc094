import pytest
from side_by_side import about, ratio, summary, table, take_turns


def test_each_round_starts_with_another_one_and_warm_up_is_not_counted():
    order = []
    found = take_turns({name: lambda name=name: order.append(name) for name in "abc"}, rounds=2, warm_up=1)
    assert "".join(order) == "abc" + "bca" + "cab"
    assert {name: len(seconds) for name, seconds in found.items()} == {"a": 2, "b": 2, "c": 2}


def test_summary_is_median_half_the_quartiles_distance_and_minimum_in_ms():
    found = summary([0.004, 0.001, 0.002, 0.003, 0.005])
    assert found == {"median_ms": 3.0, "spread_ms": 1.0, "minimum_ms": 1.0}
    assert summary([0.012], per=12) == {"median_ms": 1.0, "spread_ms": 0.0, "minimum_ms": 1.0}


def test_a_ratio_is_taken_round_by_round():
    # a machine that is ten times slower in the second round changes no ratio
    assert ratio([2.0, 20.0, 2.0], [1.0, 10.0, 1.0]) == pytest.approx(
        {"median": 2.0, "quartile_1": 2.0, "quartile_3": 2.0}
    )


def test_the_machine_is_named_and_what_is_missing_is_none():
    found = about(("numpy", "no-such-package"), threads=2)
    assert found["processor"]
    assert found["versions"]["numpy"]
    assert found["versions"]["no-such-package"] is None
    assert found["threads"] == 2


def test_a_table_has_as_many_cells_in_each_line():
    assert table(["a", "b"], [[1, None]]) == "| a | b |\n| --- | --- |\n| 1 | - |"
