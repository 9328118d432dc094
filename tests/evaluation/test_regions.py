import numpy as np
import pytest

from cafrnet.evaluation import evaluate_arrays
from cafrnet.evaluation.regions import regions_of, within
from cafrnet.evaluation.sets import annotated
from cafrnet.evaluation.signal import Pool, Signal, Thresholds, signal_of
from cafrnet.labels import ValueSets

from .drawn import ids

SPACING_MM = (4.0, 1.0, 1.0)
IDS = annotated(ValueSets.identity())
LOW, HIGH = 10, 26  # columns of the drawn structures
L5, DISC, L4 = ids("L5", "L4/L5", "L4")


def drawn() -> tuple[np.ndarray, np.ndarray]:
    """Two bodies with a disc between, and their image. Axes: slice, row (caudally), column (to the back).

    L4: bright on a dark ground, speckled. L5: as dark as the ground but for 2 %, even.
    """
    truth = np.zeros((3, 70, 40), np.uint8)
    truth[:, 10:26, LOW:HIGH] = L4
    truth[:, 26:34, LOW:HIGH] = DISC
    truth[:, 34:50, LOW:HIGH] = L5
    image = np.full(truth.shape, 100.0)
    speckle = np.indices(truth.shape).sum(axis=0) % 2
    image[truth == L4] = 900 + 80 * speckle[truth == L4]
    image[truth == DISC] = 500 + 60 * speckle[truth == DISC]
    image[truth == L5] = 120
    image[:, -1, -1] = 0  # something darker than the ground, as everywhere outside a patient
    return truth, image


def signal(truth: np.ndarray, image: np.ndarray) -> Signal:
    return signal_of(image, truth, IDS, SPACING_MM, axis=0)


def full(found: Signal, mask: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Put a cropped mask back."""
    out = np.zeros(shape, bool)
    out[found.box] = mask
    return out


def test_low_contrast_is_the_even_bodys_outline():
    truth, image = drawn()
    found = signal(truth, image)
    low = next(r for r in regions_of(found, IDS, found.own_thresholds()) if r.name == "low contrast")
    points = full(found, low.points, truth.shape)
    assert points.any()
    # not the disc's, and of L5 not where it touches the disc: there the signal jumps
    assert set(np.unique(truth[points])) == {L5}
    assert np.argwhere(points)[:, 1].min() > 34
    band = full(found, low.band, truth.shape)
    assert band[1, 45, LOW - 2]  # 2 mm in front of L5's wall
    assert not band[1, 45, LOW - 3]


def test_junctions_lie_where_body_meets_disc():
    truth, image = drawn()
    found = signal(truth, image)
    region = next(r for r in regions_of(found, IDS, found.own_thresholds()) if r.name == "junction")
    band = full(found, region.band, truth.shape)
    # outlines that face each other across a border lie within 2 mm of it: rows 24-27 and 32-35; 3 mm around
    rows = np.flatnonzero(band[1, :, (LOW + HIGH) // 2])
    assert {25, 26, 33, 34} <= set(rows)
    assert rows.min() >= 24 - 3
    assert rows.max() <= 35 + 3
    assert not band[1, 12].any()
    assert not band[1, 48].any()


def test_homogeneous_is_the_even_bodys_inside():
    truth, image = drawn()
    found = signal(truth, image)
    region = next(r for r in regions_of(found, IDS, found.own_thresholds()) if r.name == "homogeneous")
    band = full(found, region.band, truth.shape)
    assert set(np.unique(truth[band])) == {L5}
    inside = np.zeros_like(band)
    inside[:, 37:47, LOW + 3 : HIGH - 3] = True  # at least 2.5 mm from the outline voxels, in whole voxels
    assert (band == inside).all()
    assert not region.points.any()


def test_named_structures_and_canal_wall():
    truth, image = drawn()
    names = [r.name for r in regions_of(signal(truth, image), IDS, Thresholds(0.1, 0.1))]
    assert names == ["low contrast", "L5", "L4", "junction", "homogeneous"]
    truth[:, 10:50, 29:34] = 20
    found = signal(truth, image)
    wall = next(r for r in regions_of(found, IDS, Thresholds(None, None)) if r.name == "canal wall")
    assert wall.ids == (20,)
    assert full(found, wall.points, truth.shape).sum() == 3 * (40 * 5 - 38 * 3)


def test_within_measures_in_mm():
    mask = np.zeros((5, 9, 9), bool)
    mask[2, 4, 4] = True
    near = within(mask, 2.0, (4.0, 1.0, 0.5))
    assert near.sum() == near[2].sum()  # the next slice is 4 mm away
    assert np.flatnonzero(near[2, 4]).tolist() == list(range(9))  # 4 steps of 0.5 mm each way
    assert np.flatnonzero(near[2, :, 4]).tolist() == [2, 3, 4, 5, 6]


def test_perfect_prediction_has_no_error():
    truth, image = drawn()
    case = evaluate_arrays(truth, truth, SPACING_MM, sagittal_axis=0, image=image)
    assert [r.region for r in case.regions] == ["low contrast", "L5", "L4", "junction", "homogeneous"]
    for region in case.regions:
        assert region.error_rate == 0
        if region.region != "homogeneous":
            assert region.truth_to_pred_max_mm == region.pred_to_truth_max_mm == 0
            assert region.truth_points > 0


def test_an_error_shows_in_its_region_alone():
    truth, image = drawn()
    pred = truth.copy()
    pred[:, 48:50, LOW:HIGH] = 0  # the lower 2 mm of L5 are lost
    case = evaluate_arrays(truth, pred, SPACING_MM, sagittal_axis=0, image=image)
    found = {r.region: r for r in case.regions}
    assert found["L4"].error_rate == found["junction"].error_rate == found["homogeneous"].error_rate == 0
    assert found["L5"].truth_to_pred_max_mm == 2
    assert found["L5"].pred_to_truth_max_mm == 2  # the new lower outline is two rows inside the true one
    assert found["low contrast"].truth_to_pred_max_mm == 2
    band = within(truth == L5, 2, SPACING_MM) & ~(truth == L5)
    lost = 3 * 2 * (HIGH - LOW)
    outer, inner = band.sum(), 3 * (16 * 16 - 10 * 10)  # the band reaches 2 voxels behind the outline voxels
    assert found["L5"].error_rate == pytest.approx(lost / (outer + inner))


def test_missed_structure_is_counted_and_penalised():
    truth, image = drawn()
    pred = np.where(truth == L5, 0, truth)
    case = evaluate_arrays(truth, pred, SPACING_MM, sagittal_axis=0, image=image)
    found = next(r for r in case.regions if r.region == "L5")
    assert found.truth_points == found.truth_points_missed == 3 * (16 * 16 - 14 * 14)
    assert found.truth_to_pred_mean_mm is None
    diagonal_mm = np.linalg.norm(np.multiply(truth.shape, SPACING_MM))
    assert found.truth_to_pred_penalised_mm == pytest.approx(diagonal_mm)


def test_ignored_voxels_are_left_out():
    truth, image = drawn()
    truth[:, 34:50, LOW:HIGH] = np.where(np.indices((3, 16, 16))[1] > 12, 255, L5)
    pred = np.where(truth == 255, 7, truth)
    case = evaluate_arrays(truth, pred, SPACING_MM, sagittal_axis=0, image=image)
    assert {r.error_rate for r in case.regions} == {0}


def test_thresholds_are_pooled_over_cases():
    truth, image = drawn()
    clear = image.copy()
    clear[truth == L5] = 700
    pool = Pool()
    alone = [signal(truth, i).own_thresholds() for i in (image, clear)]
    for one in (image, clear):
        pool.add(signal(truth, one))
    pooled = pool.thresholds()
    assert alone[0].contrast_per_mm < pooled.contrast_per_mm < alone[1].contrast_per_mm


def test_pool_agrees_with_the_quantile():
    truth, image = drawn()
    image = image + np.random.default_rng(0).normal(0, 30, image.shape)
    found = signal(truth, image)
    limits = found.own_thresholds()
    values = found.contrast_per_mm[found.outline]
    assert limits.contrast_per_mm == pytest.approx(np.quantile(values, 0.25, method="inverted_cdf"), abs=2e-5)
    values = found.deviation[found.interior]
    assert limits.deviation == pytest.approx(np.quantile(values, 0.25, method="inverted_cdf"), abs=2e-5)


def test_gain_and_offset_of_the_image_change_nothing():
    truth, image = drawn()
    one = evaluate_arrays(truth, truth, SPACING_MM, sagittal_axis=0, image=image)
    other = evaluate_arrays(truth, truth, SPACING_MM, sagittal_axis=0, image=3 * image + 50)
    assert one.regions == other.regions


def test_where_the_field_of_view_ends_there_is_no_boundary():
    truth, image = drawn()
    found = signal(truth, image)
    cut = signal(truth[:, 14:], image[:, 14:])  # the upper 4 mm of L4 are out of view
    assert full(found, found.outline, truth.shape)[:, 10, LOW:HIGH].all()
    assert not full(cut, cut.outline, truth[:, 14:].shape)[:, 0].any()
    assert full(cut, cut.outline, truth[:, 14:].shape)[:, 1:12, LOW].all()


def test_empty_truth_has_no_regions():
    truth, image = drawn()
    empty = np.zeros_like(truth)
    assert evaluate_arrays(empty, empty, SPACING_MM, sagittal_axis=0, image=image).regions == ()
    assert Pool().thresholds() == Thresholds(None, None)
