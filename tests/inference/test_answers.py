"""Slices that lie near each other share their logits; the numbers are worked out by hand."""

from dataclasses import replace

import numpy as np
import pytest

from cafrnet.anatomy import NamingOptions
from cafrnet.inference import segment_scan
from cafrnet.inference.answers import SLICES_AT_ONCE, answers, neighbours_share
from cafrnet.inference.calibration import Calibration
from cafrnet.scan import Scan
from handmade import stairs


class Telling:
    """An engine whose logits are the slice's first grey value, for class 1, and 0 for all others."""

    name, metadata = "telling", {}

    def __init__(self, engine):
        self.image_shape, self.logits_shape = engine.image_shape, engine.logits_shape
        self.calls = []

    def __call__(self, images):
        self.calls.append(len(images))
        logits = np.zeros((len(images), 22, *images.shape[2:]), np.float32)
        logits[:, 1] = images[:, 0, :1, :1]
        return logits


def told(model, values, slice_mm, **changes):
    engine = Telling(model.engine)
    images = np.ones((len(values), 8, 8), np.float32) * np.array(values, np.float32)[:, None, None]
    found, expected = [], 0
    for first, logits in answers(replace(model, engine=engine, **changes), images, slice_mm):
        assert first == expected
        found += logits[:, 1, 3, 3].tolist()
        expected += len(logits)
        assert not logits[:, 0].any()
        assert not logits[:, 2:].any()
    return found, engine.calls


def test_the_share_falls_with_the_distance():
    near, usual = np.exp(-0.5 * (1.0 / 1.3) ** 2), np.exp(-0.5 * (1.8 / 1.3) ** 2)
    assert neighbours_share(1.0) == pytest.approx(near / (1 + 2 * near))
    assert neighbours_share(1.8) == pytest.approx(usual / (1 + 2 * usual)) == pytest.approx(0.217, abs=1e-3)
    assert neighbours_share(4.0) == neighbours_share(4.4) == 0.0


def test_a_slice_is_mixed_with_both_neighbours_and_an_end_with_itself(model):
    s = neighbours_share(1.8)
    found, calls = told(model, [1, 0, 0, 2, 4], 1.8)
    mixed = [1 - s, s, 2 * s, 2 - 4 * s + 4 * s, 4 - 4 * s + 2 * s]
    assert found == pytest.approx(mixed, abs=1e-6)
    assert calls == [SLICES_AT_ONCE, SLICES_AT_ONCE, 1]  # the network itself sees them as before


@pytest.mark.parametrize("values", [[3], [3, 5]])
def test_one_slice_and_two(model, values):
    s = neighbours_share(1.8)
    found, _ = told(model, values, 1.8)
    assert found == pytest.approx([3] if len(values) == 1 else [3 + 2 * s, 5 - 2 * s])


@pytest.mark.parametrize("off", ["blend", "kinds", "all"])
def test_nothing_is_mixed_where_slices_lie_far_apart_or_the_step_is_off(model, off):
    assert told(model, [1, 0, 4], 4.4)[0] == [1, 0, 4]
    assert told(model, [1, 0, 4], 1.8, postprocessing=NamingOptions.without(off))[0] == [1, 0, 4]


@pytest.mark.parametrize(("off", "added"), [((), 0.5), (("offsets",), 0), (("kinds",), 0), (("blend",), 0.5)])
def test_offsets_are_a_step_of_their_own(model, off, added):
    known = Calibration(offsets={"sacrum": 0.5})  # class 1
    options = NamingOptions.without(*off)
    assert told(model, [1, 3], 4.4, calibration=known, postprocessing=options)[0] == [1 + added, 3 + added]


def test_segment_mixes_by_the_scans_own_spacing(model, stairs_scan):
    _, labels, _ = stairs()
    assert np.array_equal(segment_scan(stairs_scan, model).labels, labels)  # 4 mm
    near = stairs_scan.affine.copy()
    near[:3, 2] *= 0.25
    scan = Scan(stairs_scan.voxels, near, source="near")
    off = replace(model, postprocessing=NamingOptions.without("blend"))
    assert np.array_equal(segment_scan(scan, off).labels, labels)
    assert not np.array_equal(segment_scan(scan, model).labels, labels)  # stairs end at a slice's edge
    assert segment_scan(scan, off).triage.verdict == "review"
