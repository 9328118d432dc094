"""Rows with names: the difference is paired over cases, reference minus row."""

import named_rows


def summary(dsc, shifted=()):
    mean = sum(dsc.values()) / len(dsc)
    head = {
        "dsc": {"mean": mean},
        "dsc_interval": {"low": mean - 0.1, "high": mean + 0.1},
        "iou": {"mean": 0.5},
        "hd95_mm": {"mean": 2.5},
        "missed": 1,
        "invented": 2,
    }
    per_case = {case: {"dsc": value} for case, value in dsc.items()}
    right = {"headline": {"dsc": {"mean": mean + 0.05}}}
    levels = {"shifted": dict.fromkeys(shifted, -1)}
    return {"headline": head, "per_case": per_case, "levels": levels, "after_shift": right}


def test_a_row_is_compared_case_by_case():
    reference = summary({"a": 0.9, "b": 0.8})
    other = summary({"b": 0.7, "a": 0.8}, shifted=["b"])
    alone = summary({"a": 0.4, "b": 0.6})
    found = named_rows.row("unet", alone, other, reference)
    assert found[:6] == ["unet", 50.0, 75.0, 65.0, 85.0, 50.0]
    assert found[6:10] == [2.5, 1, 2, 1]
    assert found[10:] == [10.0, 10.0, 10.0, 80.0]  # 0.1 in both cases, so in every resample
    assert named_rows.row("own", alone, reference, reference)[10:] == [0.0, "", "", 90.0]
