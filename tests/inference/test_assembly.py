"""Names on the native grid, and what the segmentation says about them."""

import json
from dataclasses import replace

import nibabel as nib
import numpy as np
import pytest

import cafrnet
from cafrnet.anatomy import NamingOptions
from cafrnet.anatomy.kinds import BODY, DISC, KINDS, by_kind, voxels_of
from cafrnet.cli.main import main
from cafrnet.errors import InputError, UsageError
from cafrnet.inference import load_model, segment_scan
from cafrnet.inference.assemble import DROPPED, native_labels, native_names
from cafrnet.inference.assembly import grid_of, model_to_world
from cafrnet.labels import TABLE, UNKNOWN
from cafrnet.preprocessing import ModelGrid
from cafrnet.preprocessing.picture import picture_rows
from cafrnet.scan import Scan
from handmade import stairs, write_grey_model, write_stairs


def test_kinds_are_sums_over_names():
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 3, (2, 22, 5, 6)).astype(np.float32)
    p = np.exp(logits)
    kinds = np.exp(by_kind(logits))
    assert kinds.shape == (2, len(KINDS), 5, 6)
    assert np.allclose(kinds[:, BODY], p[:, 2:11].sum(axis=1), rtol=1e-4)
    assert np.allclose(kinds[:, DISC], p[:, 11:20].sum(axis=1), rtol=1e-4)
    assert np.allclose(kinds[:, 4:], p[:, 20:], rtol=1e-4)
    assert np.allclose(kinds.sum(axis=1), p.sum(axis=1), rtol=1e-4)
    assert by_kind(logits[:, :20]).shape[1] == 4


def test_a_body_that_two_names_share_is_a_body_with_both_as_evidence():
    p = np.full((1, 22, 1, 1), 1e-3)
    p[0, [0, 2, 3], 0, 0] = 0.4, 0.31, 0.26  # background has the largest single probability
    found = voxels_of(np.log(p), by_kind(np.log(p)), first_slice=7)
    assert found.kind.tolist() == [BODY]
    assert found.at.tolist() == [[7, 0, 0]]
    total = 0.31 + 0.26 + 7e-3
    assert np.exp(found.names[0, :2].astype(float)) == pytest.approx([0.31 / total, 0.26 / total], rel=1e-2)


def test_a_large_logit_does_not_overflow():
    logits = np.full((1, 22, 1, 1), -900.0, np.float32)
    logits[0, 5] = 900
    kinds = by_kind(logits)
    assert np.isfinite(kinds).all()
    assert kinds[0, BODY, 0, 0] == 900


def test_names_come_from_the_nearest_structure_of_the_kind():
    grid = ModelGrid((1, 80, 80), (0.5, 0.5), 1.0, 32, 8.0, 8.0)
    logits = np.zeros((6, 32, 32), np.float32)
    logits[0] = 1.0
    logits[BODY, 4:12, 8:20], logits[DISC, 12:15, 8:20], logits[BODY, 15:22, 8:20] = 3.0, 3.0, 3.0
    kinds = native_labels(logits, grid)
    named = np.zeros((2, 32, 32), np.uint8)
    named[0, 4:12, 8:20], named[1, 12:15, 8:20], named[0, 15:22, 8:20] = 3, 12, UNKNOWN
    labels = native_names(kinds, named, grid)
    assert set(np.unique(labels)) == {0, 3, 12, UNKNOWN}
    assert np.array_equal(np.isin(labels, (3, UNKNOWN)), kinds == BODY)
    assert np.array_equal(labels == 12, kinds == DISC)
    named[named == UNKNOWN] = DROPPED
    dropped = native_names(kinds, named, grid)
    assert np.array_equal(dropped == 3, labels == 3)
    assert not dropped[labels == UNKNOWN].any()


def test_what_belongs_to_no_structure_is_background_and_the_rest_has_its_own_id():
    grid = ModelGrid((1, 32, 32), (1.0, 1.0), 1.0, 32, 0.0, 0.0)
    kinds = np.arange(32, dtype=np.uint8)[None].repeat(32, axis=0) % len(KINDS)
    labels = native_names(kinds, np.zeros((2, 32, 32), np.uint8), grid)
    assert labels[0, :6].tolist() == [0, 1, 0, 0, 20, 21]


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1)])
@pytest.mark.parametrize("flips", [(1, 1, 1), (-1, 1, -1)])
def test_the_model_grid_lies_in_the_world_as_the_scan_does(order, flips, model):
    image, _, affine = stairs()
    image = image.transpose(order)[tuple(slice(None, None, f) for f in flips)]
    change = np.zeros((4, 4))
    change[3, 3] = 1
    for new, (old, flip) in enumerate(zip(order, flips, strict=True)):
        change[old, new], change[old, 3] = flip, 0 if flip == 1 else image.shape[new] - 1
    found = segment_scan(Scan(image, affine @ change), model)
    straight = segment_scan(Scan(*stairs()[::2]), model)
    for a, b in zip(found.naming.elements, straight.naming.elements, strict=True):
        assert a.id == b.id
        assert a.centre_mm == pytest.approx(b.centre_mm, abs=1e-6)
        assert a.confidence == pytest.approx(b.confidence)
    # the body L3: truth voxels' centre of gravity in the world
    truth = np.argwhere(stairs()[1] == TABLE["L3"].id)
    centre = (affine @ [*truth.mean(axis=0), 1])[:3]
    (l3,) = [e for e in found.naming.elements if e.name == "L3"]
    assert l3.centre_mm == pytest.approx(tuple(centre), abs=1e-6)


def test_tilts_are_those_of_the_world():
    image, _, affine = stairs()
    grid = ModelGrid.around(np.zeros((5, 48, 32)) + np.eye(32)[0], (2.0, 2.0), 2.0, 64)
    assert grid_of(Scan(image, affine), grid).turn_deg == pytest.approx(0)
    c, s = np.cos(np.radians(20)), np.sin(np.radians(20))
    nod = np.array([[1, 0, 0, 0], [0, c, -s, 0], [0, s, c, 0], [0, 0, 0, 1]])  # forward axis turns upwards
    turned = Scan(image, nod @ affine)
    assert grid_of(turned, grid).turn_deg == pytest.approx(20)
    assert model_to_world(turned, grid)[:3, :3] == pytest.approx(
        (nod @ model_to_world(Scan(image, affine), grid))[:3, :3]
    )


def test_the_record_and_the_option_on_the_command_line(grey_model, tmp_path, capsys):
    scan = write_stairs(tmp_path / "in/a.nii.gz")
    base = ["segment", str(scan), "--model", str(grey_model), "-q", "--threads", "1"]
    assert main([*base, "-o", str(tmp_path / "all")]) == 0
    record = json.loads((tmp_path / "all/a.json").read_text())
    assert set(record["levels"]) == {"L5", "L4", "L3", "L2", "L1", "L5/S", "L4/L5", "L3/L4", "L2/L3", "L1/L2"}
    assert sum(record["shift_posterior"].values()) == pytest.approx(1, abs=2e-3)
    assert isinstance(record["flags"], list)
    assert "without" not in record["options"]
    assert main([*base, "-o", str(tmp_path / "some"), "--without", "split", "--without", "join"]) == 0
    assert json.loads((tmp_path / "some/a.json").read_text())["options"]["without"] == ["split", "join"]
    assert main([*base, "-o", str(tmp_path / "none"), "--without", "all"]) == 0
    record = json.loads((tmp_path / "none/a.json").read_text())
    assert "levels" not in record
    assert np.array_equal(
        np.asarray(nib.load(tmp_path / "none/a_seg.nii.gz").dataobj),
        np.asarray(nib.load(tmp_path / "all/a_seg.nii.gz").dataobj),
    )
    assert main([*base, "-o", str(tmp_path / "bad"), "--without", "splits"]) == 2
    assert "did you mean 'split'" in capsys.readouterr().err
    assert not (tmp_path / "bad").exists()


def test_a_model_carries_what_was_fitted_for_it(tmp_path):
    fitted = {"prices": {"evidence": 0.7}, "fitted_on": {"cases": 3}}
    model = load_model(write_grey_model(tmp_path / "run", metadata={"naming": fitted}), threads=1)
    assert model.naming.prices.evidence == 0.7
    assert model.naming.fitted_on == {"cases": 3}
    wrong = write_grey_model(tmp_path / "bad", metadata={"naming": {"price": {}}})
    with pytest.raises(InputError, match=r"model.onnx: .*unknown key 'price'"):
        load_model(wrong)


def test_steps_can_be_left_out_from_python(grey_model):
    image, labels, affine = stairs()
    options = NamingOptions.without("all")
    found = cafrnet.segment(image, affine=affine, model=grey_model, threads=1, postprocessing=options)
    assert found.naming is None
    assert np.array_equal(found.labels, labels)
    assert "levels" not in found.record()


def test_one_name_where_the_network_changes_it_within_a_body(model):
    image, labels, affine = stairs()
    grey = image.copy()
    l3 = np.argwhere(labels == TABLE["L3"].id)
    front = l3[l3[:, 0] > np.median(l3[:, 0])]
    grey[tuple(front.T)] = 10 + 10 * TABLE["L2"].id  # the front of L3 looks like L2
    raw = segment_scan(Scan(grey, affine), replace(model, postprocessing=NamingOptions.without("all")))
    assert (raw.labels[tuple(l3.T)] == TABLE["L2"].id).any()
    found = segment_scan(Scan(grey, affine), model)
    assert np.array_equal(found.labels, labels)


def test_relabel_in_the_front_door(grey_model, tmp_path):
    scan = write_stairs(tmp_path / "a.nii.gz")
    found = cafrnet.segment(scan, model=grey_model, threads=1)
    found.save(tmp_path / "a_seg.nii.gz")
    done = cafrnet.relabel(tmp_path / "a_seg.nii.gz", tmp_path / "fixed", shift=1)
    assert (done.shift, done.lost) == (1, ())
    moved = np.asarray(nib.load(done.job.labels).dataobj)
    assert np.array_equal(moved == TABLE["L2"].id, found.labels == TABLE["L3"].id)
    at = np.argwhere(found.labels == TABLE["L3"].id)[10].tolist()
    done = cafrnet.relabel(tmp_path / "a_seg.nii.gz", tmp_path / "again", anchors={"L4": at}, voxel=True)
    assert done.shift == -1
    with pytest.raises(UsageError, match="shift or an anchor"):
        cafrnet.relabel(tmp_path / "a_seg.nii.gz", tmp_path / "x")
    with pytest.raises(UsageError, match="2 numbers came for L5"):
        cafrnet.relabel(tmp_path / "a_seg.nii.gz", tmp_path / "x", anchors={"L5": (1, 2)})
    with pytest.raises(InputError, match="no such file"):
        cafrnet.relabel(tmp_path / "none.nii.gz", tmp_path / "x", shift=1)


def test_a_dark_end_is_no_picture():
    rng = np.random.default_rng(0)
    rows = np.full((5, 60, 64), 20.0)
    rows[:, 10:50] += 100 * np.linspace(0, 1, 64)  # grey from front to back
    assert picture_rows(rows) == (10, 49)  # padding above the minimum
    rows[0, 0, 0] = 0.0
    assert picture_rows(rows) == (10, 49)
    assert picture_rows(rows + rng.normal(0, 5, rows.shape)) == (10, 49)  # noise is no picture
    rows[:, 50:] = 20 + 0.08 * (rows[:, 49:50] - 20)  # beyond the reach of a coil
    assert picture_rows(rows) == (10, 49)
    stripes = np.broadcast_to(np.arange(60.0)[:, None], (5, 60, 64))
    assert picture_rows(stripes) == (0, 59)


def test_a_column_that_ends_where_the_signal_does_is_cut():
    voxels = np.zeros((5, 256, 128), np.int16)
    voxels[:, :, :64] = 100  # bright in front
    grid = ModelGrid((5, 256, 128), (1.0, 1.0), 1.0, 256, 0.0, 0.0)
    whole = Scan(voxels, np.array([[4.0, 0, 0, 0], [0, 0, -1, 0], [0, -1, 0, 0], [0, 0, 0, 1]]))
    assert grid_of(whole, grid).rows == (0, 255)
    voxels[:, 180:] = 1
    dark = Scan(voxels, whole.affine)
    assert grid_of(dark, grid).rows == (0, 179)


def test_what_lies_above_the_view_is_measured():
    voxels = np.broadcast_to(np.arange(64, dtype=np.int16) + 1, (5, 200, 64)).copy()  # 200 mm of picture
    scan = Scan(voxels, np.array([[4.0, 0, 0, 0], [0, 0, -1, 0], [0, -1, 0, 0], [0, 0, 0, 1]]))
    grid = ModelGrid.around(scan.frame.to_sagittal(scan.voxels), (1.0, 1.0), 1.0, 128)
    seen = grid_of(scan, grid)
    assert (seen.rows, seen.pixel_mm) == ((0, 127), 1.25)
    assert seen.unseen_mm == pytest.approx(200 - 128 * 1.25, abs=1.25)
    fits = ModelGrid.around(scan.frame.to_sagittal(scan.voxels), (1.0, 1.0), 1.0, 192)
    assert grid_of(scan, fits).unseen_mm < 1.1
