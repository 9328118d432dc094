"""Shapes of levels: what is fitted is what was drawn, and it tells levels apart without any name."""

from dataclasses import replace

import numpy as np
import pytest

from anatomy.drawn import GRID, draw, run_of, sure, voxels
from cafrnet.anatomy.fitting import TrueColumn, fit_prices, structures_of, surprise, true_places
from cafrnet.anatomy.instances import Instance, find_instances
from cafrnet.anatomy.options import NamingOptions
from cafrnet.anatomy.prices import NamingModel, Prices
from cafrnet.anatomy.sequence import infer
from cafrnet.anatomy.shapes import Shapes, fit_shapes
from cafrnet.errors import UsageError
from cafrnet.labels import TABLE

FLAT = np.full(9, -np.log(9.0))


def structure(place, rng, *, at=0.0, evidence=FLAT):
    """Return a body or disc whose size and tilt depend on its place: 4 degrees more for each place."""
    body = place % 2 == 1
    high = (25.0 if body else 12.0 - 0.3 * place) * np.exp(rng.normal(0, 0.05))
    return Instance(
        kind="body" if body else "disc",
        voxels=np.zeros(0, np.intp),
        low_mm=at - high / 2,
        high_mm=at + high / 2,
        at_mm=at,
        centre=(0.0, 0.0, 0.0),
        volume_mm3=1e6,
        evidence=evidence,
        depth_mm=33 * np.exp(rng.normal(0, 0.05)),
        tilt_deg=0.0 if body else -35 + 4 * place + rng.normal(0, 4),
        cut=False,
    )


@pytest.fixture
def shapes():
    rng = np.random.default_rng(0)
    return fit_shapes([(structure(p, rng), p) for _ in range(30) for p in range(14)])


def test_the_table_holds_what_was_drawn(shapes):
    tilts = [row[0] for row in shapes.mean["disc"]]
    assert tilts[:7] == pytest.approx([-35 + 8 * n for n in range(7)], abs=3)
    assert tilts[7:] == [tilts[6]] * 2  # not seen: as the nearest level that was
    assert shapes.sd["disc"][0][0] == pytest.approx(4, rel=0.3)
    assert shapes.sd["disc"][8][0] == pytest.approx(1.5 * shapes.sd["disc"][6][0], rel=0.3)
    assert np.exp(shapes.mean["body"][3][0]) == pytest.approx(25, rel=0.03)
    assert Shapes.from_dict(shapes.to_dict()) == shapes


def test_shapes_alone_find_the_level_of_a_crop(shapes):
    rng = np.random.default_rng(1)
    model = NamingModel(Prices(shape=0.6), shapes)
    for first in (0, 1, 2, 4):
        column = [structure(p, rng, at=17.0 * p) for p in range(first, first + 9)]
        assert infer(column, model).places == tuple(range(first, first + 9))
        # a network that is sure, two levels off, and often so, does not win against them
        wrong = [
            replace(one, evidence=np.where(np.arange(9) == p // 2 + 2, 0.0, -12.0))
            for p, one in enumerate(column, first)
        ]
        doubtful = NamingModel(Prices(evidence=1.0, offset=0.5, shape=0.6), shapes)
        assert infer(wrong, doubtful).places == tuple(range(first, first + 9))


def test_without_a_table_and_for_cut_structures_shapes_say_nothing(shapes):
    one = structure(4, np.random.default_rng(2))
    assert not Shapes().fit(one).any()
    assert not shapes.fit(replace(one, cut=True)).any()
    assert shapes.fit(one)[1:10].argmax() == 2
    assert Shapes.from_dict({}) == Shapes()


def test_wrong_tables(shapes):
    raw = shapes.to_dict()
    raw["sd"]["disc"][0][0] = 0.0
    with pytest.raises(UsageError, match="not positive"):
        Shapes.from_dict(raw)
    raw = shapes.to_dict()
    raw["mean"]["body"] = raw["mean"]["body"][:4]
    with pytest.raises(UsageError, match=r"mean of body has the shape \(4, 2\), \(9, 2\) was expected"):
        Shapes.from_dict(raw)
    with pytest.raises(UsageError, match="no body level has 4"):
        fit_shapes([])


def test_copies_of_one_scan_have_no_shapes():
    rng = np.random.default_rng(0)
    one = [(structure(p, rng), p) for p in range(14)]
    with pytest.raises(
        UsageError, match=r"height and depth of each body level does not vary .* copies of one"
    ):
        fit_shapes(one * 5)


def test_structures_of_a_truth_have_their_places():
    truth = draw(*sure(run_of("L5/S", "T12"))).argmax(axis=1).astype(np.uint8)
    found = structures_of(truth, GRID)
    assert [p for _, p in found] == list(range(len(run_of("L5/S", "T12"))))
    assert all(abs(one.tilt_deg) < 1 or one.kind == "body" for one, _ in found)


def test_true_places_need_a_third_of_the_voxels():
    logits = draw(*sure(run_of("L5/S", "L3")))
    found = voxels(logits)
    instances = find_instances(found, GRID, NamingOptions())
    true = np.zeros(len(found.at), np.uint8)
    body = instances[1].voxels
    true[body[: len(body) // 4]] = TABLE["L5"].id
    assert true_places(instances, true) == [None] * len(instances)
    true[body[: len(body) // 2]] = TABLE["L5"].id
    assert true_places(instances, true)[1] == 1


def test_prices_learn_how_often_the_network_is_off_as_a_whole():
    rng = np.random.default_rng(5)
    columns = []
    for k in range(8):
        off = 1 if k % 4 == 0 else 0  # every fourth column is called one level too high
        column = [
            structure(p, rng, at=17.0 * p, evidence=np.where(np.arange(9) == p // 2 + off, -0.01, -9.0))
            for p in range(2, 10)
        ]
        columns.append(TrueColumn(column, list(range(2, 10))))
    start = NamingModel(Prices(evidence=1.0, offset=0.02))
    model, before, after = fit_prices(columns, start, steps=40)
    assert after < before
    assert after == pytest.approx(surprise(columns, model))
    found = infer(columns[1].instances, model)
    assert found.places == tuple(range(2, 10))
    assert 0.6 < found.shifts[0] < 0.9  # three of four are right; 0.02 said 0.98
