"""A column on its head: the slice that holds most of it is shown once more, the other way round."""

from types import SimpleNamespace

import numpy as np
import pytest

from cafrnet.anatomy import NamingOptions
from cafrnet.inference.upright import upside_down_flags
from cafrnet.inference.watch import Watch

#: Logit of a body where the network is sure, and where it is not; class 2 is L5, 3 is L4.
SURE, UNSURE = 9.0, 1.0


def logits_of(images, sure):
    """Bright pixels are a body, of one level or of either."""
    logits = np.zeros((len(images), 22, *images.shape[1:]), np.float32)
    logits[:, 0] = 6.0
    bright = images > 0.5
    logits[:, 2][bright] = 12.0
    logits[:, 3][bright] = 12.0 - (SURE if sure else UNSURE)
    return logits


def network(likes_head_above):
    """Surer where the dark half is the upper one, or the lower one; sees no column in slices of 0.9."""

    def engine(images):
        engine.seen.append(images.copy())
        upper, lower = images[0, 0, :8].mean(), images[0, 0, 8:].mean()
        return logits_of(images[:, 0], sure=(upper < lower) == likes_head_above)

    engine.seen = []
    return engine


def model(engine):
    return SimpleNamespace(
        engine=engine,
        num_classes=22,
        calibration=None,
        not_trained_ids=(),
        path="net",
        postprocessing=NamingOptions(),
    )


def patient():
    """Three slices, most of the column in the last; the lower half is brighter."""
    images = np.zeros((3, 16, 8), np.float32)
    images[:2, 9:11, 2:6] = 1.0
    images[2, 6:14, 2:6] = 1.0
    return images


def flags(net, images):
    watch = Watch(22)
    for image in images:
        watch.add(image[None], net.engine(image[None, None]))
    net.engine.seen.clear()
    return upside_down_flags(net, images, watch)


def test_the_right_way_round_nothing_is_said():
    net = model(network(likes_head_above=True))
    assert flags(net, patient()) == ()
    (shown,) = net.engine.seen  # one slice, the one with most of the column
    np.testing.assert_array_equal(shown[0, 0], patient()[2, ::-1])


def test_surer_the_other_way_round():
    (flag,) = flags(model(network(likes_head_above=False)), patient())
    assert (flag.kind, flag.ids) == ("upside down", ())
    # two names of 12 and 11, or 12 and 3: ln 2-like entropies of 0.58 and 0.0012 nats, of ln 22
    p = 1 / (1 + np.exp(-UNSURE))
    unsure = -(p * np.log(p) + (1 - p) * np.log(1 - p)) / np.log(22)
    assert float(flag.message.split("instead of ")[1].split(")")[0]) == pytest.approx(unsure, abs=0.03)


def test_without_a_column_nothing_is_said():
    assert flags(model(network(likes_head_above=False)), np.zeros((3, 16, 8), np.float32)) == ()


def test_a_column_that_is_hardly_seen_the_other_way_round_does_not_count():
    images, count = patient(), []

    def engine(some):
        count.append(len(some))
        logits = logits_of(some[:, 0], sure=len(count) > 3)
        if len(count) > 3:  # turned: a quarter of the column
            logits[:, 2, :, 3:] = 0.0
        return logits

    engine.seen = []
    assert flags(model(engine), images) == ()
