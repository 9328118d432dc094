"""Real columns: from a perfect answer of a network the names come back; from shapes alone, most of them."""

import numpy as np
import pytest

from cafrnet.anatomy.fitting import structures_of
from cafrnet.anatomy.instances import Grid
from cafrnet.anatomy.kinds import ROW, Voxels
from cafrnet.anatomy.name import name_voxels
from cafrnet.anatomy.prices import NamingModel
from cafrnet.anatomy.sequence import infer
from cafrnet.anatomy.shapes import fit_shapes
from cafrnet.datasets import open_dataset
from cafrnet.inference.assembly import grid_of, model_to_world
from cafrnet.labels import TABLE
from cafrnet.preprocessing import ModelGrid, prepare_truth

pytestmark = pytest.mark.real
#: Scoliosis with collapsed bodies, kyphosis with fractures, fractures, and four that are plain.
CASES = ("Case18", "Case50", "Case241", "Case234", "Case5", "Case45", "Case98", "Case200")


@pytest.fixture(scope="module")
def truths(real_data):
    """Return case -> (ids on the model grid, grid, matrix into the world)."""
    found = {}
    for case in open_dataset(real_data).select(list(CASES)):
        scan = case.read()
        sagittal = scan.frame.to_sagittal(scan.voxels)
        grid = ModelGrid.around(sagittal, scan.frame.spacing_mm[1:], 1.17, 256)
        ids = prepare_truth(case.sets.principal(case.read_truth(scan)), scan, grid)
        found[case.id] = ids, grid_of(scan, grid), model_to_world(scan, grid)
    return found


def perfect(ids: np.ndarray) -> tuple[Voxels, np.ndarray]:
    """Return the voxels of a network that is right everywhere, and their true ids."""
    at = np.argwhere(np.isin(ids, (*ROW["body"], *ROW["disc"])))
    true = ids[tuple(at.T)]
    body = np.isin(true, ROW["body"])
    rank = np.where(body, true - ROW["body"][0], true - ROW["disc"][0])
    names = np.where(np.arange(9) == rank[:, None], np.log(0.9), np.log(0.1 / 8)).astype(np.float16)
    kind = np.where(body, 2, 3).astype(np.uint8)
    return Voxels(at.astype(np.int16), kind, names, np.zeros(len(at), np.float16)), true


def test_a_perfect_answer_is_named_perfectly(truths):
    for case, (ids, grid, to_world) in truths.items():
        voxels, true = perfect(ids)
        naming, named = name_voxels(voxels, grid, to_world, not_trained=[1])
        assert (named == true).mean() > 0.985, case  # debris; two fractured bodies that touch (Case241)
        assert naming.shift_posterior[0] > 0.9, case
        assert set(naming.levels) == {TABLE[int(i)].name for i in np.unique(true)}, case
        assert not {f.kind for f in naming.flags} & {"gap", "merged", "transitional", "upside down"}, case


def test_shapes_of_other_patients_name_most_columns_without_any_name(truths):
    structures = {case: structures_of(ids, grid) for case, (ids, grid, _) in truths.items()}
    right = 0
    for case, own in structures.items():
        others = [pair for other, some in structures.items() if other != case for pair in some]
        model = NamingModel(shapes=fit_shapes(others))
        found = infer([one for one, _ in own], model)
        right += found.places == tuple(place for _, place in own)
    assert right >= 5  # of eight, from seven other patients; chance would name one


def test_a_slice_order_and_a_shifted_window_change_no_name(truths):
    ids, grid, to_world = truths["Case5"]
    voxels, _ = perfect(ids)
    base, named = name_voxels(voxels, grid, to_world)
    turned = Voxels(
        (voxels.at * [-1, 1, 1] + [len(ids) - 1, 3, -2]).astype(np.int16),
        voxels.kind,
        voxels.names,
        voxels.other,
    )
    rows = (grid.rows[0] + 3, grid.rows[1] + 3)
    other, again = name_voxels(turned, Grid(grid.pixel_mm, grid.slice_mm, rows, grid.turn_deg), to_world)
    assert np.array_equal(named, again)
    assert other.shift_posterior == pytest.approx(base.shift_posterior, abs=1e-6)
