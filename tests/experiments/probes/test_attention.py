"""LAFR's maps on truths whose ratios are known."""

import numpy as np
import pytest
import torch

from cafrnet.errors import InputError, UsageError
from cafrnet.experiments.probes.attention import (
    COLUMNS,
    attention_maps,
    attention_ratios,
    boundary_band,
    ratios,
)
from cafrnet.experiments.probes.tables import read_csv
from cafrnet.learning.layers import LAFR

from .folders import holdout, put_network, run_of


def test_the_band_is_two_pixels_wide_on_both_sides():
    labels = np.zeros((3, 8), int)
    labels[:, 4:] = 5
    assert boundary_band(labels).tolist() == [[False, False, True, True, True, True, False, False]] * 3
    assert not boundary_band(np.zeros((3, 3), int)).any()


def test_a_map_that_is_two_on_the_boundary_and_one_inside_has_ratio_two():
    truth = np.zeros((1, 20, 20), int)
    truth[0, 2:18, 2:18] = 3
    attention = np.where(boundary_band(truth[0]), 2.0, 1.0)[None]
    found = ratios(attention, truth)
    assert found == {"boundary_to_interior": 2.0, "disc_to_body": None, "body_rim_to_core": 2.0}


def test_a_map_that_marks_discs_alone_does_not_mark_the_rims_of_bodies():
    truth = np.zeros((1, 30, 12), int)
    truth[0, 2:14], truth[0, 14:17], truth[0, 17:28] = 3, 13, 4
    found = ratios(np.where(truth == 13, 3.0, 1.0), truth)
    assert found["boundary_to_interior"] > 1.2
    assert found["body_rim_to_core"] == 1


def test_a_disc_three_times_as_bright_as_a_body():
    truth = np.zeros((1, 8, 8), int)
    truth[0, :4], truth[0, 4:] = 3, 13
    attention = np.where(truth == 13, 0.6, 0.2)
    assert ratios(attention, truth)["disc_to_body"] == pytest.approx(3)


def test_a_coarse_cell_stands_for_all_its_pixels():
    truth = np.zeros((1, 8, 8), int)
    truth[0, :4], truth[0, 4:] = 3, 13
    assert ratios(np.array([[[1.0, 1.0], [4.0, 4.0]]]), truth)["disc_to_body"] == pytest.approx(4)


def test_background_and_uncertain_pixels_have_no_boundary():
    truth = np.full((1, 8, 8), -1)
    assert set(ratios(np.ones((1, 8, 8)), truth).values()) == {None}


def test_what_is_caught_is_eq_6():
    class Net(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.lafr = LAFR(1)
            torch.nn.init.zeros_(self.lafr.pointwise.weight)
            torch.nn.init.zeros_(self.lafr.depthwise.weight)
            torch.nn.init.constant_(self.lafr.depthwise.bias, 1.0)

        def forward(self, image):
            return self.lafr(torch.nn.functional.avg_pool2d(image, 4))

    (tap,) = attention_maps(Net(), torch.rand(5, 1, 16, 16))
    assert (tap.tap, tap.channels, tap.attention.shape) == ("1/4", 1, (5, 4, 4))
    assert tap.attention == pytest.approx(1 / (1 + np.exp(-1)))


def test_an_untrained_run_gives_a_ratio_per_tap(tiny_dataset, tmp_path):
    run = put_network(run_of(tmp_path), holdout("Case1", "Case2"))
    lines = read_csv(attention_ratios([run], tiny_dataset, tmp_path), COLUMNS)
    assert [(x["tap"], x["channels"]) for x in lines[::3]] == [("1/2", 8), ("1/4", 8), ("1/8", 8)]
    assert all(x["cases"] == 2 and x["low"] <= x["mean"] <= x["high"] for x in lines)
    assert all(0.5 < x["mean"] < 2 for x in lines)


def test_bad_input(tiny_dataset, tmp_path):
    without = put_network(run_of(tmp_path), holdout("Case1"), "lafr=false")
    with pytest.raises(UsageError, match="no LAFR"):
        attention_ratios([without], tiny_dataset, tmp_path)
    with pytest.raises(UsageError, match="no trained runs"):
        attention_ratios([], tiny_dataset, tmp_path)
    (without.path / "best.safetensors").write_bytes(b"broken")
    with pytest.raises(InputError, match="damaged"):
        attention_ratios([without], tiny_dataset, tmp_path)
