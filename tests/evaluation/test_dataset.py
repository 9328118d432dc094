"""From files to tables: what `evaluate` writes, and that one bad case never stops the rest."""

import csv
import json
import math
import re
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

import cafrnet.evaluation.dataset as dataset_module
from cafrnet.errors import UsageError
from cafrnet.evaluation import evaluate
from cafrnet.evaluation.dataset import region_thresholds
from cafrnet.evaluation.levels import move
from cafrnet.labels import SCHEMES, TABLE
from handmade import moved, save_segments

from .drawn import column, ids, sagittal_affine, save
from .test_common import vertebrae

SPINE = ids("L5/S", "L5", "L4/L5", "L4", "L3/L4", "L3")
TRUTH = column(*SPINE)


def rows(path) -> list[dict[str, str]]:
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def folders(tmp_path):
    """Four truths; predictions: perfect, shifted by a column, one level too high, none; and one too many."""
    truth, pred = tmp_path / "truth", tmp_path / "pred"
    for n in range(1, 5):
        save(truth / f"mask_case{n}.nii.gz", TRUTH)
    save(pred / "Case1_seg.nii.gz", TRUTH)
    save(pred / "Case2_seg.nii.gz", np.roll(TRUTH, 1, axis=2))
    save(pred / "Case3_seg.nii.gz", move(TRUTH, 1))
    save(pred / "Case9_seg.nii.gz", TRUTH)
    return truth, pred


def test_summary_by_hand(folders):
    found = evaluate(*folders)
    head = found.summary["headline"]
    # case scores: perfect 1; by one column 5/6; by one level 0; missing 0
    scores = [1, 5 / 6, 0, 0]
    assert head["dsc"]["mean"] == pytest.approx(np.mean(scores), abs=1e-6)
    assert head["dsc"]["sd"] == pytest.approx(np.std(scores, ddof=1), abs=1e-6)
    assert head["dsc"]["n"] == head["units"] == 4
    # found in case 1 at 0 mm, in case 2 at 1 mm; in case 3 four of them, each two blocks of 4 mm too low
    assert head["hd_mm"]["n"] == 3
    assert head["hd_mm"]["mean"] == pytest.approx((0 + 1 + 8) / 3, abs=1e-6)
    # missed: in case 3 the lowest two (nothing is called L5/S and L5), in case 4 all six
    assert (head["missed"], head["missed_rate"]) == (8, pytest.approx(8 / 24, abs=1e-6))
    # invented: in case 3 the two names above L3, over marked structures
    assert (head["invented"], head["invented_rate"]) == (2, pytest.approx(2 / 26, abs=1e-6))
    assert found.summary["classes"]["L4"]["dsc"]["mean"] == pytest.approx(np.mean(scores), abs=1e-6)
    assert found.summary["classes"]["L4"]["found"] == 3
    assert found.summary["after_shift"]["headline"]["dsc"]["mean"] == pytest.approx((2 + 5 / 6) / 4, abs=1e-6)
    level = found.summary["levels"]
    assert level["structures"] == {"missing": 6, "right": 12, "shift": 6}
    assert (level["cases_all_right"], level["cases"]) == (2, 4)
    assert level["shifted"] == {"mask_case3": 1}
    assert level["corrections"] == {"mask_case3": -1}
    assert found.summary["cases"]["without_prediction"] == ["mask_case4"]
    assert [Path(p).name for p in found.summary["extra_predictions"]] == ["Case9_seg.nii.gz"]
    assert found.failed == {}


def test_per_slice_units(folders):
    per_slice = evaluate(*folders).summary["per_slice"]["headline"]
    assert per_slice["units"] == 4 * 3
    assert per_slice["dsc"]["mean"] == pytest.approx((1 + 5 / 6) / 4, abs=1e-6)
    assert evaluate(*folders, slices=False).summary["per_slice"]["value"] is None


def test_tables(folders, tmp_path):
    evaluate(*folders, tmp_path / "out")
    table = rows(tmp_path / "out/cases.csv")
    assert len(table) == 6 + 6 + 8 + 6  # case 3 has two invented ones more
    first = next(r for r in table if r["case"] == "mask_case2" and r["class"] == "L5")
    assert first["status"] == "found"
    assert float(first["dsc"]) == pytest.approx(5 / 6, abs=1e-5)
    assert float(first["hd95_mm"]) == 1
    missed = [r for r in table if r["case"] == "mask_case4"]
    assert {r["status"] for r in missed} == {"missed"}
    assert {r["dsc"] for r in missed} == {"0"}
    assert {r["hd_mm"] for r in missed} == {""}
    assert {r["reason"] for r in missed} == {"there is no prediction file"}
    moved = rows(tmp_path / "out/cases_after_shift.csv")
    assert {r["dsc"] for r in moved if r["case"] == "mask_case3"} == {"1"}
    assert len(rows(tmp_path / "out/slices.csv")) == 3 * len(table)
    assert not (tmp_path / "out/regions.csv").exists()


def test_never_nan(folders, tmp_path):
    save(folders[0] / "mask_case5.nii.gz", np.zeros_like(TRUTH))
    save(folders[1] / "case5.nii.gz", np.zeros_like(TRUTH))
    found = evaluate(*folders, tmp_path / "out")
    for path in (tmp_path / "out").iterdir():
        assert not re.search(r"\bnan\b|\binf(inity)?\b", path.read_text(), re.IGNORECASE)
    assert found.summary["cases"]["nothing_to_score"] == ["mask_case5"]
    assert found.summary["headline"]["units"] == 4
    empty = [r for r in rows(tmp_path / "out/cases.csv") if r["case"] == "mask_case5"]
    assert [(r["status"], r["class"]) for r in empty] == [("empty", "")]

    def numbers(value):
        if isinstance(value, dict):
            for v in value.values():
                yield from numbers(v)
        elif isinstance(value, list):
            for v in value:
                yield from numbers(v)
        elif isinstance(value, float):
            yield value

    assert all(math.isfinite(v) for v in numbers(json.loads((tmp_path / "out/summary.json").read_text())))


def test_null_has_a_reason(folders):
    for n in (1, 2, 3):
        save(next(folders[1].glob(f"Case{n}_*")), np.zeros_like(TRUTH))
    head = evaluate(*folders).summary["headline"]
    assert head["hd_mm"] == {"mean": None, "sd": None, "n": 0, "reason": "no structure was found"}
    assert head["dsc"]["mean"] == 0


def test_one_bad_case_never_stops_the_rest(folders, tmp_path, monkeypatch):
    truth, pred = folders
    save(pred / "Case1_seg.nii.gz", TRUTH[:, 1:])  # another shape
    (pred / "Case2_seg.nii.gz").write_bytes(b"no scan")
    (truth / "mask_case4.nii.gz").write_bytes((truth / "mask_case4.nii.gz").read_bytes()[:60])
    save(truth / "mask_case6.nii.gz", np.full_like(TRUTH, 99))
    save(truth / "mask_case7.nii.gz", TRUTH)
    save(pred / "case7.nii.gz", np.full_like(TRUTH, 44))
    original = dataset_module.evaluate_arrays

    def unforeseen(*args, **kwargs):
        if kwargs["case"] == "mask_case8":
            raise ZeroDivisionError("nobody thought of this")
        return original(*args, **kwargs)

    monkeypatch.setattr(dataset_module, "evaluate_arrays", unforeseen)
    save(truth / "mask_case8.nii.gz", TRUTH)
    found = evaluate(truth, pred, tmp_path / "out")
    assert sorted(found.failed) == [f"mask_case{n}" for n in (1, 2, 4, 6, 7, 8)]
    assert "shape" in found.failed["mask_case1"]
    assert "gzip" in found.failed["mask_case2"]
    assert "99" in found.failed["mask_case6"]
    assert "44" in found.failed["mask_case7"]
    assert found.failed["mask_case8"] == "ZeroDivisionError: nobody thought of this"
    assert found.summary["cases"]["scored"] == 1  # case 3
    assert "left out of every mean" in found.summary["cases"]["note"]
    failed = [r for r in rows(tmp_path / "out/cases.csv") if r["status"] == "failed"]
    assert len(failed) == 6
    assert all(r["reason"] and not r["class"] and not r["dsc"] for r in failed)


def test_an_axial_truth_fails_its_case(tmp_path):
    path = tmp_path / "axial.nii.gz"
    nib.save(nib.Nifti1Image(TRUTH, np.diag([1.0, 1.0, 5.0, 1.0])), path)
    assert "axial" in evaluate(path, path).failed["axial"]


def test_spacing_comes_from_the_truth(tmp_path):
    truth = save(tmp_path / "a.nii.gz", TRUTH, spacing_mm=(5.0, 1.0, 3.0))
    pred = save(tmp_path / "b.nii.gz", np.roll(TRUTH, 1, axis=2), spacing_mm=(5.0, 1.0, 3.1))
    case = evaluate(truth, pred).cases[0]
    assert case.mean("hd_mm") == 3
    assert case.spacing_mm == pytest.approx((5.0, 1.0, 3.0))
    # 14 columns: the centre moves by 6.5 x 3.1 - 6.5 x 3 mm, which is 0.22 columns
    assert case.notes == (f"{pred}: it lies 0.22 voxels and 0.00 degrees off the scan",)


@pytest.mark.parametrize(
    ("axes", "flips"), [((0, 1, 2), (False, True, False)), ((2, 1, 0), (True, True, True))]
)
def test_a_reoriented_prediction_scores_as_it_did(folders, tmp_path, axes, flips):
    truth, pred = folders
    array = np.roll(TRUTH, 1, axis=2)
    turned, at = moved(array, sagittal_affine(), axes, flips)
    assert not np.array_equal(turned, array)
    plain = evaluate(truth, pred)
    nib.save(nib.Nifti1Image(turned, at), pred / "Case2_seg.nii.gz")
    again = evaluate(truth, pred)
    assert again.cases[1].rows == plain.cases[1].rows
    assert again.cases[1].mean("dsc") == pytest.approx(5 / 6)
    assert again.cases[1].notes == (
        f"{pred / 'Case2_seg.nii.gz'}: its axes were turned to those of the scan",
    )


@pytest.mark.parametrize("affine", [np.eye(4), sagittal_affine() + np.pad([[9.0]], ((0, 3), (3, 0)))])
def test_a_prediction_that_lies_elsewhere_fails_its_case(folders, affine):
    truth, pred = folders
    nib.save(nib.Nifti1Image(TRUTH, affine), pred / "Case1_seg.nii.gz")
    found = evaluate(truth, pred)
    assert list(found.failed) == ["mask_case1"]
    assert "copy the scan's header onto it" in found.failed["mask_case1"]
    assert found.summary["cases"]["scored"] == 3


@pytest.mark.parametrize("bare", ["truth/mask_case1.nii.gz", "pred/Case1_seg.nii.gz"])
def test_files_that_give_no_place_are_paired_by_index(folders, tmp_path, bare):
    image = nib.Nifti1Image(TRUTH, None)
    image.header.set_zooms((4, 1, 1))
    nib.save(image, tmp_path / bare)
    truth, pred = (tmp_path / name for name in ("truth/mask_case1.nii.gz", "pred/Case1_seg.nii.gz"))
    case = evaluate(truth, pred).cases[0]
    if bare.startswith("pred"):
        assert case.mean("dsc") == 1
    assert case.notes == (f"paired by array index: no place in the patient is given by {tmp_path / bare}",)


def test_the_image_s_place_counts_where_the_truth_s_is_another(tmp_path):
    """A truth whose header lost the flip of its rows: arrays are paired by index, as the data doctor says."""
    root, at = tmp_path / "data", sagittal_affine()
    flipped = at @ np.array([[1, 0, 0, 0], [0, -1, 0, TRUTH.shape[1] - 1], [0, 0, 1, 0], [0, 0, 0, 1]])
    for folder, array, affine in (("MR", TRUTH.astype(np.int16) + 5, at), ("Mask", TRUTH, flipped)):
        (root / "train" / folder).mkdir(parents=True)
        name = "Case1.nii.gz" if folder == "MR" else "mask_case1.nii.gz"
        nib.save(nib.Nifti1Image(array, affine), root / "train" / folder / name)
    (root / "dataset.yaml").write_text("scheme: cafrnet\n")
    pred = tmp_path / "pred/Case1_seg.nii.gz"
    pred.parent.mkdir()
    for affine in (at, flipped):
        nib.save(nib.Nifti1Image(TRUTH, affine), pred)
        assert evaluate(root, pred.parent).cases[0].mean("dsc") == 1


def test_another_tools_labels(tmp_path):
    values, lost = SCHEMES["totalspineseg"].encode(TRUTH)
    assert not lost
    truth, pred = save(tmp_path / "a.nii.gz", TRUTH), save(tmp_path / "b.nii.gz", values)
    found = evaluate(truth, pred, labels="totalspineseg")
    assert found.summary["headline"]["dsc"]["mean"] == 1
    assert any("whole vertebrae" in text for text in found.summary["warnings"])
    assert evaluate(truth, pred).failed  # its values mean nothing in cafrnet's own table


def test_common_body(tmp_path, caplog):
    whole, processes = vertebrae(20)
    truth = save(tmp_path / "a.nii.gz", np.where(processes, 21, whole))
    pred = save(tmp_path / "b.nii.gz", whole)
    plain = evaluate(truth, pred, labels="spinemri")
    assert plain.summary["headline"]["dsc"]["mean"] < 0.9
    assert "'--common body'" in caplog.text
    cut = evaluate(truth, pred, labels="spinemri", common="body")
    assert cut.summary["headline"]["dsc"]["mean"] > 0.98
    assert not cut.summary["warnings"]
    # and the other way round: the truth is whole, the prediction bodies
    (tmp_path / "dataset.yaml").write_text("scheme: spinemri\n")
    assert evaluate(pred, truth).summary["headline"]["dsc"]["mean"] > 0.98  # 21 lies in the truth's set
    bodies = save(tmp_path / "c.nii.gz", np.where(processes, 0, whole))
    assert evaluate(pred, bodies).summary["headline"]["dsc"]["mean"] < 0.9
    back = evaluate(pred, bodies, common="body").summary
    assert back["headline"]["dsc"]["mean"] > 0.98
    assert back["common"] == "body"


def test_left_whole_is_noted(tmp_path):
    whole, _ = vertebrae(0)
    whole[whole >= 11] = 0
    path = save(tmp_path / "a.nii.gz", whole)
    case = evaluate(path, path, labels="spinemri", common="body").cases[0]
    assert [note for note in case.notes if "L5" in note and "left whole" in note]


def test_not_annotated_is_said(tmp_path):
    (tmp_path / "dataset.yaml").write_text("values:\n  0: [0, 1]\n")
    path = save(tmp_path / "a.nii.gz", TRUTH)
    assert evaluate(path, path).summary["not_annotated"] == ["S"]


@pytest.fixture
def with_images(tmp_path):
    """Three cases with noisy images in the SpineMRI layout; the prediction of the last is missing."""
    rng = np.random.default_rng(0)
    root, pred = tmp_path / "data", tmp_path / "pred"
    for n in (1, 2, 3):
        image = (100 * (TRUTH > 0) * (1 + TRUTH % 3) + rng.normal(50, 5, TRUTH.shape)).clip(1)
        save(root / f"train/MR/Case{n}.nii.gz", image.astype(np.uint16))
        save(root / f"train/Mask/mask_case{n}.nii.gz", TRUTH)
    (root / "dataset.yaml").write_text("name: drawn\nvalues: {}\n")
    for n in (1, 2):
        save(pred / f"Case{n}_seg.nii.gz", np.roll(TRUTH, 1, axis=2))
    return root, pred


def test_regions(with_images, tmp_path):
    found = evaluate(*with_images, tmp_path / "out", regions=True)
    regions = found.summary["regions"]
    assert {"low contrast", "L5", "L4", "junction"} <= set(regions)
    assert regions["L5"]["truth_points_missed_rate"] == pytest.approx(1 / 3, abs=1e-6)
    assert regions["L5"]["truth_to_pred_max_mm"]["n"] == 2
    assert regions["L5"]["truth_to_pred_max_mm"]["mean"] == 1
    assert regions["L5"]["error_rate"]["n"] == 3
    assert found.summary["thresholds"]["contrast_per_mm"] > 0
    assert {r["case"] for r in rows(tmp_path / "out/regions.csv")} == {"Case1", "Case2", "Case3"}


def test_regions_of_a_part_by_the_thresholds_of_the_whole(with_images, tmp_path):
    whole = region_thresholds(with_images[0])
    assert vars(whole) == evaluate(*with_images, regions=True).summary["thresholds"]
    one = with_images[1] / "Case1_seg.nii.gz"
    assert evaluate(with_images[0], one, regions=True).summary["thresholds"] != vars(whole)
    part = evaluate(with_images[0], one, regions=True, thresholds=whole)
    assert part.summary["thresholds"] == vars(whole)
    with pytest.raises(UsageError, match="images"):
        region_thresholds(one)


def test_regions_without_one_of_the_images(with_images):
    (with_images[0] / "train/MR/Case1.nii.gz").write_bytes(b"broken")
    found = evaluate(*with_images, regions=True)
    assert found.failed == {}
    assert found.cases[0].regions is None
    assert "no regions" in found.cases[0].notes[0]
    assert found.cases[0].mean("dsc") == pytest.approx(5 / 6)


def test_wrong_use(folders, tmp_path):
    with pytest.raises(UsageError, match="did you mean 'spider'"):
        evaluate(*folders, labels="spyder")
    with pytest.raises(UsageError, match="'whole'"):
        evaluate(*folders, common="whole")
    with pytest.raises(UsageError, match="images"):
        evaluate(*folders, regions=True)


def test_a_folder_that_can_not_be_written_to_is_said_first(folders, tmp_path, monkeypatch):
    def never(*args, **kwargs):
        raise AssertionError("scored before the folder was tried")

    monkeypatch.setattr(dataset_module._Job, "score", never)
    (tmp_path / "out").write_text("a file is in the way")
    with pytest.raises(UsageError, match="can't be written to"):
        evaluate(*folders, tmp_path / "out")


def test_a_folder_holds_one_evaluation(with_images, tmp_path):
    out = tmp_path / "out"
    evaluate(*with_images, out, regions=True)
    assert {"slices.csv", "regions.csv"} < {path.name for path in out.iterdir()}
    evaluate(*with_images, out, slices=False)
    names = {path.name for path in out.iterdir()}
    assert names == {"cases.csv", "cases_after_shift.csv", "summary.json"}


def test_tables_of_others_stay(with_images, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "regions.csv").write_text("region,inhabitants\nAlps,1\n")
    evaluate(*with_images, out)
    assert (out / "regions.csv").read_text().endswith("Alps,1\n")


def test_any_axis_order_of_the_files_gives_the_same_scores(tmp_path):
    truth, pred = TRUTH, np.roll(TRUTH, (1, 1), axis=(1, 2))
    expected = evaluate(save(tmp_path / "a.nii.gz", truth), save(tmp_path / "b.nii.gz", pred))
    ornt = nib.orientations.axcodes2ornt("PSL")
    for name, array in (("c", truth), ("d", pred)):
        image = nib.Nifti1Image(array, sagittal_affine())
        change = nib.orientations.ornt_transform(nib.io_orientation(image.affine), ornt)
        nib.save(image.as_reoriented(change), tmp_path / f"{name}.nii.gz")
    turned = evaluate(tmp_path / "c.nii.gz", tmp_path / "d.nii.gz")
    for part in ("headline", "classes", "levels"):
        assert turned.summary[part] == expected.summary[part]
    assert turned.summary["per_slice"]["headline"] == expected.summary["per_slice"]["headline"]


def test_segments_of_slicer_are_scored_by_their_names(tmp_path):
    """Slicer's 1, 2, 3 ... run from L5/S upwards; taken for ids, S would be the lowest and L5 the next."""
    pytest.importorskip("SimpleITK", reason="the 'itk' extra is not installed")
    given = np.zeros_like(TRUTH)
    for value, identity in enumerate(SPINE, 1):
        given[identity == TRUTH] = value
    names = [(TABLE[identity].name, value, 0) for value, identity in enumerate(SPINE, 1)]
    truth = save(tmp_path / "truth/a.nii.gz", TRUTH)
    segments = save_segments(tmp_path / "a.seg.nrrd", [given], sagittal_affine(), names)
    assert evaluate(truth, segments).summary["headline"]["dsc"]["mean"] == 1
    assert evaluate(segments, truth).summary["headline"]["dsc"]["mean"] == 1  # and as the truth
    (tmp_path / "dataset.yaml").write_text("values: {2: [3]}\n")
    assert "Slicer gives the values" in evaluate(segments, truth).failed["a"]


def test_an_evaluation_is_shown_in_a_line(folders):
    found = evaluate(*folders, slices=False)
    assert repr(found) == "<Evaluation of 4 cases, 0 failed: mean DSC 0.4583>"  # (1 + 5/6 + 0 + 0) / 4
