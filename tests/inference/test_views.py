"""Test-time augmentation: each view is undone exactly, and no view ever changes a name."""

import numpy as np
import pytest

import cafrnet
from cafrnet.errors import UsageError
from cafrnet.inference.views import DEFAULT_VIEWS, VIEWS, View, ViewingEngine, Way, with_views
from handmade import stairs

SIZE = (32, 32)


def smooth(seed=0):
    y, x = np.mgrid[:32, :32] / 32
    return np.float32(np.sin(5 * y + seed) + np.cos(4 * x))[None, None]


def test_mirroring_exchanges_front_and_back_and_leaves_up_and_down():
    picture = np.arange(32 * 32, dtype=np.float32).reshape(1, 1, 32, 32)
    assert np.array_equal(Way(VIEWS["mirror"], SIZE)(picture), picture[..., ::-1])
    assert not any(v.scale < 0 for v in VIEWS.values())  # which would mirror up and down too


def test_a_whole_shift_moves_the_picture_by_whole_pixels():
    picture = smooth()
    moved = Way(View(shift=(3, -2)), SIZE)(picture)
    np.testing.assert_allclose(moved[..., 3:, :-2], picture[..., :-3, 2:], atol=1e-6)
    assert not moved[..., :3, :].any()
    assert not moved[..., :, -2:].any()


@pytest.mark.parametrize("name", VIEWS)
def test_there_and_back_is_the_picture_wherever_it_is_covered(name):
    there, back = Way(VIEWS[name], SIZE), Way(VIEWS[name], SIZE, back=True)
    picture = smooth()
    came = back(there(picture))
    seen = back.covered > 0.999
    assert seen.mean() > 0.7
    inner = seen.copy()
    inner[:2] = inner[-2:] = inner[:, :2] = inner[:, -2:] = (
        False  # a shrunken picture is mixed with its margin
    )
    assert np.abs(came - picture)[0, 0][inner].max() < 0.02
    assert not came[0, 0][back.covered == 0].any()


class Rows:
    """A network that names pixels by their grey value, whatever the row: equivariant by construction."""

    name, metadata, image_shape, logits_shape = "rows", {}, (None, 1, 32, 32), (None, 4, 32, 32)
    asked = 0

    def __call__(self, images):
        self.asked += 1
        return -200 * (images - np.array([0, 1, 2, 3], np.float32)[None, :, None, None] / 3) ** 2


def test_an_equivariant_network_gives_the_same_answer_through_all_views():
    image = np.repeat(np.arange(4, dtype=np.float32)[:, None] / 3, 8, axis=0)[None, None] * np.ones((1, 32))
    image = image.astype(np.float32)
    network = Rows()
    seen = ViewingEngine(network, list(VIEWS.values()))(image)
    assert network.asked == len(VIEWS)
    plain = Rows()(image)
    middle = np.ones(32, bool)
    middle[[6, 7, 8, 9, 14, 15, 16, 17, 22, 23, 24, 25]] = False  # edges between the bands
    assert np.array_equal(seen.argmax(axis=1)[:, middle], plain.argmax(axis=1)[:, middle])
    np.testing.assert_allclose(np.exp(seen).sum(axis=1), 1, rtol=1e-4)


def test_a_view_that_is_sure_of_nonsense_is_outvoted():
    class Fooled(Rows):
        def __call__(self, images):
            logits = super().__call__(images)
            if self.asked == 2:
                logits[:] = 0
                logits[:, 3] = 1e4
            return logits

    image = np.zeros((1, 1, 32, 32), np.float32)
    views = [VIEWS[n] for n in ("as-is", "mirror", "mirror")]
    assert (ViewingEngine(Fooled(), views)(image).argmax(axis=1) == 0).all()


def test_the_label_map_of_a_model_that_reads_grey_values_stays_the_same(model, stairs_scan):
    _, labels, _ = stairs()
    assert np.array_equal(cafrnet.segment(stairs_scan, model=with_views(model, ["mirror"])).labels, labels)
    through_all = cafrnet.segment(stairs_scan, model=model, tta=True).labels
    assert (through_all == labels).mean() > 0.97  # scaling mixes grey values at boundaries
    names = cafrnet.segment(stairs_scan, model=with_views(model, list(VIEWS))).labels
    inside = np.isin(names, np.unique(labels)) & (names > 0) & (labels > 0)
    assert (names[inside] == labels[inside]).mean() > 0.9


def test_wrong_use_is_said(model):
    with pytest.raises(UsageError, match="did you mean 'mirror'"):
        with_views(model, ["miror"])
    with pytest.raises(UsageError, match="already"):
        with_views(with_views(model), ["mirror"])
    assert with_views(model).views == DEFAULT_VIEWS
