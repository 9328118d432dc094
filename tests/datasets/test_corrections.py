"""Corrected label maps come back: on the scan's voxels, under the right names, checked, whole or not at all.

The scan and its truth are the stairs of ``handmade.py``: 32 x 48 x 5 voxels (AP, SI, LR).
"""

import csv

import nibabel as nib
import numpy as np
import pytest

from cafrnet.cli.main import main
from cafrnet.datasets import open_dataset
from cafrnet.datasets.corrections import add, add_corrections
from cafrnet.datasets.corrections.lattice import on_scan
from cafrnet.errors import InputError, UsageError
from cafrnet.labels import SCHEMES, TABLE
from cafrnet.scan import Scan, read_scan, write_labels
from handmade import moved, save_segments, stairs


def write_pair(root, name, labels=None, affine=None, ending="_seg.nii.gz", **more):
    """Write ``scans/<name>.nii.gz`` and ``corrected/<name><ending>``."""
    image, truth, at = stairs(**more)
    for folder in ("scans", "corrected"):
        (root / folder).mkdir(exist_ok=True)
    nib.save(nib.Nifti1Image(image + len(name), at), root / "scans" / f"{name}.nii.gz")
    path = root / "corrected" / f"{name}{ending}"
    nib.save(nib.Nifti1Image(truth if labels is None else labels, at if affine is None else affine), path)
    return path


@pytest.fixture
def one(tmp_path):
    write_pair(tmp_path, "anna")
    return tmp_path


def run(root, **options):
    return add_corrections(root / "scans", root / "corrected", root / "data", **options)


def states(outcomes):
    return [(o.name, o.status, o.case) for o in outcomes]


# -- the way into the contract's layout --------------------------------------------------------------------


def test_a_dataset_in_the_contract_s_layout(tmp_path):
    for name in ("scan10", "scan9"):
        write_pair(tmp_path, name, slices=5 if name == "scan9" else 6)
    (tmp_path / "corrected/scan9_preview.png").write_bytes(b"")  # what segment leaves beside its label maps
    (tmp_path / "corrected/scan9.json").write_text("{}")
    assert states(run(tmp_path)) == [("scan9", "added", "Case1"), ("scan10", "added", "Case2")]
    dataset = open_dataset(tmp_path / "data")
    assert [(c.id, c.patient) for c in dataset] == [("Case1", "scan9"), ("Case2", "scan10")]
    assert np.array_equal(dataset.cases[0].read_truth(dataset.cases[0].read()), stairs()[1])
    copied, given = (tmp_path / p for p in ("data/train/MR/Case1.nii.gz", "scans/scan9.nii.gz"))
    assert copied.read_bytes() == given.read_bytes()
    assert dataset.sets.values[0] == (0,)
    assert dataset.sets.values[255] == (255,)
    assert sorted(p.name for p in (tmp_path / "data").iterdir()) == ["dataset.yaml", "patients.csv", "train"]


def test_unknown_stays_unknown(one):
    _, labels, affine = stairs()
    labels[:4] = 255
    nib.save(nib.Nifti1Image(labels, affine), one / "corrected/anna_seg.nii.gz")
    run(one)
    truth = open_dataset(one / "data").cases[0].read_truth()
    assert np.array_equal(truth, labels)
    assert (truth == 255).sum() == 4 * 48 * 5


def test_structures_that_nobody_marked(one):
    run(one, unmarked=["S", "posterior elements"])
    assert open_dataset(one / "data").sets.values[0] == (0, 1, 21)
    with pytest.raises(UsageError, match="no label 'sacrum'"):
        run(one, unmarked=["sacrum"])


def test_another_scheme_keeps_its_sets(one):
    _, ids, affine = stairs()
    values, lost = SCHEMES["totalspineseg"].encode(np.where(ids == 21, 0, ids))
    assert lost == ()
    nib.save(nib.Nifti1Image(values, affine), one / "corrected/anna_seg.nii.gz")
    assert states(run(one, labels="totalspineseg", force=True)) == [("anna", "added", "Case1")]
    case = open_dataset(one / "data").cases[0]
    assert case.sets.values == {**SCHEMES["totalspineseg"].sets.values}
    assert np.array_equal(case.sets.principal(case.read_truth()), np.where(ids == 21, 0, ids))
    with pytest.raises(UsageError, match="stand for other structures than these"):
        run(one)  # cafrnet's own values in the same dataset


def test_scans_and_maps_in_one_folder(tmp_path):
    write_pair(tmp_path, "anna")
    (tmp_path / "corrected/anna_seg.nii.gz").rename(tmp_path / "scans/anna_seg.nii.gz")
    outcomes = add_corrections(tmp_path / "scans", tmp_path / "scans", tmp_path / "data")
    assert states(outcomes) == [("anna", "added", "Case1")]


# -- again, more, others -----------------------------------------------------------------------------------


def test_a_second_round_adds_what_is_new_and_keeps_the_numbers(tmp_path):
    write_pair(tmp_path, "b")
    run(tmp_path)
    write_pair(tmp_path, "a", slices=6)
    assert states(run(tmp_path)) == [("a", "added", "Case2"), ("b", "unchanged", "Case1")]


def test_a_map_corrected_again_replaces_only_when_asked(one):
    run(one)
    _, labels, affine = stairs()
    labels[labels == 21] = 255
    nib.save(nib.Nifti1Image(labels, affine), one / "corrected/anna_seg.nii.gz")
    (failed,) = run(one)
    assert (failed.status, failed.usage) == ("failed", True)
    assert "anna is Case1 already, with another label map; add --overwrite" in failed.message
    assert states(run(one, overwrite=True)) == [("anna", "replaced", "Case1")]
    assert np.array_equal(open_dataset(one / "data").cases[0].read_truth(), labels)


def test_patients_with_several_scans(tmp_path):
    for k, name in enumerate(("a1", "a2", "b")):
        write_pair(tmp_path, name, slices=5 + k)
    table = tmp_path / "patients.csv"
    table.write_text("case,patient\na1,anna\na2,anna\n")
    outcomes = run(tmp_path, patients=table)
    assert [o.status for o in outcomes] == ["added", "added", "failed"]
    assert "no row for 'b'" in outcomes[2].message
    assert [c.patient for c in open_dataset(tmp_path / "data")] == ["anna", "anna"]
    rows = list(csv.reader((tmp_path / "data/patients.csv").open()))
    assert rows == [["case", "patient", "scan"], ["Case1", "anna", "a1"], ["Case2", "anna", "a2"]]


def test_cases_join_a_dataset_that_stood_there_before(tiny_dataset, tmp_path, one):
    import shutil

    shutil.copytree(tiny_dataset, tmp_path / "data", dirs_exist_ok=True)
    (tmp_path / "data/dataset.yaml").write_text("name: mine\nscheme: cafrnet\n")
    assert states(run(one)) == [("anna", "added", "Case9")]
    patients = {c.id: c.patient for c in open_dataset(tmp_path / "data")}
    assert (patients["Case3"], patients["Case9"]) == ("3", "anna")


def test_a_folder_of_something_else(one):
    (one / "data").mkdir()
    (one / "data/notes.txt").write_text("")
    with pytest.raises(UsageError, match="is not empty and holds no dataset"):
        run(one)


def test_interrupted_between_mask_and_image(one, monkeypatch):
    replace, calls = add.os.replace, []

    def stop(source, target):
        calls.append(target)
        if "MR" in str(target):
            raise KeyboardInterrupt
        replace(source, target)

    monkeypatch.setattr(add.os, "replace", stop)
    with pytest.raises(KeyboardInterrupt):
        run(one)
    assert not list((one / "data/train").glob("MR/*"))
    monkeypatch.undo()
    assert states(run(one)) == [("anna", "added", "Case1")]
    assert len(open_dataset(one / "data")) == 1
    assert not list(one.rglob(".*"))


# -- geometry ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("axes", [(0, 1, 2), (2, 0, 1), (1, 2, 0), (2, 1, 0)])
@pytest.mark.parametrize("flips", [(False, False, False), (True, False, True), (True, True, True)])
def test_any_axis_order_is_the_same_map(axes, flips):
    image, labels, affine = stairs()
    scan = Scan(image, affine)
    turned, at = moved(labels, affine, axes, flips)
    assert np.array_equal(on_scan(turned, at, scan, "map"), labels)


def test_a_box_around_the_segments():
    image, labels, affine = stairs()
    box = tuple(slice(a.min(), a.max() + 1) for a in np.nonzero(labels))
    cropped, at = moved(labels, affine, (2, 0, 1), (True, False, False), tuple(box[k] for k in (2, 0, 1)))
    flipped_box = labels.transpose(2, 0, 1)[::-1][tuple(box[k] for k in (2, 0, 1))]
    assert np.array_equal(cropped, flipped_box)
    placed = on_scan(cropped, at, Scan(image, affine), "map")
    expected = np.zeros_like(labels)
    whole, whole_at = moved(labels, affine, (2, 0, 1), (True, False, False))
    assert np.array_equal(on_scan(whole, whole_at, Scan(image, affine), "map"), labels)
    inside = np.zeros(labels.shape, bool).transpose(2, 0, 1)
    inside[::-1][tuple(box[k] for k in (2, 0, 1))] = True
    expected[inside.transpose(1, 2, 0)] = labels[inside.transpose(1, 2, 0)]
    assert np.array_equal(placed, expected)


@pytest.mark.parametrize(
    ("scale", "shift_mm", "message"),
    [
        ((0.5, 0.5, 1), (0, 0, 0), "its voxels are not those of scan"),
        ((1.02, 1, 1), (0, 0, 0), "voxels off those of scan"),
        ((1, 1, 1), (2.0, 0, 0), "its voxels lie up to 0.5 voxels off those of scan"),
        ((1, 1, 1), (3.9, 0, 0), "marks 508 voxels outside scan"),
    ],
)
def test_other_voxels_are_an_error_that_says_what_to_do(scale, shift_mm, message):
    image, labels, affine = stairs()
    at = affine @ np.diag([*scale, 1])
    at[:3, 3] += shift_mm
    with pytest.raises(InputError, match=rf"{message}.*reference geometry"):
        on_scan(labels, at, Scan(image, affine, source="scan"), "map")


def test_rounding_is_no_error(caplog):
    image, labels, affine = stairs()
    near = affine + np.pad(np.full((3, 1), 0.01), ((0, 1), (3, 0)))
    assert np.array_equal(on_scan(labels, near, Scan(image, affine), "map"), labels)
    assert not caplog.records
    far = affine + np.pad(np.full((3, 1), 0.4), ((0, 1), (3, 0)))
    assert np.array_equal(on_scan(labels, far, Scan(image, affine), "map"), labels)
    assert "0.20 voxels off" in caplog.text


# -- what is wrong stops one case and no other ---------------------------------------------------------------


def test_a_bad_one_never_stops_the_rest(tmp_path):
    _, labels, affine = stairs()
    write_pair(tmp_path, "a", labels=np.where(labels == 2, 77, labels).astype(np.uint8))
    write_pair(tmp_path, "b", affine=affine @ np.diag([2, 2, 1, 1]))
    write_pair(tmp_path, "c", labels=np.zeros_like(labels))
    swapped = labels.copy()
    swapped[labels == 3], swapped[labels == 4] = 4, 3
    write_pair(tmp_path, "d", labels=swapped)
    write_pair(tmp_path, "e")
    nib.save(nib.Nifti1Image(labels, affine), tmp_path / "corrected/f_seg.nii.gz")
    (tmp_path / "corrected/g_seg.nii.gz").write_bytes(b"damaged")
    nib.save(nib.Nifti1Image(labels, affine), tmp_path / "scans/g.nii.gz")
    outcomes = {o.name: o for o in run(tmp_path)}
    said = {
        "a": r"[77], which its label scheme does not know",
        "b": "its voxels are not those of",
        "c": "nothing is marked",
        "d": "add --force",
        "f": "no scan of the name 'f'",
        "g": "is not a gzip file",
    }
    for name, sentence in said.items():
        assert outcomes[name].status == "failed"
        assert sentence in outcomes[name].message, outcomes[name].message
    assert (outcomes["e"].status, outcomes["e"].case) == ("added", "Case1")
    assert len(open_dataset(tmp_path / "data")) == 1


def test_nothing_is_left_when_nothing_was_good(tmp_path):
    _, labels, _ = stairs()
    write_pair(tmp_path, "a", labels=np.zeros_like(labels))
    assert run(tmp_path)[0].status == "failed"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["corrected", "scans"]


def test_force_adds_what_the_doctor_doubts(tmp_path):
    _, labels, _ = stairs()
    write_pair(tmp_path, "a", labels=np.where(labels == 3, 0, labels).astype(np.uint8))
    (failed,) = run(tmp_path)
    assert "add --force" in failed.message
    assert run(tmp_path, force=True)[0].status == "added"


@pytest.mark.parametrize("missing", ["scans", "corrected", "maps", "twice"])
def test_nothing_could_start(one, missing):
    if missing in ("scans", "corrected"):
        (one / missing).rename(one / "elsewhere")
    elif missing == "maps":
        (one / "corrected/anna_seg.nii.gz").unlink()
    else:
        (one / "corrected/anna.seg.nrrd").write_bytes(b"")
    with pytest.raises(UsageError):
        run(one)


# -- Slicer's segmentations --------------------------------------------------------------------------------


def test_from_slicer_to_the_dataset(tmp_path):
    pytest.importorskip("SimpleITK", reason="the 'itk' extra is not installed")
    write_pair(tmp_path, "anna").unlink()
    _, labels, affine = stairs()
    turned, at = moved(labels, affine, (2, 0, 1), (True, False, True))
    names = [(TABLE[int(i)].name, int(i), 0) for i in np.unique(labels) if i]
    save_segments(tmp_path / "corrected/anna.seg.nrrd", [turned], at, names)
    assert states(run(tmp_path)) == [("anna", "added", "Case1")]
    assert np.array_equal(open_dataset(tmp_path / "data").cases[0].read_truth(), labels)


# -- the command -------------------------------------------------------------------------------------------


def test_the_command(one, capsys):
    words = ["data", "add-corrections", str(one / "scans"), str(one / "corrected"), "-o", str(one / "data")]
    assert main(words) == 0
    shown = capsys.readouterr()
    assert shown.out == f"{one / 'data'}\n"
    assert "[1/1] added: anna is Case1" in shown.err
    assert "0 errors" in shown.err
    (one / "corrected/gone_seg.nii.gz").write_bytes((one / "corrected/anna_seg.nii.gz").read_bytes())
    assert main(words) == 1
    assert "no scan of the name 'gone'" in capsys.readouterr().err
    assert main([*words, "--unmarked", "S"]) == 2


def test_a_map_written_with_other_values_is_never_read_as_cafrnet_s(tmp_path, capsys):
    path = write_pair(tmp_path, "anna")
    truth = stairs()[1]
    written, _ = SCHEMES["verse"].encode(truth)
    write_labels(written, read_scan(tmp_path / "scans/anna.nii.gz"), path, scheme="verse")
    words = [str(tmp_path / "scans"), str(tmp_path / "corrected"), "-o", str(tmp_path / "data"), "-q"]
    assert main(["data", "add-corrections", *words]) != 0
    said = capsys.readouterr().err
    assert "its values are those of verse, not of cafrnet; use --labels verse" in said
    assert not (tmp_path / "data/train").exists()
    assert main(["data", "add-corrections", *words, "--labels", "verse", "--force"]) == 0  # bodies only
    case = open_dataset(tmp_path / "data").cases[0]
    bodies = np.isin(truth, TABLE.of_kind("body"))
    assert np.array_equal(case.read_truth(case.read())[bodies], written[bodies])
