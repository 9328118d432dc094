"""Whole vertebrae drawn with bodies in front and processes behind: the cut must give the bodies back."""

import nibabel as nib
import numpy as np
import pytest

from cafrnet.evaluation import evaluate_arrays
from cafrnet.evaluation.common import bodies_of_prediction, bodies_of_truth, posterior_part
from cafrnet.labels import SCHEMES
from cafrnet.scan import sagittal_frame

from .drawn import ids, sagittal_affine

SPACING_MM = (4.0, 1.0, 1.0)
SPINE = ids("L5/S", "L5", "L4/L5", "L4", "L3/L4", "L3")  # L3 on top has one disc only
FRAME = sagittal_frame(sagittal_affine(SPACING_MM), (5, 130, 130))


def vertebrae(tilt_deg: float = 0.0, slices: int = 5) -> tuple[np.ndarray, np.ndarray]:
    """Return whole vertebrae and the mask of their processes, with axes slice, row, column.

    Along the column bodies are 12 mm, discs 6 mm high; both 20 mm deep; processes 14 mm behind bodies.
    The outermost slices hold pedicles and no disc.
    """
    row, col = np.mgrid[0:130, 0:130].astype(float)
    angle = np.radians(tilt_deg)
    up = (95 - row) * np.cos(angle) + (col - 60) * np.sin(angle)  # mm above the lower edge of L5/S
    back = (col - 60) * np.cos(angle) - (95 - row) * np.sin(angle)  # mm behind the posterior wall
    whole, process = np.zeros((130, 130), np.uint8), np.zeros((130, 130), bool)
    lower = 0.0
    for identity in SPINE:
        tall = 6 if identity >= 11 else 12
        level = (up >= lower) & (up < lower + tall)
        whole[level & (back > -20) & (back <= 0)] = identity
        if identity < 11:
            behind = level & (up >= lower + 3) & (back > 0) & (back <= 14)
            whole[behind], process = identity, process | behind
        lower += tall
    volume, processes = np.repeat(whole[None], slices, 0), np.repeat(process[None], slices, 0)
    for outermost in (0, -1):
        volume[outermost][volume[outermost] >= 11] = 0
    return volume, processes


@pytest.mark.parametrize("tilt_deg", [0, 20, -25])
def test_the_cut_gives_the_bodies_back(tilt_deg):
    whole, processes = vertebrae(tilt_deg)
    behind, left_whole = posterior_part(whole, FRAME)
    assert left_whole == ()
    bodies = np.where(processes, 0, whole)
    cut = np.where(behind, 0, whole)
    for identity in ids("L5", "L4", "L3"):
        for s in range(len(whole)):  # lateral slices without discs and the top vertebra included
            a, b = bodies[s] == identity, cut[s] == identity
            assert 2 * (a & b).sum() / (a.sum() + b.sum()) > 0.97
    assert not behind[whole >= 11].any()


def test_straight_column_is_cut_exactly():
    whole, processes = vertebrae(0)
    assert (posterior_part(whole, FRAME)[0] == processes).all()


def test_any_axis_order_gives_the_same_cut():
    whole, _ = vertebrae(20)
    expected = posterior_part(whole, FRAME)[0]
    image = nib.Nifti1Image(whole, sagittal_affine(SPACING_MM))
    for codes in ("LPS", "ASR", "SLA", "RAI"):
        ornt = nib.orientations.ornt_transform(
            nib.io_orientation(image.affine), nib.orientations.axcodes2ornt(codes)
        )
        turned = image.as_reoriented(ornt)
        array = np.asarray(turned.dataobj)
        behind = posterior_part(array, sagittal_frame(turned.affine, array.shape))[0]
        back = nib.Nifti1Image(behind.astype(np.uint8), turned.affine).as_reoriented(
            nib.orientations.ornt_transform(
                nib.io_orientation(turned.affine), nib.io_orientation(image.affine)
            )
        )
        assert (np.asarray(back.dataobj) == expected).all()


def test_prediction_of_whole_vertebrae_against_a_truth_of_bodies():
    whole, processes = vertebrae(20)
    truth = np.where(processes, 21, whole)
    assert evaluate_arrays(truth, whole, SPACING_MM).mean("dsc") < 0.9
    bodies, _ = bodies_of_prediction(whole, FRAME)
    case = evaluate_arrays(truth, bodies, SPACING_MM)
    assert case.mean("dsc") > 0.98
    assert next(row for row in case.rows if row.id == 21).dsc > 0.95


def test_truth_of_whole_vertebrae_against_a_prediction_of_bodies():
    whole, processes = vertebrae(20)
    bodies = np.where(processes, 0, whole)
    sets = SCHEMES["spinemri"].sets
    assert evaluate_arrays(whole, bodies, SPACING_MM, sets=sets).mean("dsc") < 0.9
    values, cut_sets, left_whole = bodies_of_truth(whole, sets, FRAME)
    assert left_whole == ()
    assert cut_sets.values[2] == (2,)
    case = evaluate_arrays(values, bodies, SPACING_MM, sets=cut_sets)
    assert case.mean("dsc") > 0.98
    with_processes = evaluate_arrays(values, np.where(processes, 21, bodies), SPACING_MM, sets=cut_sets)
    assert with_processes.mean("dsc") == pytest.approx(case.mean("dsc"))  # either is right there
    assert 21 not in {row.id for row in with_processes.rows}


def test_a_body_that_eats_its_processes_is_still_wrong_after_the_cut():
    whole, _ = vertebrae(0)
    values, cut_sets, _ = bodies_of_truth(whole, SCHEMES["spinemri"].sets, FRAME)
    case = evaluate_arrays(values, whole, SPACING_MM, sets=cut_sets)
    assert next(row for row in case.rows if row.id == 2).over_segmentation > 0.4


def test_a_sliver_of_a_disc_draws_no_line():
    whole, processes = vertebrae(0)
    disc = ids("L4/L5")[0]
    columns = np.flatnonzero((whole[1] == disc).any(axis=0))
    whole[1][:, columns[6] :][whole[1][:, columns[6] :] == disc] = 0  # 6 of 20 columns are left
    behind, _ = posterior_part(whole, FRAME)
    assert (behind == (processes & (whole > 0))).all()


def test_without_discs_a_vertebra_is_left_whole_and_named():
    whole, _ = vertebrae(0)
    whole[whole >= 11] = 0
    behind, left_whole = posterior_part(whole, FRAME)
    assert not behind.any()
    assert left_whole == ids("L5", "L4", "L3")
    _, sets, _ = bodies_of_truth(whole, SCHEMES["spinemri"].sets, FRAME)
    assert sets.values[2] == (2, 21)


def test_the_sacrum_is_never_cut():
    whole, _ = vertebrae(0)
    whole[:, 100:110, 40:90] = 1
    assert not posterior_part(whole, FRAME)[0][whole == 1].any()
