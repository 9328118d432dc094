"""Triage: hand-made columns whose verdict is known, and the sums behind predicted Dice."""

import re
from dataclasses import replace

import numpy as np
import pytest

from cafrnet.anatomy import Flag
from cafrnet.anatomy.naming import Named, Naming
from cafrnet.errors import InputError
from cafrnet.inference import load_model, segment_scan
from cafrnet.inference.calibration import Calibration, Thresholds
from cafrnet.inference.plausibility import MEASURES, measure, outside, signal_to_noise
from cafrnet.inference.probabilities import calibrated
from cafrnet.inference.triage import judge, outline_dice
from cafrnet.inference.watch import Watch
from cafrnet.labels import TABLE
from cafrnet.phantom.strange import STRANGE, strange_scan
from cafrnet.preprocessing import ModelGrid
from cafrnet.scan import Scan
from handmade import stairs, write_grey_model

BODIES = TABLE.of_kind("body")


def evidence(level: float) -> tuple[float, ...]:
    """Log-probabilities that peak at a level (0 = L5)."""
    p = np.maximum(1 - np.abs(np.arange(9) - level), 1e-6)
    return tuple(np.log(p / p.sum()))


def straight(bodies: int = 5, pitch: float = 36.0, sure: float = 0.99, **more) -> Naming:
    """L5/S and bodies L5, L4 ... straight above each other, 26 mm high, each a tenth smaller than before."""
    column = (
        Named(BODIES[k], "body", sure, (0.0, 0.0, k * pitch), evidence(k), 1e4 * 0.9**k, 26.0)
        for k in range(bodies)
    )
    elements = (Named(11, "disc", sure, (0.0, 0.0, -pitch / 2)), *column)
    levels = {e.name: e.confidence for e in elements}
    return Naming(elements, {0: sure, 1: 1 - sure}, levels, **more)


KNOWN = Calibration(
    ranges={"pitch_mm": (30.0, 40.0), "bodies": (4.0, 9.0), "tilt_deg": (0.0, 10.0)},
    thresholds=Thresholds(
        level_pass=0.95, dice_pass=0.8, dice_structure=0.5, range_margin=0.1, range_fail=1.0
    ),
)
GOOD = {"pitch_mm": 36.0, "bodies": 5.0, "tilt_deg": 2.0}


def outlines(naming, dice=0.9):
    return {e.name: dice for e in naming.elements if e.kind == "body"}


def test_a_column_as_usual_passes_without_a_reason():
    found = judge(straight(), outlines(straight()), GOOD, KNOWN)
    assert (found.verdict, found.reasons) == ("pass", ())
    assert found.predicted_dice == pytest.approx(dict.fromkeys(["L5", "L4", "L3", "L2", "L1"], 0.9 * 0.99))


def test_no_spine_fails_and_says_how_much_there_was():
    for bodies in (0, 1):
        column = straight(bodies) if bodies else Naming()
        found = judge(column, {}, {}, KNOWN)
        assert found.verdict == "fail"
        assert found.reasons == (f"no spine: vertebral bodies found: {bodies}, expected: 2 or more",)


def test_each_doubt_alone_is_a_review_with_its_numbers():
    fine = straight()
    doubts = [
        (straight(sure=0.62), outlines(fine, 1.0), GOOD, r"0\.620, 0\.950 .*\(\+1\) has 0\.380"),
        (fine, {**outlines(fine, 1.0), "L3": 0.3}, GOOD, r"below 0\.50: L3 0\.30"),
        (fine, outlines(fine, 0.7), GOOD, r"mean predicted Dice of the outlines is 0\.70, 0\.80"),
        (fine, outlines(fine), {**GOOD, "pitch_mm": 42.0}, r"every 42\.0 mm, 30\.0 to 40\.0 mm is usual"),
        (straight(flags=(Flag("gap", (), "L3 is missing"),)), outlines(fine), GOOD, "^L3 is missing$"),
    ]
    for naming, dice, measures, words in doubts:
        found = judge(naming, dice, measures, KNOWN)
        assert found.verdict == "review", words
        assert len(found.reasons) == 1
        (reason,) = found.reasons
        assert re.search(words, reason), reason


def test_what_only_describes_a_scan_is_no_doubt():
    flags = tuple(Flag(kind, (), kind) for kind in ("sacrum", "unnamed", "field of view"))
    assert judge(straight(flags=flags), outlines(straight()), GOOD, KNOWN).verdict == "pass"


def test_what_has_to_be_measurable_and_is_not_is_a_doubt():
    two = {"bodies": 4.0, "tilt_deg": 2.0}
    found = judge(straight(), outlines(straight()), two, KNOWN)
    assert (found.verdict, found.reasons) == (
        "review",
        ("could not be measured: the distance of vertebrae",),
    )


def test_nothing_passes_by_a_calibration_of_other_steps():
    found = judge(straight(), outlines(straight()), GOOD, KNOWN, off=("sequence", "join"))
    assert found.verdict == "review"
    assert found.reasons[0].startswith("steps of post-processing are off (sequence, join)")


def test_every_limit_of_the_model_that_ships_can_be_passed():
    known = load_model().calibration
    least = {"bodies": 2.0, "snr": 3.0, "width_mm": 4.0, "column_share": 0.02, "height_mm": 60.0}
    for name, value in least.items():
        assert outside({name: value}, known.ranges, known.thresholds.range_margin), name
    for name, (low, _) in known.ranges.items():  # and what the model knows is within all of them
        assert not outside({name: low}, known.ranges, known.thresholds.range_margin), name


def test_far_outside_what_is_known_fails_and_the_gravest_reason_comes_first():
    strange = {**GOOD, "pitch_mm": 18.0, "bodies": 10.0}
    found = judge(straight(), outlines(straight()), strange, KNOWN)
    assert found.verdict == "fail"
    assert [r.split()[0] for r in found.reasons] == ["vertebrae", "vertebral"]
    assert judge(straight(), outlines(straight(), 0.3), GOOD, KNOWN).verdict == "fail"


def test_how_a_scan_was_made_never_fails_it_alone():
    known = replace(KNOWN, ranges={"slice_mm": (1.8, 1.8), "snr": (50.0, 300.0)})
    found = judge(straight(), outlines(straight()), {"slice_mm": 9.0, "snr": 0.1}, known)
    assert (found.verdict, len(found.reasons)) == ("review", 2)


def test_a_model_whose_names_were_never_sure_enough_passes_nothing():
    known = replace(KNOWN, thresholds=replace(KNOWN.thresholds, level_pass=1.0))
    found = judge(straight(sure=1.0), outlines(straight(), 1.0), GOOD, known)
    assert found.verdict == "review"
    assert "never sure enough" in found.reasons[0]


def test_a_model_that_was_never_calibrated_passes_nothing():
    found = judge(straight(sure=1.0), outlines(straight(), 1.0), GOOD, None)
    assert found.verdict == "review"
    assert found.reasons == ("the model was never calibrated: how far it can be trusted is not known",)


def test_margins_are_shares_of_the_width_and_one_sided_measures_have_one_side():
    def off(name, value, margin=0.1):
        return bool(outside({name: value}, {name: (10.0, 20.0)}, margin))

    # 10 / 2 ** 0.1 = 9.33: below, widths are ratios; 20 + 0.1 * 10 above
    assert [off("pitch_mm", v) for v in (9.3, 9.4, 15, 20.9, 21.1)] == [True, False, False, False, True]
    assert [off("snr", v) for v in (8.0, 1000.0)] == [True, False]
    wide = {"snr": (10.0, 160.0)}  # 16-fold, a quarter of it 2-fold
    assert [bool(outside({"snr": v}, wide, 0.25)) for v in (4.9, 5.1, 0.0)] == [True, False, True]
    assert [off("entropy", v) for v in (0.0, 22.0)] == [False, True]
    assert not outside({"pitch_mm": 99.0}, {}, 0.1)  # nothing is known of it
    narrow = outside({"slice_mm": 2.0}, {"slice_mm": (1.8, 1.8)}, 0.1)  # a width of 0.18 is taken
    assert [round(off, 2) for _, off, _ in narrow] == [1.11]


# ---- measures


def scan_of(voxels=None) -> Scan:
    affine = np.array([[0, 0, 4.0, 0], [-0.5, 0, 0, 0], [0, 0.5, 0, 0], [0, 0, 0, 1.0]])
    if voxels is None:
        voxels = np.random.default_rng(0).integers(0, 99, (40, 60, 5))
    return Scan(voxels, affine)


GRID = ModelGrid((5, 60, 40), (0.5, 0.5), 1.0, 32, 0.0, 0.0)


def measured(naming):
    return measure(naming, Watch(22), scan_of(), GRID)


def test_measures_of_a_column_drawn_by_hand():
    found = measured(straight(6, pitch=36.0))
    assert found["bodies"] == 6
    assert found["pitch_mm"] == 36
    assert found["pitch_spread"] == found["turn_deg"] == found["tilt_deg"] == 0
    assert found["taper"] == pytest.approx(0.9, abs=1e-3)
    assert found["order"] == pytest.approx(1, abs=1e-3)
    assert (found["pixel_mm"], found["slice_mm"], found["width_mm"], found["height_mm"]) == (0.5, 4, 20, 30)


def test_a_column_that_leans_turns_and_is_named_against_its_order():
    ahead = [(0.0, 30.0 * k, 40.0 * k) for k in range(4)]  # 3, 4, 5: 50 mm apart, leaning by atan(3/4)
    up = [(0.0, 90.0, 120.0 + 50.0 * k) for k in range(1, 3)]
    elements = tuple(
        Named(BODIES[k], "body", 1.0, at, evidence(5 - k), 1e4 * 1.2**k, 30.0)
        for k, at in enumerate([*ahead, *up])
    )
    found = measured(Naming(elements))
    assert found["pitch_mm"] == pytest.approx(50)
    assert found["turn_deg"] == pytest.approx(np.degrees(np.arctan(0.75)), abs=0.01)
    assert found["tilt_deg"] == pytest.approx(np.degrees(np.arctan2(90, 220)), abs=0.01)
    assert found["order"] == pytest.approx(-1, abs=1e-3)
    assert found["taper"] == pytest.approx(1.2, abs=1e-3)


@pytest.mark.parametrize("flipped", [False, True])
def test_a_picture_that_is_turned_leans_though_the_patient_does_not(flipped):
    c, s = 0.4, 0.3  # pixels of 0.5 mm; the picture's upper end is turned to the front
    affine = np.array([[0, 0, 4.0, 0], [-c, s, 0, 0], [s, c, 0, 0], [0, 0, 0, 1.0]])
    scan = scan_of()
    if flipped:
        affine[:, 1] *= -1
    turned = measure(straight(6), Watch(22), Scan(scan.voxels, affine), GRID)
    assert turned["tilt_deg"] == pytest.approx(np.degrees(np.arctan2(3, 4)), abs=0.01)
    assert measured(straight(6))["tilt_deg"] == 0


def test_what_cannot_be_measured_is_absent():
    assert not {"pitch_mm", "taper", "order", "entropy", "canal_behind_mm"} & set(measured(straight(2)))
    assert set(measured(straight(6))) <= set(MEASURES)


@pytest.mark.parametrize(("sigma", "gain"), [(2.0, 1), (5.0, 1), (5.0, 30)])
def test_signal_to_noise_of_noise_that_was_put_in(sigma, gain):
    ramp = 100 + np.linspace(0, 40, 200)[None, :, None] * np.ones((3, 1, 200))
    noisy = gain * (ramp + np.random.default_rng(1).normal(0, sigma, ramp.shape))
    noisy[:, :, :20] = 0  # no picture there
    bright = gain * 130  # the upper half of 100 to 140 is 130 on average
    assert signal_to_noise(noisy) == pytest.approx(bright / (gain * sigma), rel=0.1)


def test_signal_to_noise_without_noise_or_without_room_is_not_told():
    assert signal_to_noise(np.ones((2, 10, 10)) * np.arange(10)) is None
    assert signal_to_noise(np.zeros((2, 2, 2))) is None


# ---- sums over voxels


def logits_of(p: np.ndarray) -> np.ndarray:
    return np.log(np.maximum(p, 1e-30)).astype(np.float32)


def picture(voxels: dict[int, dict[int, float]]) -> np.ndarray:
    """[1, 22, 1, 8] logits: background, but pixel x has the probabilities given by id."""
    p = np.zeros((1, 22, 1, 8))
    p[:, 0] = 1.0
    for x, shares in voxels.items():
        p[0, 0, 0, x] = 1 - sum(shares.values())
        for identity, share in shares.items():
            p[0, identity, 0, x] = share
    return logits_of(p)


def watched(logits) -> Watch:
    watch = Watch(logits.shape[1])
    watch.add(np.ones((len(logits), *logits.shape[2:])), logits)
    return watch


def test_soft_dice_by_hand():
    # L5 predicted in two pixels with 0.9 and 0.6, seen with 0.3 in a third: 2 * 1.5 / (2 + 1.8)
    watch = watched(picture({0: {2: 0.9}, 1: {2: 0.6}, 2: {2: 0.3}}))
    assert watch.soft_dice[2] == pytest.approx(3.0 / 3.8, rel=1e-4)
    assert (watch.column, watch.picture) == (2, 8)


def test_a_body_that_may_be_either_of_two_levels_has_a_clear_outline_all_the_same():
    watch = watched(picture({x: {2: 0.5, 3: 0.5} for x in range(4)}))
    assert watch.soft_dice[[2, 3]] == pytest.approx([1, 1], abs=1e-4)
    assert watch.mean_entropy == pytest.approx(np.log(2) / np.log(22), rel=1e-3)


def test_outlines_follow_the_names_that_the_network_saw():
    watch = watched(picture({0: {2: 1.0}, 1: {2: 1.0}, 4: {3: 0.6}}))  # L5 perfect; L4 2 * 0.6 / (1 + 0.6)
    bodies = [e for e in straight(2).elements if e.kind == "body"]
    seen_as_l5, seen_as_l4 = (replace(e, id=4 + k, evidence=evidence(k)) for k, e in enumerate(bodies))
    found = outline_dice(Naming((seen_as_l5, seen_as_l4)), watch)
    assert found == pytest.approx({"L3": 1.0, "L2": 0.75}, abs=1e-3)


def test_the_canal_behind_the_bodies_counts_as_positive():
    p = np.zeros((1, 22, 4, 8))
    p[:, 0] = 1.0
    p[:, :, :, 1:4], p[:, :, :, 5:8] = 0.0, 0.0
    p[:, 2, :, 1:4] = 1.0
    p[:, 20, :, 5:8] = 1.0
    assert watched(logits_of(p)).canal_behind == pytest.approx(4)
    assert watched(logits_of(p[..., ::-1])).canal_behind == pytest.approx(-4)
    assert watched(picture({0: {2: 1.0}})).canal_behind is None


def test_slices_add_up_in_any_grouping():
    rng = np.random.default_rng(2)
    logits = rng.normal(0, 3, (6, 22, 8, 8)).astype(np.float32)
    at_once, one_by_one = Watch(22), Watch(22)
    at_once.add(np.ones((6, 8, 8)), logits)
    for one in logits[:, None]:
        one_by_one.add(np.ones((1, 8, 8)), one)
    np.testing.assert_allclose(at_once.soft_dice, one_by_one.soft_dice, rtol=1e-5)
    assert at_once.mean_entropy == pytest.approx(one_by_one.mean_entropy)


def test_calibrated_probabilities_sum_to_one_and_temperature_one_is_the_softmax():
    logits = np.random.default_rng(3).normal(0, 5, (22, 50)).astype(np.float32)
    p, kinds = calibrated(logits, 1.0, 1.0)
    e = np.exp(logits.astype(np.float64))
    np.testing.assert_allclose(p, e / e.sum(axis=0), rtol=1e-3, atol=1e-6)
    for names, whole in ((0.5, 3.0), (4.0, 0.7)):
        p, kinds = calibrated(logits, names, whole)
        np.testing.assert_allclose(p.sum(axis=0), 1, rtol=1e-4)
        np.testing.assert_allclose(p[2:11].sum(axis=0), kinds[2], rtol=1e-3, atol=1e-6)


def test_each_temperature_touches_its_own_factor_only():
    logits = np.random.default_rng(4).normal(0, 2, (20, 50)).astype(np.float32)
    _, kinds = calibrated(logits, 1.0, 1.0)
    _, same = calibrated(logits, 5.0, 1.0)
    np.testing.assert_allclose(kinds, same, rtol=1e-5)
    p, k = calibrated(logits, 2.0, 1.0)
    q, m = calibrated(logits, 2.0, 3.0)
    np.testing.assert_allclose(p[2:11] / k[2], q[2:11] / m[2], rtol=1e-3)


# ---- a model's calibration, and strange scans through a model made by hand


def test_a_calibration_survives_its_own_dictionary():
    assert Calibration.from_dict(KNOWN.to_dict()) == KNOWN


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        ([1], "a list"),
        ({"version": 1, "temprature": 1}, "did you mean 'temperature'"),
        ({"version": 9}, "version 9"),
        ({}, "version None"),
        ({"version": 1, "temperature": -1}, "temperatures"),
        ({"version": 1, "temperature": "warm"}, "damaged"),
        ({"version": 1, "ranges": {"snr": [5, 1]}}, "range 5.0 to 1.0"),
        ({"version": 1, "thresholds": {"level": 1}}, "unknown key 'level'"),
    ],
)
def test_a_damaged_calibration_is_an_error_that_names_the_model(tmp_path, raw, words):
    run = write_grey_model(tmp_path / "run", metadata={"calibration": raw})
    with pytest.raises(InputError, match=words) as error:
        load_model(run)
    assert "model.onnx" in str(error.value)


@pytest.fixture(scope="module")
def sure_model(model):
    """The model that reads grey values, calibrated on the one scan that it knows."""
    image, _, affine = stairs()
    sharp = replace(model, calibration=Calibration(kind_temperature=0.2))
    known = segment_scan(Scan(image, affine), sharp)
    ranges = {k: (v - 0.1 * abs(v), v + 0.1 * abs(v)) for k, v in known.triage.measures.items()}
    lines = Thresholds(level_pass=0.9)
    return replace(model, calibration=Calibration(kind_temperature=0.2, ranges=ranges, thresholds=lines))


def test_the_scan_that_the_model_knows_passes(sure_model, stairs_scan):
    found = segment_scan(stairs_scan, sure_model)
    assert (found.triage.verdict, found.triage.reasons) == ("pass", ())
    record = found.record()
    assert (record["triage"], record["reasons"]) == ("pass", [])
    assert set(record["predicted_dice"]) == set(record["levels"]) | {"S"}


@pytest.mark.parametrize("kind", [k for k, s in STRANGE.items() if not s.may_pass])
def test_no_strange_scan_passes(sure_model, kind):
    image, labels, affine = stairs()
    scan = strange_scan(kind, 5, (Scan(image, affine), labels))
    found = segment_scan(scan, sure_model)
    assert found.triage.verdict in ("review", "fail")
    assert all(reason and reason[-1] not in ".," for reason in found.triage.reasons)


def test_without_post_processing_it_is_a_review(sure_model, stairs_scan):
    from cafrnet.anatomy.options import NamingOptions

    found = segment_scan(stairs_scan, replace(sure_model, postprocessing=NamingOptions.without("all")))
    assert found.triage.verdict == "review"
    assert found.record()["reasons"] == ["post-processing is off: the level names were not checked"]


def test_a_doubtful_bottom_never_passes_and_a_harmless_flag_does():
    def verdict(*flags: Flag) -> tuple[str, tuple[str, ...]]:
        elements = tuple(Named(i, TABLE[i].kind, 0.99, (0.0, 0.0, 0.0), ()) for i in (2, 12, 3))
        naming = Naming(elements, {0: 0.99}, {e.name: 0.99 for e in elements}, flags)
        said = judge(naming, {e.name: 0.95 for e in elements}, {}, Calibration())
        return said.verdict, said.reasons

    assert verdict(Flag("sacrum", (1,), "no sacrum")) == ("pass", ())
    assert verdict(Flag("bottom", (), "no bottom")) == ("review", ("no bottom",))
