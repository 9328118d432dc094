"""Datasets of phantoms on disk."""

import hashlib
import json

import nibabel as nib
import numpy as np
import pytest
import yaml

from cafrnet.datasets import open_dataset
from cafrnet.errors import UsageError
from cafrnet.phantom import PhantomOptions, make_phantom, write_dataset
from cafrnet.phantom.writing import case_rng

TINY = PhantomOptions(matrix=(64, 64), pixel_mm=3.0, slices=6, slice_spacing_mm=8, supersampling=1)


def hashes(folder):
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def test_layout_is_that_of_spinemri(tmp_path):
    calls = []
    write_dataset(tmp_path, 2, 5, options=TINY, progress=lambda *call: calls.append(call))
    assert list(hashes(tmp_path)) == [
        "dataset.yaml",
        "train/MR/Case1.nii.gz",
        "train/MR/Case2.nii.gz",
        "train/Mask/mask_case1.nii.gz",
        "train/Mask/mask_case2.nii.gz",
        "truth/Case1.json",
        "truth/Case2.json",
    ]
    assert calls == [(1, 2), (2, 2)]
    described = yaml.safe_load((tmp_path / "dataset.yaml").read_text())
    assert described["name"] == "phantom"
    assert described["values"] == {i: [i] for i in range(22)}
    assert "synthetic" in (tmp_path / "dataset.yaml").read_text().lower()


def test_files_hold_what_was_made(tmp_path):
    write_dataset(tmp_path, 1, 5, options=TINY)
    phantom = make_phantom(case_rng(5, 1), TINY)
    image = nib.load(tmp_path / "train/MR/Case1.nii.gz")
    mask = nib.load(tmp_path / "train/Mask/mask_case1.nii.gz")
    assert image.get_data_dtype() == np.uint16
    assert (np.asarray(image.dataobj) == phantom.scan.voxels).all()
    assert (np.asarray(mask.dataobj) == phantom.labels).all()
    np.testing.assert_allclose(image.affine, phantom.scan.affine, atol=1e-4)
    np.testing.assert_allclose(mask.affine, image.affine, atol=1e-6)
    truth = json.loads((tmp_path / "truth/Case1.json").read_text())
    assert truth["bodies"] == phantom.truth["bodies"]
    assert (truth["seed"], truth["case"]) == (5, 1)


def test_cases_depend_on_seed_and_number_alone(tmp_path):
    for name, cases, seed in (("two", 2, 5), ("three", 3, 5), ("other", 2, 6)):
        write_dataset(tmp_path / name, cases, seed, options=TINY)
    two, three, other = (hashes(tmp_path / name) for name in ("two", "three", "other"))
    assert two.items() <= three.items()
    assert all(two[name] != other[name] for name in two)
    assert two["train/MR/Case1.nii.gz"] != two["train/MR/Case2.nii.gz"]


def test_no_trace_of_the_temporary_name_in_the_gzip_header(tmp_path):
    write_dataset(tmp_path, 1, 5, options=TINY)
    for path in (tmp_path / "train").rglob("*.nii.gz"):
        header = path.read_bytes()[:8]
        assert header[3] & 0x08 == 0  # no file name
        assert header[4:8] == b"\0\0\0\0"  # no time


def test_an_interrupted_dataset_is_completed(tmp_path):
    write_dataset(tmp_path / "whole", 3, 5, options=TINY)
    broken = tmp_path / "broken"

    def stop(done, cases):
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_dataset(broken, 3, 5, options=TINY, progress=stop)
    (broken / "truth/Case2.json").unlink()  # as if case 2 had been cut short
    (broken / "train/MR/Case2.nii.gz").write_bytes(b"half")
    first = broken / "train/MR/Case1.nii.gz"
    before = first.stat().st_mtime_ns
    write_dataset(broken, 3, 5, options=TINY)
    assert hashes(broken) == hashes(tmp_path / "whole")
    assert first.stat().st_mtime_ns == before  # a finished case is not made again


def test_other_settings_in_the_same_folder_are_refused(tmp_path):
    write_dataset(tmp_path, 1, 5, options=TINY)
    before = hashes(tmp_path)
    with pytest.raises(UsageError, match="holds another dataset"):
        write_dataset(tmp_path, 1, 6, options=TINY)
    with pytest.raises(UsageError, match="made with another options"):
        write_dataset(tmp_path, 1, 5, options=PhantomOptions(slices=3))
    with pytest.raises(UsageError, match="made with another format"):
        write_dataset(tmp_path, 1, 5, options=TINY, format="dicom")
    assert hashes(tmp_path) == before


def test_a_folder_with_other_things_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(UsageError, match="not empty"):
        write_dataset(tmp_path, 1, 5, options=TINY)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [((0, 5), "0 cases"), ((1, -1), "seed -1")],
)
def test_numbers_that_make_no_sense_are_refused(tmp_path, arguments, message):
    with pytest.raises(UsageError, match=message):
        write_dataset(tmp_path / "new", *arguments, options=TINY)
    assert not (tmp_path / "new").exists()


def test_an_unknown_format_is_refused(tmp_path):
    with pytest.raises(UsageError, match="known are nifti, dicom"):
        write_dataset(tmp_path / "new", 1, 1, format="png", options=TINY)


def test_dicom_series_show_the_same_scan(tmp_path):
    write_dataset(tmp_path / "nifti", 2, 5, options=TINY)
    write_dataset(tmp_path / "dicom", 2, 5, options=TINY, format="dicom")
    pairs = zip(open_dataset(tmp_path / "nifti"), open_dataset(tmp_path / "dicom"), strict=True)
    for plain, series in pairs:
        a, b = plain.read(), series.read()
        assert series.image.is_dir()
        assert len(list(series.image.glob("*.dcm"))) == 6
        assert (a.frame.to_sagittal(a.voxels) == b.frame.to_sagittal(b.voxels)).all()
        truths = plain.read_truth(a), series.read_truth(b)
        assert (a.frame.to_sagittal(truths[0]) == b.frame.to_sagittal(truths[1])).all()
        stored = json.loads((tmp_path / "dicom/truth" / f"{series.id}.json").read_text())
        np.testing.assert_allclose(stored["grid"]["affine"], b.affine, atol=1e-4)


def test_dicom_files_are_the_same_every_time(tmp_path):
    for name in ("a", "b"):
        write_dataset(tmp_path / name, 1, 5, options=TINY, format="dicom")
    assert hashes(tmp_path / "a") == hashes(tmp_path / "b")


def test_datasets_are_found_by_their_layout(tmp_path):
    write_dataset(tmp_path, 2, 5, options=TINY)
    dataset = open_dataset(tmp_path)
    assert dataset.name == "phantom"
    assert [case.id for case in dataset] == ["Case1", "Case2"]
    assert not dataset.sets.whole_vertebrae
    case = dataset.cases[0]
    assert case.read_truth(case.read()).max() <= 255
