import numpy as np
import pytest

from cafrnet.errors import InputError, UsageError
from cafrnet.evaluation import evaluate_arrays
from cafrnet.evaluation.levels import move
from cafrnet.evaluation.scores import DISTANCES, METRICS, OVERLAPS, PENALISED
from cafrnet.labels import SCHEMES, ValueSets

from .drawn import column, ids

SPINE = ids("L5/S", "L5", "L4/L5", "L4", "L3/L4", "L3")
SPACING_MM = (4.0, 1.0, 1.0)


def by_id(case, *, after_shift=False):
    return {row.id: row for row in (case.rows_after_shift if after_shift else case.rows)}


def test_perfect():
    truth = column(*SPINE)
    case = evaluate_arrays(truth, truth, SPACING_MM, sagittal_axis=0)
    assert [row.id for row in case.rows] == sorted(SPINE)
    assert {row.status for row in case.rows} == {"found"}
    assert {row.level for row in case.rows} == {"right"}
    for metric in METRICS:
        assert case.mean(metric) == (1.0 if metric in OVERLAPS else 0.0)
    assert by_id(case)[2].truth_mm3 == 3 * 4 * 6 * 4.0
    assert by_id(case)[2].over_segmentation == 0
    assert by_id(case)[2].components == by_id(case)[2].truth_components == 1


def test_shifted_by_one_column():
    # each block is 6 columns wide: 5 of 6 agree
    truth = column(*SPINE)
    case = evaluate_arrays(truth, np.roll(truth, 1, axis=2), SPACING_MM)
    for row in case.rows:
        assert row.dsc == pytest.approx(5 / 6)
        assert row.iou == pytest.approx(5 / 7)
        assert (row.hd_mm, row.hd95_mm, row.nsd_1mm) == (1, 1, 1)
        assert row.over_segmentation == pytest.approx(1 / 6)
    assert case.mean("dsc") == pytest.approx(5 / 6)


def test_missed_and_invented():
    truth = column(*SPINE)
    pred = np.where(truth == 3, 0, truth)
    pred[:, :2, :2] = 1  # S is nowhere in the truth, and lies below its highest structure
    case = evaluate_arrays(truth, pred, SPACING_MM)
    diagonal_mm = np.linalg.norm(np.multiply(truth.shape, SPACING_MM))
    for identity, status in ((3, "missed"), (1, "invented")):
        row = by_id(case)[identity]
        assert row.status == status
        assert [getattr(row, m) for m in OVERLAPS] == [0] * 4
        assert [getattr(row, m) for m in DISTANCES] == [None] * 3
        assert [getattr(row, m) for m in PENALISED] == pytest.approx([diagonal_mm] * 3)
    assert by_id(case)[1].over_segmentation is None
    assert by_id(case)[3].level == "missing"
    assert case.mean("dsc") == pytest.approx(5 / 7)  # 5 of the 6 true ones are perfect, 7 are scored
    assert case.mean("hd_mm") == 0  # over those found
    assert case.mean("hd_penalised_mm") == pytest.approx(2 / 7 * diagonal_mm)


def test_no_prediction_is_all_missed():
    truth = column(*SPINE)
    case = evaluate_arrays(truth, None, SPACING_MM, sagittal_axis=0)
    assert case.no_prediction
    assert {row.status for row in case.rows} == {"missed"}
    assert case.mean("dsc") == 0
    assert case.mean("hd_mm") is None
    assert set(case.slices) == {0, 1, 2}


def test_nothing_on_either_side():
    empty = np.zeros((3, 8, 8), np.uint8)
    case = evaluate_arrays(empty, empty, SPACING_MM, sagittal_axis=0)
    assert case.rows == ()
    assert case.mean("dsc") is None
    assert case.slices == {}


def test_empty_truth_with_a_prediction_is_invented():
    empty = np.zeros(column(*SPINE).shape, np.uint8)
    case = evaluate_arrays(empty, column(*SPINE), SPACING_MM)
    assert {row.status for row in case.rows} == {"invented"}


def test_beyond_the_labelled_range():
    truth = column(*SPINE, 0, 0)  # two empty places above L3
    pred = column(*SPINE, *ids("L2/L3", "L2"))
    case = evaluate_arrays(truth, pred, SPACING_MM, sagittal_axis=0)
    beyond = [by_id(case)[i] for i in ids("L2/L3", "L2")]
    assert [row.status for row in beyond] == ["beyond"] * 2
    assert beyond[0].dsc is None
    assert beyond[0].pred_mm3 == 3 * 4 * 6 * 4.0
    assert case.mean("dsc") == 1
    assert {row.id for rows in case.slices.values() for row in rows} == set(SPINE)


def test_a_high_id_over_marked_structures_is_invented():
    truth = column(*SPINE)
    pred = truth.copy()
    pred[:, :, 6:][truth[:, :, 6:] == ids("L3")[0]] = ids("L2")[0]
    assert by_id(evaluate_arrays(truth, pred, SPACING_MM))[ids("L2")[0]].status == "invented"


def test_below_the_labelled_range_is_invented():
    truth = column(0, 0, *ids("L4", "L3/L4", "L3"))
    pred = column(*ids("L5", "L4/L5", "L4", "L3/L4", "L3"))
    assert by_id(evaluate_arrays(truth, pred, SPACING_MM))[2].status == "invented"


def test_after_a_whole_column_shift_the_boundaries_are_right():
    truth = column(*SPINE)
    case = evaluate_arrays(truth, move(truth, 1), SPACING_MM)
    assert case.mean("dsc") == 0
    assert case.levels.shift == 1
    assert {row.dsc for row in case.rows_after_shift} == {1.0}
    assert {row.level for row in case.rows_after_shift} == {"right"}
    assert {row.level for row in case.rows if row.level} == {"shift"}


def test_whole_vertebra_truth_takes_bodies_with_posterior_elements():
    sets = SCHEMES["spinemri"].sets
    truth = column(2, width=10)
    pred = truth.copy()
    pred[:, :, 8:14][truth[:, :, 8:14] > 0] = 21
    case = evaluate_arrays(truth, pred, SPACING_MM, sets=sets)
    assert [(row.id, row.status, row.dsc) for row in case.rows] == [(2, "found", 1.0)]
    all_posterior = np.where(truth > 0, 21, 0)
    case = evaluate_arrays(truth, all_posterior, SPACING_MM, sets=sets)
    assert [(row.id, row.status, row.dsc) for row in case.rows] == [(2, "missed", 0.0)]


def test_sacrum_that_nobody_marked_gets_no_score():
    sets = ValueSets({**ValueSets.identity().values, 0: (0, 1)})
    truth = column(0, *SPINE)
    case = evaluate_arrays(truth, column(1, *SPINE), SPACING_MM, sets=sets)
    assert 1 not in by_id(case)
    assert case.mean("dsc") == 1


def test_canal_is_reported_apart():
    truth = column(*SPINE)
    truth[:, 4:-4, -3:] = 20
    pred = np.where(truth == 20, 0, truth)
    case = evaluate_arrays(truth, pred, SPACING_MM)
    assert by_id(case)[20].dsc == 0
    assert case.mean("dsc") == 1
    assert case.mean("dsc", (20,)) == 0


def test_slices_are_scored_each_on_its_own():
    truth = column(*SPINE)
    pred = truth.copy()
    pred[0] = 0  # nothing in the first slice
    pred[1] = np.roll(truth[1], 1, axis=1)  # the second shifted by one column
    case = evaluate_arrays(truth, pred, SPACING_MM, sagittal_axis=0)
    dsc = {k: {row.dsc for row in rows} for k, rows in case.slices.items()}
    assert dsc == {0: {0.0}, 1: {2 * 5 / 12}, 2: {1.0}}
    assert {row.status for row in case.slices[0]} == {"missed"}
    assert {row.hd_mm for row in case.slices[1]} == {1.0}
    diagonal_mm = np.hypot(*truth.shape[1:])
    assert case.slices[0][0].hd_penalised_mm == pytest.approx(diagonal_mm)


def test_the_order_of_axes_does_not_matter():
    truth = column(*SPINE)
    pred = np.roll(truth, (1, 1), axis=(1, 2))
    one = evaluate_arrays(truth, pred, SPACING_MM, sagittal_axis=0)
    turned = [np.moveaxis(a, 0, 2)[::-1] for a in (truth, pred)]
    other = evaluate_arrays(*turned, (1.0, 1.0, 4.0), sagittal_axis=2)
    assert one.rows == other.rows
    assert one.slices == other.slices


def test_fragmentation():
    truth = column(2)
    pred = truth.copy()
    pred[:, :, 6] = 0  # cut in two
    pred[0, 0, 0] = 2  # and a stray voxel
    row = evaluate_arrays(truth, pred, SPACING_MM).rows[0]
    assert (row.components, row.truth_components) == (3, 1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"pred": np.zeros((3, 4, 4), np.uint8)}, "shape"),
        ({"spacing_mm": (1, 0, 1)}, "positive"),
        ({"spacing_mm": (1, np.nan, 1)}, "positive"),
        ({"truth": np.zeros((4, 4), np.uint8)}, "three axes"),
        ({"truth": np.zeros((4, 4, 4), np.float32)}, "integers"),
        ({"pred": np.zeros((4, 4, 4), np.float32)}, "integers"),
        ({"pred": np.full((4, 4, 4), 77, np.uint8)}, "77"),
        ({"truth": np.full((4, 4, 4), 77, np.uint8)}, "77"),
        ({"image": np.ones((4, 4, 4)), "sagittal_axis": 0}, "one value"),
        ({"image": np.full((4, 4, 4), np.nan), "sagittal_axis": 0}, "finite"),
    ],
)
def test_bad_input(change, message):
    zeros = np.zeros((4, 4, 4), np.uint8)
    given = {"truth": zeros, "pred": zeros, "spacing_mm": (1, 1, 1), **change}
    with pytest.raises(InputError, match=message):
        evaluate_arrays(**given)


def test_image_without_an_axis():
    zeros = np.zeros((4, 4, 4), np.uint8)
    with pytest.raises(UsageError, match="sagittal_axis"):
        evaluate_arrays(zeros, zeros, (1, 1, 1), image=np.random.default_rng(0).normal(size=(4, 4, 4)))
