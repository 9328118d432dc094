"""Each finding of the data doctor: provoked on a tiny dataset, absent on a clean one."""

import json

import nibabel as nib
import numpy as np
import pytest
from drawn_spine import COLUMN, draw_image, draw_labels, save

from cafrnet.datasets import Split, open_dataset
from cafrnet.datasets.doctor import anatomy, check, duplicates


@pytest.fixture
def examine(spinemri):
    """A function that makes cases 1 to 3, lets ``spoil`` change the folder, and returns what is found.

    Findings are returned as (severity, check, case), without notes.
    """

    def run(spoil=None, *, numbers=(1, 2, 3), split=None, **drawing):
        root = spinemri(*numbers, **drawing)
        if spoil:
            spoil(root)
        run.report = check(open_dataset(root), split=split)
        return [(f.severity, f.check, f.case) for f in run.report.findings if f.severity != "info"]

    return run


def mask(root, n):
    return root / f"train/Mask/mask_case{n}.nii.gz"


def image(root, n):
    return root / f"train/MR/Case{n}.nii.gz"


def labels_of_2(change):
    """Make a spoiler that lets ``change`` edit the labels of case 2 in place."""

    def spoil(root):
        labels = draw_labels()
        change(labels)
        save(mask(root, 2), labels)

    return spoil


def test_a_clean_dataset_has_no_finding(examine):
    assert examine() == []
    assert examine.report.ok
    assert examine.report.findings == ()


def test_a_clean_dataset_of_whole_vertebrae_has_no_finding(examine):
    assert examine(values="", whole=True) == []


def test_a_disc_below_an_unmarked_vertebra_at_the_top_is_normal(examine):
    assert examine(column=(*COLUMN, 14)) == []


# --- pairs and files --------------------------------------------------------------------------------------


def test_missing_pairs(examine):
    def spoil(root):
        mask(root, 2).unlink()
        image(root, 3).unlink()

    assert examine(spoil) == [("error", "pairs", "Case2"), ("error", "pairs", "")]
    assert "mask_case3" in examine.report.findings[1].message


def test_no_truth_at_all_is_a_warning(examine):
    assert examine(lambda root: [mask(root, n).unlink() for n in (1, 2, 3)]) == [("warning", "pairs", "")]


def spoil_nan(root):
    values = draw_image(2).astype(np.float32)
    values[0, 0, 0] = np.nan
    save(image(root, 2), values)


def spoil_spacing(root):
    scan = nib.load(image(root, 2))
    scan.header["pixdim"][1] = 0
    with open(root / "raw.nii", "wb") as file:
        file.write(scan.header.binaryblock + b"\0" * 4 + np.asanyarray(scan.dataobj).tobytes("F"))
    image(root, 2).unlink()
    (root / "raw.nii").rename(root / "train/MR/Case2.nii")


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda root: image(root, 2).write_text("text"), "is not a"),
        (lambda root: image(root, 2).write_bytes(image(root, 2).read_bytes()[:900]), "cut short"),
        (spoil_nan, "NaN"),
        (lambda root: save(image(root, 2), np.zeros((4, 60, 50), np.uint8)), "no image"),
        (spoil_spacing, "spacing"),
    ],
)
def test_unusable_images(examine, spoil, said):
    assert examine(spoil) == [("error", "image", "Case2")]
    assert said in examine.report.findings[0].message


def test_unusable_label_maps(examine):
    assert examine(lambda root: mask(root, 2).write_text("text")) == [("error", "labels", "Case2")]
    half = draw_labels() + 0.5
    assert examine(lambda root: save(mask(root, 2), half)) == [("error", "labels", "Case2")]


def test_shape(examine):
    assert examine(lambda root: save(mask(root, 2), draw_labels()[:, 1:])) == [("error", "shape", "Case2")]


def test_unknown_ids(examine):
    assert examine(labels_of_2(lambda a: a.__setitem__((1, 0, 0), 77))) == [("error", "unknown ids", "Case2")]
    assert "[77]" in examine.report.findings[0].message


def test_an_image_for_a_label_map(examine):
    def image(array):
        array.flat[:120] = range(100, 220)

    assert examine(labels_of_2(image)) == [("error", "unknown ids", "Case2")]
    (found,) = examine.report.findings
    assert "[100, 101, 102, 103, 104, 105, 106, 107, 108, 109] and 110 more" in found.message
    assert "looks like an image" in found.advice


def test_an_empty_truth(examine):
    assert examine(labels_of_2(lambda a: a.fill(0))) == [("error", "empty", "Case2")]


# --- geometry ---------------------------------------------------------------------------------------------


def moved(x=0.0, y=0.0, z=0.0, turn_deg=0.0):
    """Turn about the left-right axis, then move, in mm."""
    c, s = np.cos(np.radians(turn_deg)), np.sin(np.radians(turn_deg))
    return np.array([[1, 0, 0, x], [0, c, -s, y], [0, s, c, z], [0, 0, 0, 1]])


@pytest.mark.parametrize(
    ("change", "severity"),
    [
        (moved(x=3.9), "warning"),  # slices are 4 mm apart
        (moved(x=4.1), "error"),
        (moved(y=1.9), "warning"),  # columns 2 mm
        (moved(y=2.1), "error"),
        (moved(z=-2.9), "warning"),  # rows 3 mm
        (moved(z=-3.1), "error"),
        (np.diag([1, 1, 1.1, 1]), "error"),  # 60 rows, 10 % larger
        (np.diag([-1, 1, 1, 1]), "error"),  # mirrored
    ],
)
def test_affine(examine, change, severity):
    assert examine(lambda root: save(mask(root, 2), draw_labels(), change)) == [(severity, "affine", "Case2")]


def test_an_axial_scan_is_refused(examine):
    def spoil(root):
        affine = np.array([[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 5, 0], [0, 0, 0, 1]], float)
        nib.save(nib.Nifti1Image(draw_image(2), affine), image(root, 2))
        nib.save(nib.Nifti1Image(draw_labels(), affine), mask(root, 2))

    assert examine(spoil) == [("error", "orientation", "Case2")]
    assert "axial" in examine.report.findings[0].message


def test_an_identity_affine_and_a_header_that_disagrees(examine):
    def spoil(root):
        for path, array in ((image(root, 2), draw_image(2)), (mask(root, 2), draw_labels())):
            nib.save(nib.Nifti1Image(array.transpose(0, 2, 1)[..., ::-1], np.eye(4)), path)
        scan = nib.load(image(root, 3))
        scan.header["pixdim"][1] = 2.5
        scan.header["qform_code"] = 0
        with open(root / "train/MR/Case3.nii", "wb") as file:
            file.write(scan.header.binaryblock + b"\0" * 4 + np.asanyarray(scan.dataobj).tobytes("F"))
        image(root, 3).unlink()

    found = examine(spoil)
    assert ("warning", "orientation", "Case2") in found
    assert ("warning", "spacing", "Case3") in found


def test_odd_spacing(examine):
    def spoil(root):
        for path, array in ((image(root, 2), draw_image(2)), (mask(root, 2), draw_labels())):
            save(path, array, np.diag([3.0, 1, 1, 1]))

    assert examine(spoil) == [("warning", "spacing", "Case2")]
    assert "12 x 3 x 2" in examine.report.findings[0].message


def test_constant_slices_and_clipping(examine):
    def spoil(root):
        values = draw_image(2)
        values[0] = 7
        values[1:][values[1:] > 150] = 150
        save(image(root, 2), values)

    assert examine(spoil) == [("warning", "constant slices", "Case2")]
    assert "1 of 4" in examine.report.findings[0].message
    assert [f.check for f in examine.report.findings if f.severity == "info"] == ["clipped"]


# --- anatomy ----------------------------------------------------------------------------------------------


def exchange(a, b):
    def change(labels):
        at_a, at_b = labels == a, labels == b
        labels[at_a], labels[at_b] = b, a

    return labels_of_2(change)


def test_swapped_levels(examine):
    found = examine(exchange(2, 3))
    assert found
    assert set(found) == {("error", "level order", "Case2")}
    assert examine(exchange(12, 13))[0] == ("error", "level order", "Case2")


def test_swapped_levels_of_whole_vertebrae(spinemri, examine):
    def spoil(root):
        labels = draw_labels(whole=True)
        five, four = labels == 2, labels == 3
        labels[five], labels[four] = 3, 2
        save(mask(root, 2), labels)

    assert ("error", "level order", "Case2") in examine(spoil, values="", whole=True)


def test_a_column_upside_down_is_one_finding(examine):
    def spoil(root):
        for path, array in ((image(root, 2), draw_image(2)), (mask(root, 2), draw_labels())):
            save(path, array[:, ::-1])

    assert examine(spoil) == [("error", "level order", "Case2")]
    assert "wrong way up" in examine.report.findings[0].message


def test_skipped_levels(examine):
    assert examine(labels_of_2(lambda a: a.__setitem__(a == 3, 0))) == [("error", "level skipped", "Case2")]
    assert "L4" in examine.report.findings[0].message
    assert examine(labels_of_2(lambda a: a.__setitem__(a == 12, 0))) == [("error", "level skipped", "Case2")]


def test_one_id_on_two_vertebrae(examine):
    found = examine(labels_of_2(lambda a: a.__setitem__(a == 4, 2)))
    assert ("error", "pieces", "Case2") in found


def test_stray_pieces(examine):
    near, far = (slice(1, 3), slice(40, 42), 21), (slice(1, 3), slice(2, 4), 45)
    assert examine(labels_of_2(lambda a: a.__setitem__(near, 2))) == []
    assert examine(labels_of_2(lambda a: a.__setitem__(far, 2))) == [("warning", "pieces", "Case2")]


def test_a_process_apart_from_its_vertebra_is_normal_where_vertebrae_are_whole(examine):
    def spoil(root):
        labels = draw_labels(whole=True)
        labels[:, :, 20:31] = 0  # 22 mm of canal
        save(mask(root, 2), labels)

    assert examine(spoil, values="", whole=True) == []


def test_whole_vertebrae_where_bodies_are_declared(examine):
    def spoil(root):
        save(mask(root, 2), draw_labels(whole=True))

    assert examine(spoil) == [("error", "body or whole", "Case2")]


def test_bodies_where_whole_vertebrae_are_declared(examine):
    def spoil(root):
        save(mask(root, 2), draw_labels())

    assert examine(spoil, values="", whole=True) == [("error", "body or whole", "Case2")]


def test_a_declaration_that_mixes_them(examine):
    found = examine(values="values: {2: [2, 21]}")
    assert ("error", "body or whole", "") in found


def test_without_discs_the_depth_alone_tells():
    for whole, said in ((False, "body"), (True, "whole")):
        labels = draw_labels(column=(2, 3, 4), whole=whole)
        assert anatomy.part(anatomy.structures(labels, (4.0, 3.0, 2.0))) == said
    assert anatomy.part({}) == "unknown"


# --- duplicates and splits --------------------------------------------------------------------------------


def test_the_same_voxels_twice(examine):
    assert examine(lambda root: save(image(root, 3), draw_image(1))) == [("error", "duplicate", "Case3")]


def test_nearly_the_same_picture(examine):
    def spoil(root):
        noise = np.random.default_rng(0).normal(0, 10, (4, 60, 50))
        save(image(root, 3), (2.0 * draw_image(1) + noise).astype(np.float32))

    assert examine(spoil) == [("warning", "near-duplicate", "Case3")]


def test_duplicates_in_two_parts_of_a_split_are_leaks(examine):
    split = Split("drawn", 0, "holdout", train=("Case1",), val=("Case2",), test=("Case3",))
    noisy = draw_image(1) + np.random.default_rng(0).normal(0, 10, (4, 60, 50)).astype(np.float32)
    found = examine(lambda root: save(image(root, 3), noisy), split=split)
    assert found == [("error", "near-duplicate", "Case3")]
    assert "train and test" in examine.report.findings[0].message


def test_two_series_of_one_patient_may_look_alike():
    sagittal = draw_image(1)
    one = duplicates.fingerprint("p", sagittal)
    same = duplicates.fingerprint("p", sagittal.copy())
    other_contrast = duplicates.fingerprint("p", sagittal.astype(np.float32) ** 0.8)
    assert list(duplicates.check({"a": one, "b": other_contrast}, {})) == []
    assert [f.severity for f in duplicates.check({"a": one, "b": same}, {})] == ["warning"]


def test_one_patient_in_two_parts_and_ids_that_are_not_there(tmp_path):
    root = tmp_path / "plain"
    for n in range(3):
        save(root / f"images/c{n}.nii.gz", draw_image(n))
        save(root / f"labels/c{n}.nii.gz", draw_labels())
    (root / "patients.csv").write_text("case,patient\nc0,A\nc1,A\nc2,B\n")
    leak = Split("plain", 0, "holdout", train=("c0",), val=("c2",), test=("c1", "c9"))
    report = check(open_dataset(root), split=leak)
    assert [(f.severity, f.check, f.case) for f in report.findings] == [
        ("error", "split", "c1"),
        ("error", "split", "c9"),
    ]
    sound = Split("plain", 0, "holdout", train=("c0", "c1"), val=("c2",))
    assert check(open_dataset(root), split=sound).ok


# --- the report -------------------------------------------------------------------------------------------


def test_the_report_as_json_and_text(examine):
    examine(lambda root: mask(root, 2).write_text("text"))
    raw = json.loads(json.dumps(examine.report.to_json()))
    assert (raw["ok"], raw["errors"], raw["warnings"], raw["cases"]) == (False, 1, 0, 3)
    assert set(raw["findings"][0]) == {"severity", "check", "case", "message", "advice"}
    text = examine.report.to_text()
    assert "-> repair" in text
    assert text.endswith("drawn: 3 cases, 1 error, 0 warnings, 0 notes")


def test_each_file_is_read_once(spinemri, monkeypatch):
    import cafrnet.scan.nifti as reader

    opened = []
    load = reader._load
    monkeypatch.setattr(reader, "_load", lambda path: opened.append(path.name) or load(path))
    check(open_dataset(spinemri(1, 2)))
    assert sorted(opened) == sorted(
        ["Case1.nii.gz", "Case2.nii.gz", "mask_case1.nii.gz", "mask_case2.nii.gz"]
    )


@pytest.mark.real
def test_real_scans_have_no_error(real_data):
    report = check(open_dataset(real_data))
    assert report.ok, report.to_text()
    clipped = {f.case for f in report.findings if f.check == "clipped"}
    assert {f"Case{n}" for n in (11, 61, 65, 118, 141, 146, 191, 200, 241)} <= clipped
