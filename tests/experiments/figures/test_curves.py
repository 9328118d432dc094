"""Fig 3: the gap by hand."""

import pytest

from cafrnet.errors import InputError, UsageError
from cafrnet.experiments.figures.curves import COLUMNS, read_curve, training_curves
from cafrnet.experiments.probes.tables import read_csv

from ..probes.folders import put_journal, run_of
from .pictures import drawn_well


def test_the_gap_is_the_mean_of_the_last_tenth(tmp_path):
    run = put_journal(run_of(tmp_path), [0.1] * 18 + [0.8, 0.9], [0.1] * 18 + [0.7, 0.6])
    assert read_curve(run.journal).gap == pytest.approx((0.1 + 0.3) / 2)
    short = put_journal(run_of(tmp_path, seed=1), [0.4, 0.9], [0.4, 0.5])
    assert read_curve(short.journal).gap == pytest.approx(0.4)


def test_runs_of_different_length_share_a_panel(tmp_path):
    runs = [
        put_journal(run_of(tmp_path, fold=0), [0.2, 0.4, 0.6], [0.1, 0.3, 0.4]),
        put_journal(run_of(tmp_path, fold=1), [0.2, 0.4], [0.3, 0.5]),
    ]
    drawn = training_curves({"cafr_net": runs, "none": []}, tmp_path / "fig3.png")
    drawn_well(drawn, "cafr_net: 2 runs, 30 steps", "not the same measure")
    one, two = read_csv(tmp_path / "fig3.csv", COLUMNS)
    assert (one["epochs"], one["steps"], one["gap"]) == (3, 30, pytest.approx(0.2))
    assert (two["fold"], two["best_val_dice"], two["gap"]) == (1, 0.5, pytest.approx(-0.1))


def test_bad_input(tmp_path):
    with pytest.raises(UsageError, match="no trained runs"):
        training_curves({"a": []}, tmp_path / "f.png")
    empty = put_journal(run_of(tmp_path), [], [])
    with pytest.raises(InputError, match="no epoch"):
        training_curves({"a": [empty]}, tmp_path / "f.png")
