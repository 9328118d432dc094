"""Columns whose names, and whose doubts, were worked out by hand."""

from dataclasses import fields
from itertools import pairwise

import numpy as np
import pytest

from anatomy.drawn import (
    BODY_MM,
    DISC_MM,
    EDGE,
    GRID,
    PLAIN,
    SLICES,
    draw,
    ids,
    name,
    run_of,
    sure,
)
from cafrnet.anatomy.instances import Grid, find_instances
from cafrnet.anatomy.options import NamingOptions
from cafrnet.anatomy.prices import NamingModel, Prices
from cafrnet.errors import InputError, UsageError
from cafrnet.labels import TABLE, UNKNOWN


def named(naming):
    return [e.id for e in naming.elements]


def kinds_of(naming):
    return {flag.kind for flag in naming.flags}


def test_a_column_that_is_clear_keeps_its_names():
    spine = run_of("S", "T11")
    naming, labels = name(draw(*sure(spine)))
    assert named(naming) == spine
    assert naming.shift_posterior[0] > 0.999
    assert set(naming.levels) == {TABLE[i].name for i in spine[1:]}
    assert min(naming.levels.values()) > 0.99
    assert set(np.unique(labels)) == {0, *spine}
    assert naming.flags == ()


def test_centres_and_sizes_are_in_mm():
    naming, _ = name(draw(*sure(run_of("L5", "L2"))))
    lowest = naming.elements[0]
    # rows 286 to 309, columns 20 to 49, slices 0 to 3: x = 4 * 1.5, y = -34.5, z = -297.5
    assert lowest.centre_mm == pytest.approx((6.0, -34.5, -297.5), abs=0.01)
    assert lowest.volume_mm3 == pytest.approx(SLICES * 4 * BODY_MM * 30)
    assert lowest.height_mm == pytest.approx(BODY_MM, abs=2)


def test_one_structure_has_one_name_where_its_slices_disagree():
    spine = run_of("L5/S", "T12")
    right, off = draw(*sure(spine)), draw(*sure(run_of("L4/L5", "T11")))
    mixed = np.where(np.arange(SLICES)[:, None, None, None] % 2 == 0, right, off)
    # Half of the slices say one level higher: both columns explain the evidence equally well, and no
    # structure has two names.
    naming, labels = name(mixed)
    assert naming.shift_posterior[0] == pytest.approx(0.5, abs=0.01)
    assert named(naming) in (spine, run_of("L4/L5", "T11"))
    for s in range(1, SLICES):
        assert np.array_equal(labels[s], labels[0])
    assert "levels" in kinds_of(naming)
    three_to_one = np.where(np.arange(SLICES)[:, None, None, None] > 0, right, off)
    assert named(name(three_to_one)[0]) == spine


def test_two_shifts_that_are_equally_likely():
    spine = run_of("L4/L5", "L1")
    said = [{i: 0.5, TABLE.column[TABLE.column.index(i) + 2]: 0.5} for i in spine]
    naming, _ = name(draw([TABLE[i].kind for i in spine], said))
    (first, p), (second, q) = sorted(naming.shift_posterior.items(), key=lambda item: -item[1])[:2]
    assert {first, second} in ({0, 1}, {0, -1})
    assert p == pytest.approx(0.5, abs=1e-3)
    assert q == pytest.approx(0.5, abs=1e-3)
    assert all(c == pytest.approx(0.5, abs=0.01) for c in naming.levels.values())


def test_nothing_said_about_names_is_a_flat_posterior():
    spine = run_of("L4/L5", "L1")  # 8 structures; no sacrum in view
    every = {kind: dict.fromkeys(TABLE.of_kind(kind), 1 / 9) for kind in ("body", "disc")}
    model = NamingModel(Prices(evidence=1.0, offset=0.1, floor=0.01, outside=2.0))
    naming, _ = name(draw([TABLE[i].kind for i in spine], [every[TABLE[i].kind] for i in spine]), model)
    within = sorted(naming.shift_posterior.values())[-6:]
    # The lowest disc may be L5/S ... T11/T12 (or T10/T11 with one body beyond the table): equally likely.
    assert max(within) - min(within) < 0.02
    assert max(naming.shift_posterior.values()) < 0.2
    assert {"levels", "sacrum"} <= kinds_of(naming)


def test_the_posterior_is_the_product_of_the_evidence():
    # Three structures, each with 0.8 for its name and 0.2 for the name one level up. For infinite volumes the
    # odds of "all one higher" would be (0.2 / 0.8) ** 3; volumes v count v / (v + 500 mm3).
    spine = ids("L3/L4", "L3", "L2/L3")
    said = [{i: 0.8, TABLE.column[TABLE.column.index(i) + 2]: 0.2} for i in spine]
    naming, _ = name(draw([TABLE[i].kind for i in spine], said))
    volumes = [SLICES * 4 * 30 * high for high in (DISC_MM, BODY_MM, DISC_MM)]
    odds = np.prod([(0.2 / 0.8) ** (v / (v + 500)) for v in volumes])
    assert named(naming) == spine
    assert naming.shift_posterior[1] / naming.shift_posterior[0] == pytest.approx(odds, rel=0.02)


def test_evidence_is_the_temperature_of_the_posterior():
    spine = ids("L3/L4", "L3", "L2/L3")
    said = [{i: 0.8, TABLE.column[TABLE.column.index(i) + 2]: 0.2} for i in spine]
    drawn = draw([TABLE[i].kind for i in spine], said)
    ratios = []
    for evidence in (1.0, 0.5):
        model = NamingModel(Prices(evidence=evidence, offset=1e-9, floor=1e-9))
        found = name(drawn, model)[0].shift_posterior
        ratios.append(np.log(found[1] / found[0]))
    assert ratios[1] == pytest.approx(ratios[0] / 2, rel=1e-3)


def test_a_network_that_is_off_as_a_whole_is_never_trusted_beyond_that():
    spine = run_of("L5/S", "T12")
    naming, _ = name(draw(*sure(spine)), NamingModel(Prices(evidence=1.0, offset=0.2)))
    assert named(naming) == spine
    # 0.8 for "as named"; 0.2 is shared by one to three levels either way as 1 : 0.4 : 0.16. Truths two levels
    # below and more are impossible: L5/S would lie within the sacrum. One level below, two structures do.
    share = 0.2 / (2 * (1 + 0.4 + 0.16))
    below = np.exp(-2 * 3.0)
    total = 0.8 + share * (below + 1 + 0.4 + 0.16)
    assert naming.shift_posterior[0] == pytest.approx(0.8 / total, abs=1e-4)
    assert naming.shift_posterior[-1] == pytest.approx(below * share / total, abs=1e-4)
    assert naming.shift_posterior[2] == pytest.approx(0.4 * share / total, abs=1e-4)


def test_the_sacrum_outweighs_names_that_are_off():
    # The network sees the sacrum, and calls the discs and bodies above it one level too high, without much
    # conviction.
    true = run_of("S", "T12")
    said = [{TABLE["S"].id: 1.0}]
    for i in true[1:]:
        higher = TABLE.column[TABLE.column.index(i) + 2]
        said.append({higher: 0.52, i: 0.48})
    drawn = draw([TABLE[i].kind for i in true], said)
    naming, _ = name(drawn)
    assert named(naming) == true
    ends = Grid(1.0, 4.0, (0, EDGE - 41))  # as if the picture ended where the sacrum begins
    without, _ = name(drawn, options=NamingOptions.without("sacrum"), grid=ends)
    assert named(without) == run_of("L4/L5", "T11")
    assert "sacrum" in kinds_of(without)


def test_a_sacrum_whose_wings_rise_beside_the_lowest_disc_lies_below_it():
    spine = run_of("S", "L2")
    drawn = draw(*sure(spine))
    top = 310 - 30  # of the sacrum; the disc on it is 8 mm high
    for side in (0, -1):  # the outer slices
        wing = drawn[side, :, top - 8 : top, 20:45]
        wing[:] = np.log(1e-9)
        wing[TABLE["S"].id] = 0.0
    naming, _ = name(drawn)
    assert named(naming) == spine
    assert not kinds_of(naming) & {"dropped", "sacrum"}


def test_s1_that_was_taken_for_l5_in_some_slices_is_sacrum_in_all():
    # Half of the slices see S1 as sacrum, the other half a disc and a body below the lowest ones. The names
    # above fit as they stand and one level lower equally well; the sacrum that reaches up to them decides.
    seen = run_of("L5/S", "T12")
    lower = [seen[0], seen[1], *seen]
    said = [{i: 0.5, low: 0.5} for i, low in zip(seen, lower, strict=False)]
    drawn = draw(["sacrum", *(TABLE[i].kind for i in seen)], [{TABLE["S"].id: 1.0}, *said])
    s1 = slice(310 - 30 - DISC_MM - BODY_MM, 310 - 30)
    drawn[::2, :, s1, 20:50] = np.log(1e-9)
    drawn[::2, TABLE["S"].id, s1, 20:50] = 0.0
    naming, labels = name(drawn)
    assert named(naming) == [1, 1, 1, *run_of("L5/S", "L1")]
    assert (labels[:, s1, 20:50] == TABLE["S"].id).all()
    # against it stands the price of a sacrum that is none, 5 nats less the share of 1.5 ml in its 22.08;
    # against what is said the price of a sacral body, 3 nats, its disc included
    assert naming.shift_posterior[0] == pytest.approx(1 / (1 + np.exp(3 - 5 * 22.08 / 23.58)), abs=0.005)
    assert "dropped" not in kinds_of(naming)


def test_a_disc_that_dips_behind_a_steep_sacrum_stands_on_it():
    spine = run_of("S", "L2")
    drawn = draw(*sure(spine))
    behind = slice(310 - 30 - 11, 310 - 30)  # of the disc, 8 mm high, and of the body on it
    drawn[:, :, behind, 42:50] = np.log(1e-9)
    drawn[:, TABLE["S"].id, behind, 42:50] = 0.0
    small = Grid(1.0, 0.6, (0, 309))  # a cut sacrum of 3 ml
    naming, _ = name(drawn, grid=small)
    assert named(naming) == spine
    assert "dropped" not in kinds_of(naming)


def test_a_column_is_counted_from_a_whole_sacrum_or_not_surely():
    spine = run_of("S", "L1")
    drawn = draw(*sure(spine))
    assert "bottom" not in kinds_of(name(drawn)[0])  # in full: 30 mm high
    ends = {mm: Grid(1.0, 4.0, (0, 310 - 30 + mm - 1)) for mm in (0, 12, 26)}
    for mm, grid in ends.items():
        cut = drawn.copy()
        cut[:, :, 310 - 30 + mm :] = np.log(1e-9)
        cut[:, 0, 310 - 30 + mm :] = 0.0
        naming, _ = name(cut, grid=grid)
        said = [flag for flag in naming.flags if flag.kind == "bottom"]
        if mm == 26:  # more than a body, which is 24 mm high here
            assert not said
        else:
            assert list(said[0].ids) == ids("S" if mm else "L5/S")
            assert ("5.8 ml" if mm else "ends 0 mm below") in said[0].message
    ends_in_sight = draw(*sure(run_of("L5/S", "L1")), lowest=EDGE - 80)
    assert "bottom" not in kinds_of(name(ends_in_sight)[0])
    begins_higher, _ = name(draw(*sure(run_of("L4", "T12"))))
    said = [flag for flag in begins_higher.flags if flag.kind == "bottom"]
    assert said[0].message == "neither S nor L5/S was seen: the levels can't be counted from below"


def test_a_sacrum_that_was_dropped_is_not_in_the_label_map():
    # The network is sure of its names, and calls sacrum what lies where L3 and L2/L3 would be
    spine = run_of("L5/S", "T11")
    at = [spine.index(i) for i in ids("L3", "L2/L3")]
    said = [{i: 1.0} for i in spine]
    kinds = [TABLE[i].kind for i in spine]
    drawn = draw(kinds, said, missing=at)
    room = slice(310 - (2 * 8 + 24 * 2 + 8) - 24 - 8, 310 - (2 * 8 + 24 * 2 + 8))
    drawn[:, :, room, 20:50] = np.log(1e-9)
    drawn[:, TABLE["S"].id, room, 20:50] = 0.0
    naming, labels = name(drawn)
    assert {"dropped", "sacrum"} <= kinds_of(naming)
    assert TABLE["S"].id not in labels


def test_a_column_that_ends_within_the_picture_ends_at_the_sacrum():
    # No sacrum was learnt, the names are a level too high by 0.52 to 0.48. Two pitches and a half of picture
    # lie below: if the names were right, L5/S, L5 and L4/L5 would be there to be seen.
    true = run_of("L5/S", "T12")
    said = [{TABLE.column[TABLE.column.index(i) + 2]: 0.52, i: 0.48} for i in true]
    drawn = draw([TABLE[i].kind for i in true], said, lowest=EDGE - 80)
    assert named(name(drawn)[0]) == true
    cut = Grid(1.0, 4.0, (0, EDGE - 81))
    assert named(name(drawn, grid=cut)[0]) == run_of("L4/L5", "T11")


def test_a_disc_that_was_not_seen_leaves_its_place_free():
    spine = run_of("L5/S", "T12")
    at = spine.index(TABLE["L2/L3"].id)
    naming, labels = name(draw(*sure(spine), missing=[at]))
    assert named(naming) == [i for i in spine if i != TABLE["L2/L3"].id]
    (gap,) = [f for f in naming.flags if f.kind == "gap"]
    assert gap.ids == (TABLE["L2/L3"].id,)
    assert TABLE["L2/L3"].id not in labels


def test_a_body_and_its_discs_that_were_not_seen_are_counted_by_the_distance():
    # Names say nothing; the gap is 24 + 2 * 8 mm wide, a pitch is 32 mm: one body and two discs are missing.
    spine = run_of("L5/S", "T11")
    gone = [spine.index(i) for i in ids("L3/L4", "L3", "L2/L3")]
    every = {kind: dict.fromkeys(TABLE.of_kind(kind), 1 / 9) for kind in ("body", "disc")}
    said = [every[TABLE[i].kind] for i in spine]
    said[0] = {spine[0]: 1.0}
    naming, _ = name(draw([TABLE[i].kind for i in spine], said, missing=gone))
    assert named(naming) == [i for n, i in enumerate(spine) if n not in gone]


def test_two_bodies_in_one_piece_are_cut_where_the_disc_was_missed():
    spine = run_of("L5/S", "T12")
    logits = draw(*sure(spine))
    disc = TABLE["L2/L3"].id
    where = logits[:, disc] > np.log(0.5)
    for identity, p in ((disc, 0.3), (TABLE["L3"].id, 0.4), (TABLE["L2"].id, 0.3)):
        logits[:, identity][where] = np.log(p)  # a body by the sum of its names
    naming, labels = name(logits)
    assert named(naming) == [i for i in spine if i != disc]
    rows = np.flatnonzero((labels == TABLE["L3"].id).any(axis=(0, 2)))
    true = np.flatnonzero((draw(*sure(spine)).argmax(axis=1) == TABLE["L3"].id).any(axis=(0, 2)))
    assert rows.max() == true.max()
    assert true.min() - DISC_MM <= rows.min() <= true.min()  # the cut lies within the missed disc
    whole, _ = name(logits, options=NamingOptions.without("split"))
    assert len(whole.elements) == len(naming.elements) - 1
    assert "merged" in kinds_of(whole)


def paint(logits, identity, rows, columns=slice(20, 50)):
    """Let the network be sure of one structure in a box."""
    logits[:, :, rows, columns] = np.log(1e-9)
    logits[:, identity, rows, columns] = 0.0


def topped(disc_columns):
    """A column that ends in a T10 16 mm high, a disc of 5 mm that may be narrow, and the lowest 6 mm of T9,
    which the picture cuts; the network calls what goes around the disc and lies above it T10, too. Both
    bodies together are hardly higher than L5.
    """
    spine = run_of("L5/S", "T10/T11")
    logits = draw(*sure(spine))
    low = 310 - BODY_MM * sum(TABLE[i].kind == "body" for i in spine)
    low -= DISC_MM * sum(TABLE[i].kind == "disc" for i in spine)
    t10, disc = ids("T10", "T9/T10")
    paint(logits, t10, slice(low - 27, low))
    paint(logits, disc, slice(low - 21, low - 16), disc_columns)
    return spine, logits, Grid(pixel_mm=1.0, slice_mm=4.0, rows=(low - 27, EDGE - 1)), low


def test_a_sliver_above_the_highest_disc_is_no_part_of_the_body_below_it():
    spine, logits, grid, low = topped(slice(24, 46))
    naming, labels = name(logits, NamingModel(), grid=grid)
    assert named(naming) == [*spine, *ids("T10", "T9/T10", "T9")]
    assert (labels[:, low - 27 : low - 21, 20:50] == TABLE["T9"].id).all()
    assert (labels[:, low - 16 : low, 20:50] == TABLE["T10"].id).all()
    naming, _ = name(logits, NamingModel(), NamingOptions.without("split"), grid)
    assert named(naming) == [*spine, *ids("T10", "T9/T10")]


def test_a_disc_that_bulges_into_a_body_does_not_divide_it():
    _, logits, grid, low = topped(slice(24, 34))  # 10 of 30 mm: a node, not a disc
    naming, labels = name(logits, NamingModel(), grid=grid)
    assert named(naming)[-2:] == ids("T10", "T9/T10")
    assert (labels[:, low - 27 : low - 21, 20:50] == TABLE["T10"].id).all()


def test_two_pieces_side_by_side_are_one_structure():
    spine = run_of("L5/S", "T12")
    logits = draw(*sure(spine))
    disc = TABLE["L1/L2"].id
    logits[:, :, :, 33:36] = np.where(
        (logits[:, disc, :, 33:36] > -1)[:, None], draw([], [])[:, :, :, 33:36], logits[:, :, :, 33:36]
    )
    naming, labels = name(logits)
    assert named(naming) == spine
    assert (labels == disc).sum() == SLICES * DISC_MM * 27
    apart, _ = name(logits, options=NamingOptions.without("join"))
    assert sorted(named(apart)) == sorted([*spine, disc])  # one structure that was found twice


def test_what_lies_above_t9_has_no_name():
    spine = run_of("L3", "T9")
    kinds = [TABLE[i].kind for i in spine] + ["disc", "body"]
    said = [{i: 1.0} for i in spine] + [{TABLE["T9/T10"].id: 1.0}, {TABLE["T9"].id: 1.0}]
    naming, labels = name(draw(kinds, said))
    assert named(naming) == [*spine, UNKNOWN, UNKNOWN]
    assert [e.name for e in naming.unnamed] == ["unnamed disc", "unnamed body"]
    assert (labels == UNKNOWN).sum() == SLICES * 30 * (BODY_MM + DISC_MM)
    (flag,) = [f for f in naming.flags if f.kind == "unnamed"]
    assert flag.message.startswith("1 body and 1 disc above T9")
    assert "T9" in naming.levels
    assert len(naming.levels) == len(spine)


def test_debris_and_what_lies_beside_the_column_is_dropped():
    spine = run_of("L5/S", "T12")
    logits = draw(*sure(spine))
    blob = np.full(22, np.log(1e-9), np.float32)
    blob[TABLE["L2"].id] = 0.0
    logits[:, :, 100:124, 80:88] = blob[None, :, None, None]  # 50 mm behind
    logits[0, :, 50:53, 5:8] = blob[:, None, None]  # 36 mm3
    naming, labels = name(logits)
    assert named(naming) == spine
    assert not labels[:, :, 70:].any()
    assert not labels[:, :, :12].any()
    loose, _ = name(logits, options=NamingOptions.without("fragments", "sequence"))
    assert len(loose.elements) > len(spine)


def test_an_upside_down_column_is_not_believed():
    spine = run_of("L5/S", "T11")
    kinds, said = sure(spine)
    naming, _ = name(draw(kinds[::-1], said[::-1]), NamingModel())
    assert "upside down" in kinds_of(naming)
    assert naming.shift_posterior[0] < 0.9
    assert named(naming) == sorted(named(naming), key=TABLE.column.index)


def test_a_column_that_the_picture_cuts():
    spine = run_of("L4/L5", "L1")
    for lowest, rows, ends in (
        (EDGE, (0, EDGE - 1), ["bottom"]),
        (EDGE - 10, (EDGE - 10 - 4 * (BODY_MM + DISC_MM), EDGE - 1), ["top"]),
        (EDGE - 40, (0, EDGE - 1), []),
    ):
        naming, _ = name(draw(*sure(spine), lowest=lowest), grid=Grid(1.0, 4.0, rows))
        said = [f.message for f in naming.flags if f.kind == "field of view"]
        assert [m.split()[-1] for m in said] == ends


def test_a_picture_higher_than_the_view():
    drawn = draw(*sure(run_of("L5/S", "T11")))
    for unseen_mm, said in ((9.0, False), (120.0, True)):
        naming, _ = name(drawn, grid=Grid(1.0, 4.0, (0, EDGE - 1), unseen_mm=unseen_mm))
        assert [f.message for f in naming.flags if f.kind == "view"] == said * [
            "the picture is higher than the model's view: 120 mm of it, at its upper end, were not looked at"
        ]


def test_names_that_change_along_the_column_are_reported():
    # Below L3/L4 the names say one thing, above it one level more: six lumbar bodies, or one too many found.
    low, high = run_of("L5/S", "L3"), run_of("L3/L4", "L1")
    kinds, said = sure([*low, *high])
    naming, _ = name(draw(kinds, said), NamingModel())
    assert "transitional" in kinds_of(naming)
    assert len(naming.elements) == len(kinds)
    assert "transitional" not in kinds_of(name(draw(*sure(run_of("L5/S", "T12"))), NamingModel())[0])


def test_no_structure_at_all():
    naming, labels = name(draw([], []))
    assert (naming.elements, dict(naming.shift_posterior), dict(naming.levels)) == ((), {}, {})
    assert kinds_of(naming) == {"empty"}
    assert not labels.any()
    assert naming.record() == {
        "levels": {},
        "shift_posterior": {},
        "flags": [{"kind": "empty", "structures": [], "message": "no vertebra and no disc was found"}],
    }


@pytest.mark.parametrize("kind", ["body", "disc"])
def test_a_single_structure(kind):
    one = {"body": TABLE["L3"].id, "disc": TABLE["L3/L4"].id}[kind]
    naming, _ = name(draw([kind], [{one: 1.0}]))
    assert named(naming) == [one]
    assert sum(naming.shift_posterior.values()) == pytest.approx(1)


def test_the_order_of_slices_and_mirrored_slices_change_nothing():
    rng = np.random.default_rng(3)
    spine = run_of("L5/S", "T12")
    said = [{i: 0.6, TABLE.column[TABLE.column.index(i) + 2]: 0.4} for i in spine]
    logits = draw([TABLE[i].kind for i in spine], said) + rng.normal(0, 0.3, (SLICES, 22, EDGE, 90))
    logits = logits.astype(np.float32)
    base, labels = name(logits)
    for order in ([3, 2, 1, 0], [1, 0, 3, 2]):
        other, moved = name(logits[order])
        assert named(other) == named(base)
        assert other.shift_posterior == pytest.approx(base.shift_posterior, abs=1e-3)
        assert np.array_equal(moved, labels[order])


def test_probabilities_sum_to_one_and_lie_between_0_and_1():
    rng = np.random.default_rng(0)
    for _ in range(5):
        spine = run_of("L5/S", "T11")
        said = [
            dict(zip(TABLE.of_kind(TABLE[i].kind), rng.dirichlet(np.ones(9)), strict=True)) for i in spine
        ]
        naming, _ = name(draw([TABLE[i].kind for i in spine], said, slices=1), NamingModel())
        assert sum(naming.shift_posterior.values()) == pytest.approx(1)
        assert all(0 <= e.confidence <= 1 for e in naming.elements)
        assert max(naming.shift_posterior, key=naming.shift_posterior.get) == 0
        order = [TABLE.column.index(e.id) for e in naming.elements if e.id != UNKNOWN]
        assert order == sorted(order)


def test_names_that_were_not_trained_are_given_by_order():
    spine = run_of("L5/S", "T12")
    missing = TABLE["L3"].id
    said = [{i: 1.0} if i != missing else {TABLE["L2"].id: 0.5, TABLE["L4"].id: 0.5} for i in spine]
    naming, _ = name(draw([TABLE[i].kind for i in spine], said), not_trained=[missing])
    assert named(naming) == spine


def test_the_record_has_the_keys_of_the_contract():
    spine = run_of("L4/L5", "L1")
    said = [{i: 0.5, TABLE.column[TABLE.column.index(i) + 2]: 0.5} for i in spine]
    record = name(draw([TABLE[i].kind for i in spine], said))[0].record()
    assert set(record) == {"levels", "shift_posterior", "flags"}
    assert set(record["shift_posterior"]) <= {"0", "+1", "-1"}
    assert sum(record["shift_posterior"].values()) == pytest.approx(1, abs=2e-3)
    assert all(set(flag) == {"kind", "structures", "message"} for flag in record["flags"])


def test_wrong_options_and_prices():
    with pytest.raises(UsageError, match="did you mean 'split'"):
        NamingOptions.without("splits")
    assert NamingOptions.without("split", "join").off == ("split", "join")
    assert NamingOptions.without("all") == NamingOptions(*(False,) * len(fields(NamingOptions)))
    with pytest.raises(UsageError, match="evidence -1 came"):
        Prices(evidence=-1)
    with pytest.raises(UsageError, match="offsets must lie"):
        Prices(offset=0)
    with pytest.raises(UsageError, match="unknown key 'evidense'"):
        Prices.from_dict({"evidense": 1})
    for wrong in ({"price": {}}, {"prices": {"evidence": -1}}, [1], {"shapes": {"mean": 3}}, {"prices": 4}):
        with pytest.raises(InputError, match="what it says about naming can't be used"):
            NamingModel.from_dict(wrong)
    assert NamingModel.from_dict(PLAIN.to_dict()) == PLAIN


def test_structures_are_found_in_order_with_their_size():
    from anatomy.drawn import voxels

    found = find_instances(voxels(draw(*sure(run_of("L5/S", "L2")))), GRID, NamingOptions())
    assert [i.kind for i in found] == ["disc", "body"] * 4
    assert [round(b.at_mm - a.at_mm) for a, b in pairwise(found)] == [16] * 7
    assert all(i.depth_mm == pytest.approx(30, abs=3) for i in found)
    assert not any(i.cut for i in found)
