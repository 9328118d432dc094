"""Offsets of kinds: what was put in comes out, and it is used."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("torch", reason="the 'train' extra is not installed")

from cafrnet.errors import InputError
from cafrnet.inference import segment_scan
from cafrnet.inference.calibration import Calibration, joint
from cafrnet.labels import TABLE, ValueSets
from cafrnet.learning.calibration import offsets
from cafrnet.learning.calibration.offsets import fit_offsets


class Scene:
    """A validation case or phantom of 1 slice on the model grid, and what a network says of it."""

    def __init__(self, truth, sets=None):
        self.labels, self.sets = truth, sets or ValueSets.identity()
        self.frame = SimpleNamespace(spacing_mm=(4.0, 1.0, 1.0))
        self.scan = self

    def read(self):
        return self

    def read_truth(self, scan):
        return self.labels


class Ready:
    grid = None

    def __init__(self, scene):
        self.images = scene.labels


@pytest.fixture
def plain(monkeypatch):
    """Scenes are on the model grid already; the network's logits depend on the truth as ``answer`` says."""
    monkeypatch.setattr(offsets, "prepare", lambda scan, settings: Ready(scan))
    monkeypatch.setattr(offsets, "prepare_truth", lambda truth, scan, grid: truth)

    def set_answer(answer):
        monkeypatch.setattr(
            offsets, "answers", lambda model, images, slice_mm, ask: iter([(0, answer(images))])
        )

    return set_answer


def logits_of(truth, lead):
    """Each voxel's class has a lead over background, drawn so that a shift of the disc's border is known."""
    out = np.zeros((len(truth), 20, *truth.shape[1:]), np.float32)
    for i in range(1, 20):
        out[:, i] = -6.0
        out[:, i][truth == i] = lead[truth == i]
    return out


class Fake:
    preprocessing = None


def test_discs_drawn_too_large_are_drawn_smaller(plain):
    """Of the background 40 voxels look like disc by 0.4; the disc itself by 3 and more."""
    truth = np.zeros((1, 30, 30), np.uint8)
    truth[0, 5:10, 5:25] = 12

    def answer(t):
        out = logits_of(t, np.full(t.shape, 3.0))
        out[:, 12, 10:12, 5:25] = 0.4
        return out

    plain(answer)
    assert fit_offsets(Fake(), [Scene(truth)]) == {"disc": -0.5}


def test_borders_that_are_right_stay(plain):
    truth = np.zeros((1, 30, 30), np.uint8)
    truth[0, 5:10, 5:25] = 12
    plain(lambda t: logits_of(t, np.full(t.shape, 3.0)))
    assert fit_offsets(Fake(), [Scene(truth)]) == {}


def test_what_validation_never_marks_is_as_large_as_phantoms_allow(plain):
    """In the phantom, background looks like sacrum by -2.2 in as many voxels as the sacrum has."""
    truth = np.zeros((1, 30, 30), np.uint8)
    truth[0, 5:10, 5:25] = 1
    unmarked = ValueSets({0: (0, 1), 12: (12,)})

    def answer(t):
        out = logits_of(t, np.full(t.shape, 3.0))
        out[:, 1, 10:15, 5:25] = -2.2
        return out

    plain(answer)
    blank = np.zeros((1, 30, 30), np.uint8)
    blank[0, 20:25, 5:25] = 12
    assert fit_offsets(Fake(), [Scene(blank, unmarked)], [Scene(truth)]) == {"sacrum": 2.0}
    assert fit_offsets(Fake(), [Scene(blank, unmarked)]) == {}


def test_segment_uses_them(model, stairs_scan):
    most = {"body": -5000.0, "disc": -5000.0}
    none = segment_scan(stairs_scan, replace(model, calibration=Calibration(offsets=most)))
    some = segment_scan(stairs_scan, replace(model, calibration=Calibration()))
    drawn = [set(np.unique(s.labels)) & set(TABLE.of_kind("body", "disc")) for s in (none, some)]
    assert not drawn[0]
    assert drawn[1]


def test_they_travel_and_are_checked():
    one = Calibration(offsets={"disc": -0.5, "sacrum": 2.0})
    assert Calibration.from_dict(one.to_dict()) == one
    assert joint([one, Calibration()]).offsets == {"disc": -0.25, "sacrum": 1.0}
    for wrong in ({"leg": 1.0}, {"disc": "much"}, {"disc": float("nan")}, {"background": 1.0}):
        with pytest.raises(InputError, match="damaged"):
            Calibration.from_dict({**one.to_dict(), "offsets": wrong})
