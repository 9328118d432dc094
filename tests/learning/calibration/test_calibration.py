"""Calibration: what is fitted is what was put in, and a calibrated run says so itself."""

import csv
import json
import shutil
from dataclasses import replace

import nibabel as nib
import numpy as np
import pytest

pytest.importorskip("torch", reason="the 'train' extra is not installed")

from cafrnet.anatomy import Naming
from cafrnet.cli.main import main
from cafrnet.errors import UsageError
from cafrnet.inference import load_model
from cafrnet.inference.calibration import Calibration, Thresholds
from cafrnet.inference.triage import Triage
from cafrnet.labels import TABLE
from cafrnet.learning.calibration import calibrate, store
from cafrnet.learning.calibration.fit import dice_line, known_ranges, passes, thresholds
from cafrnet.learning.calibration.temperature import fit_temperatures, negative_log_likelihood, reliability
from cafrnet.learning.calibration.trials import Trial
from cafrnet.learning.calibration.variants import LEAST_DISCS, crop, degrade, take_rows
from cafrnet.scan import Scan
from handmade import stairs, write_grey_model


def drawn(seed: int, names: float, kinds: float, voxels: int = 20000):
    """Logits whose true temperatures are known: the truth is drawn from them, then they are made too sure."""
    rng = np.random.default_rng(seed)
    name = rng.normal(0, 1.5, (20, voxels))
    for ids in (slice(2, 11), slice(11, 20)):
        name[ids] -= np.log(np.exp(name[ids]).sum(axis=0))
    kind = rng.normal(0, 1.5, (4, voxels))
    groups = [slice(0, 1), slice(1, 2), slice(2, 11), slice(11, 20)]
    truth = np.empty(voxels, int)
    honest, sharp = np.empty((2, 20, voxels))
    for k, ids in enumerate(groups):
        within = name[ids] if ids.stop - ids.start > 1 else np.zeros((1, voxels))
        honest[ids] = kind[k] + within
        hot = within * names
        sharp[ids] = kind[k] * kinds + hot - np.log(np.exp(hot).sum(axis=0))
    p = np.exp(honest - honest.max(axis=0))
    p /= p.sum(axis=0)
    truth = (p.cumsum(axis=0) < rng.random(voxels)).sum(axis=0)
    allowed = np.zeros((20, voxels), bool)
    allowed[np.minimum(truth, 19), np.arange(voxels)] = True
    return sharp.astype(np.float32), allowed


@pytest.mark.parametrize(("names", "kinds"), [(1.0, 1.0), (2.5, 1.0), (1.5, 3.0)])
def test_temperatures_that_were_put_in_come_out(names, kinds):
    logits, allowed = drawn(0, names, kinds)
    found = fit_temperatures(logits, allowed)
    assert found.names == pytest.approx(names, rel=0.06)
    assert found.kinds == pytest.approx(kinds, rel=0.06)
    assert found.nll["after"] <= found.nll["single"] + 1e-6 <= found.nll["before"] + 2e-6
    after = reliability(logits, allowed, found.names, found.kinds)
    assert after.ece < 0.015
    assert after.count.sum() == logits.shape[1]
    if (names, kinds) != (1.0, 1.0):
        assert reliability(logits, allowed).ece > 3 * after.ece


def test_a_set_counts_with_all_of_its_probability():
    p = np.array([[0.5, 0.3, *[0.2 / 18] * 18]]).T
    allowed = np.zeros((20, 1), bool)
    allowed[:2] = True  # background or sacrum
    assert negative_log_likelihood(np.log(p), allowed) == pytest.approx(-np.log(0.8), rel=1e-5)


def trial(sure=0.99, wrong=(), variant="as it is", outline=None, measures=None, verdict="pass"):
    outline = {"L5": (0.9, 0.9)} if outline is None else outline
    soft = {name: pair[0] for name, pair in outline.items()}
    said = Triage(verdict, (), soft, soft, measures or {}, sure)
    dice = {name: pair[1] for name, pair in outline.items()}
    return Trial("a", variant, named(sure), said, tuple(wrong), dice, outline, 5)


def named(sure):
    from cafrnet.anatomy.naming import Named

    bodies = tuple(Named(i, "body", sure, (0.0, 0.0, 30.0 * i), (0.0,) * 9) for i in (2, 3, 4))
    bottom = Named(11, "disc", sure, (0.0, 0.0, 45.0), (0.0,) * 9)
    return Naming((bottom, *bodies), {0: sure, 1: 1 - sure}, {TABLE[i].name: sure for i in (2, 3, 4)})


def test_the_line_of_dice_is_found_and_one_broken_structure_does_not_tilt_it():
    soft = np.linspace(0.5, 1.0, 40)
    trials = [trial(outline={"L5": (s, 0.8 * s + 0.1)}) for s in soft] + [trial(outline={"L5": (0.98, 0.0)})]
    assert dice_line(trials) == pytest.approx((0.8, 0.1), abs=0.01)
    assert dice_line(trials[:3]) == (1.0, 0.0)  # too few to say
    assert dice_line([trial(outline={"L5": (s, 1 - s)}) for s in soft])[0] == 0.0  # never downwards


def test_the_threshold_lies_above_the_surest_mistake():
    right = [trial(s) for s in np.linspace(0.96, 0.9999, 60)]
    start = Calibration(thresholds=Thresholds(level_pass=0.9))
    assert thresholds(right, start).level_pass == 0.9
    least = thresholds([*right, trial(0.985, ["L5"])], start).level_pass
    assert 0.985 < least < 0.993  # half a nat above the surest mistake
    assert thresholds([trial(0.99999, ["L5"])] * 5, start).level_pass == 1.0  # nothing may pass


def test_one_wrong_in_a_hundred_may_pass():
    many = [trial(0.95) for _ in range(150)]
    start = Calibration(thresholds=Thresholds(level_pass=0.9))
    assert thresholds([*many, trial(0.99, ["L5"])], start).level_pass == 0.9
    assert thresholds([*many, trial(0.99, ["L5"]), trial(0.99, ["L5"])], start).level_pass > 0.99


def test_ranges_come_from_scans_that_were_named_rightly():
    known = [trial(measures={"pitch_mm": v, "entropy": 0.01}) for v in (30, 36)]
    unseen = [trial(measures={"pitch_mm": v, "entropy": e}) for v, e in ((33, 0.1), (40, 0.2))]
    wrong = trial(measures={"pitch_mm": 10, "entropy": 0.9}, wrong=["L5"])
    found = known_ranges(known, [*unseen, wrong])
    assert found["pitch_mm"] == (30, 40)
    assert found["entropy"] == (0.1, 0.2)  # the network is too sure on what it was trained on


def test_passes_are_counted():
    some = [trial(), trial(wrong=["L5"]), trial(verdict="review"), trial(verdict="fail", wrong=["L4"])]
    assert passes(some) == {"scans": 4, "wrong": 2, "passed": 0.5, "wrong_among_passed": 0.5}
    assert passes([trial(verdict="review")])["wrong_among_passed"] is None


# ---- variants


def scan_and_ids():
    image, labels, affine = stairs()
    return Scan(image, affine), labels


@pytest.mark.parametrize("seed", range(6))
def test_a_crop_keeps_four_discs_whole_and_every_voxel_in_its_place(seed):
    scan, ids = scan_and_ids()
    cut, rows = crop(scan, ids, np.random.default_rng(seed))
    part = take_rows(ids, scan, rows)
    whole = [i for i in TABLE.of_kind("disc") if (part == i).sum() == (ids == i).sum() > 0]
    assert len(whole) >= LEAST_DISCS
    assert part.shape == cut.voxels.shape
    at = np.argwhere(part == whole[0])[0]
    before = np.argwhere(ids == whole[0])[0]
    world = [(s.affine @ [*v, 1])[:3] for s, v in ((cut, at), (scan, before))]
    np.testing.assert_allclose(*world)
    assert cut.voxels[tuple(at)] == scan.voxels[tuple(before)]


def test_crops_reach_both_ends_and_need_enough_discs():
    scan, ids = scan_and_ids()
    rng = np.random.default_rng(0)
    rows = [crop(scan, ids, rng)[1] for _ in range(60)]
    assert min(r.stop - r.start for r in rows) < 0.7 * 48
    assert len({r.start for r in rows}) > 5 < len({r.stop for r in rows})
    assert crop(scan, np.where(ids > 12, 0, ids).astype(np.uint8), rng) is None


def test_a_degraded_scan_has_the_same_grid_and_other_voxels():
    scan, _ = scan_and_ids()
    worse = degrade(scan, np.random.default_rng(1))
    assert worse.voxels.shape == scan.voxels.shape
    assert np.array_equal(worse.affine, scan.affine)
    assert not np.array_equal(worse.voxels, scan.voxels)


# ---- a whole run


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Four scans of one staircase with a little noise, their truths, and a split."""
    root = tmp_path_factory.mktemp("stairs")
    image, labels, affine = stairs()
    for k in range(1, 5):
        noise = np.random.default_rng(k).integers(-1, 2, image.shape) * (image > 0)
        for folder, name, array in (("MR", f"Case{k}", image + noise), ("Mask", f"mask_case{k}", labels)):
            (root / "train" / folder).mkdir(parents=True, exist_ok=True)
            nib.save(nib.Nifti1Image(array.astype(np.int16), affine), root / f"train/{folder}/{name}.nii.gz")
    (root / "dataset.yaml").write_text("name: stairs\nvalues:\n  0: [0]\n")
    assert main(["data", "split", str(root), "-o", str(root / "split.json"), "-q"]) == 0
    return root


def arguments(run, data, *more):
    return ["calibrate", str(run), "--data", str(data), "--split", str(data / "split.json"), "-q", *more]


SMALL = ("--crops", "3", "--degraded", "2", "--threads", "1")


def test_the_command_stores_what_it_found_and_the_run_uses_it(data, tmp_path, capsys):
    run = write_grey_model(tmp_path / "run")
    before = load_model(run)
    assert (before.calibration, set(before.hashes)) == (None, {"model.onnx", "preprocessing.json"})
    assert main(arguments(run, data, *SMALL, "--json")) == 0
    said = json.loads(capsys.readouterr().out)
    after = load_model(run)
    assert (
        after.calibration.to_dict() == said == json.loads((run / "calibration/calibration.json").read_text())
    )
    assert after.hashes["model.onnx"] != before.hashes["model.onnx"]
    image = np.random.default_rng(0).random((1, 1, 64, 64), np.float32)
    assert np.array_equal(after.engine(image), before.engine(image))
    assert said["fitted_on"]["seed"] == 0
    assert set(said["fitted_on"]["triage"]) == {"as it is", "cropped", "degraded"}
    assert 0.2 <= said["kind_temperature"] < 1  # the grey model is surer than its voxels say
    rows = list(csv.DictReader((run / "calibration/trials.csv").open()))
    assert len(rows) == len(said["fitted_on"]["validation"]) * (1 + 3 + 2)
    assert {r["triage"] for r in rows} <= {"pass", "review", "fail"}
    assert (run / "calibration/reliability.png").stat().st_size > 5000


def test_again_gives_the_same_and_replaces_the_first(data, tmp_path):
    run = write_grey_model(tmp_path / "run")
    results = []
    for _ in range(2):
        assert main(arguments(run, data, *SMALL)) == 0
        results.append((run / "model.onnx").read_bytes())
    assert results[0] == results[1]


def test_what_was_fitted_for_naming_is_stored_beside_it(data, tmp_path, capsys):
    from cafrnet.anatomy.prices import NamingModel, Prices

    run, fitted = write_grey_model(tmp_path / "run"), NamingModel(Prices(evidence=0.45))
    (tmp_path / "naming.json").write_text(json.dumps(fitted.to_dict()))
    assert main(arguments(run, data, *SMALL, "--naming", str(tmp_path / "naming.json"))) == 0
    assert load_model(run).naming == fitted
    assert load_model(run).calibration is not None
    (tmp_path / "naming.json").write_text("[1]")
    assert main(arguments(run, data, *SMALL, "--naming", str(tmp_path / "naming.json"))) == 2
    assert "a list" in capsys.readouterr().err


def test_a_bundle_is_never_changed_and_nonsense_is_refused(data, tmp_path, capsys):
    run = write_grey_model(tmp_path / "run")
    assert main(arguments(run, data, "--crops", "-1")) == 2
    assert main(arguments(tmp_path / "none", data)) == 2
    shutil.copytree(run, tmp_path / "bundle")
    (tmp_path / "bundle/SHA256SUMS").write_text("")
    (tmp_path / "bundle/card.yaml").write_text("name: x\n")
    with pytest.raises(UsageError, match="is a bundle"):
        store(tmp_path / "bundle", Calibration())
    assert main(arguments(tmp_path / "bundle", data)) == 2
    assert "is a bundle" in capsys.readouterr().err


def test_without_a_validation_case_nothing_is_calibrated(tmp_path):
    model = load_model(write_grey_model(tmp_path / "run"))
    with pytest.raises(UsageError, match="no validation case"):
        calibrate(model, [], [])
    assert replace(model).calibration is None
