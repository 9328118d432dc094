"""DICOM out and in again gives the same voxels at the same place, and the same bytes for the same call."""

from __future__ import annotations

import errno
from itertools import permutations, product

import numpy as np
import pydicom
import pytest
from nibabel.affines import apply_affine

from cafrnet.errors import InputError, UsageError
from cafrnet.scan import Scan, read_scan
from cafrnet.scan.dicom_writer import upright, write_enhanced, write_series

from .conftest import oblique

#: The array order of SpineMRI, (AP, SI, LR) with SI growing cranially, in both hands.
SPINEMRI_MM = {
    "left": np.array([[0, 0, -4.4], [-0.35, 0, 0], [0, 0.35, 0]]),
    "right": np.array([[0, 0, 4.4], [-0.35, 0, 0], [0, 0.35, 0]]),
}


def written(scan: Scan, folder, kind: str) -> Scan:
    if kind == "series":
        write_series(scan, folder / "series", description="T2", seed_uid="a")
        return read_scan(folder / "series")
    return read_scan(write_enhanced(scan, folder / "e.dcm", description="T2", seed_uid="a"))


@pytest.mark.parametrize("hand", SPINEMRI_MM)
@pytest.mark.parametrize("kind", ["series", "enhanced"])
def test_array_and_affine_come_back_exactly(tmp_path, acquired, hand, kind):
    scan = Scan(acquired.voxels, oblique(SPINEMRI_MM[hand], (10, -20, 30)))
    back = written(scan, tmp_path, kind)
    np.testing.assert_array_equal(back.voxels, scan.voxels)
    np.testing.assert_allclose(back.affine, scan.affine, atol=1e-4)
    far = np.array(scan.voxels.shape) - 1
    np.testing.assert_allclose(apply_affine(back.affine, far), apply_affine(scan.affine, far), atol=1e-4)


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_any_array_order_comes_back_at_the_same_place(tmp_path, acquired, order):
    scan = Scan(acquired.voxels.transpose(order), acquired.affine[:, [*order, 3]])
    back = written(scan, tmp_path, "series")
    np.testing.assert_array_equal(
        back.frame.to_sagittal(back.voxels), acquired.frame.to_sagittal(acquired.voxels)
    )
    assert back.voxels.shape[2] == 6  # cut across the widest spacing
    to_scan = np.linalg.inv(scan.affine) @ back.affine
    for index in product((0, 2), (1, 3), (0, 5)):
        there = tuple(np.round(apply_affine(to_scan, index)).astype(int))
        assert scan.voxels[there] == back.voxels[index]


@pytest.mark.parametrize("hand", SPINEMRI_MM)
def test_upright_turns_the_array_and_moves_nothing(tmp_path, acquired, hand):
    scan = Scan(acquired.voxels, oblique(SPINEMRI_MM[hand], (0, 0, 0)))
    turned = upright(scan)
    np.testing.assert_allclose(turned.affine[:3, :3], [[0, 0, 4.4], [-0.35, 0, 0], [0, -0.35, 0]], atol=1e-12)
    np.testing.assert_array_equal(
        turned.frame.to_sagittal(turned.voxels), scan.frame.to_sagittal(scan.voxels)
    )
    labels = scan.frame.to_sagittal(scan.voxels).transpose(2, 1, 0)  # as the docstring tells
    np.testing.assert_array_equal(labels, turned.voxels)
    corner = apply_affine(np.linalg.inv(scan.affine) @ turned.affine, [0, 0, 0]).round().astype(int)
    assert scan.voxels[tuple(corner)] == turned.voxels[0, 0, 0]
    np.testing.assert_array_equal(written(turned, tmp_path, "series").voxels, turned.voxels)


@pytest.mark.parametrize("kind", ["series", "enhanced"])
def test_the_same_call_gives_the_same_bytes(tmp_path, acquired, kind):
    contents = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        written(acquired, tmp_path / name, kind)
        contents.append([p.read_bytes() for p in sorted((tmp_path / name).rglob("*.dcm"))])
    assert contents[0] == contents[1]


def test_uids_follow_seed_and_patient(tmp_path, acquired):
    def uids(name: str, **values: str) -> tuple[str, str]:
        path = write_series(acquired, tmp_path / name, description="T2", **values)[0]
        header = pydicom.dcmread(path)
        return header.SeriesInstanceUID, header.StudyInstanceUID

    first = uids("1", seed_uid="a", patient_id="P1")
    second = uids("2", seed_uid="b", patient_id="P1")
    third = uids("3", seed_uid="c", patient_id="P2")
    assert len({first[0], second[0], third[0]}) == 3
    assert first[1] == second[1] != third[1]


def test_headers_hold_what_was_asked(tmp_path, acquired):
    paths = write_series(
        acquired,
        tmp_path / "s",
        description="STIR SAG",
        seed_uid="a",
        echo_time_ms=60,
        repetition_time_ms=4000,
        inversion_time_ms=160,
        series_number=7,
    )
    assert [p.name for p in paths] == [f"{k:04d}.dcm" for k in range(1, 7)]
    header = pydicom.dcmread(paths[3])
    assert (header.EchoTime, header.RepetitionTime, header.InversionTime) == (60, 4000, 160)
    assert (header.SeriesDescription, header.SeriesNumber, header.InstanceNumber) == ("STIR SAG", 7, 4)
    assert (header.Rows, header.Columns) == (9, 7)
    assert header.PixelSpacing == [0.7, 0.5]
    assert (header.SliceThickness, header.SpacingBetweenSlices) == (4.4, 4.4)


@pytest.mark.parametrize("voxels", [np.linspace(0, 1, 60), np.arange(60) - 1, np.arange(60) * 2000])
def test_voxels_that_do_not_fit_are_refused(tmp_path, left_behind, voxels):
    scan = Scan(voxels.reshape(3, 4, 5), np.eye(4))
    for write, name in ((write_series, "s"), (write_enhanced, "e.dcm")):
        with pytest.raises(InputError, match="whole numbers between 0 and 65535"):
            write(scan, tmp_path / name, description="T2", seed_uid="a")
    assert left_behind(tmp_path) == []


def test_whole_numbers_in_floating_point_are_taken(tmp_path):
    scan = Scan(np.arange(60, dtype=np.float32).reshape(3, 4, 5), np.eye(4))
    np.testing.assert_array_equal(written(scan, tmp_path, "series").voxels, scan.voxels)


def test_a_folder_in_use_is_refused(tmp_path, acquired):
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / "mine.txt").write_text("mine")
    with pytest.raises(UsageError, match="not an empty folder"):
        write_series(acquired, tmp_path / "s", description="T2", seed_uid="a")
    (tmp_path / "s" / "mine.txt").unlink()
    write_series(acquired, tmp_path / "s", description="T2", seed_uid="a")  # empty is fine


def test_a_full_disk_leaves_nothing(small_disk, left_behind, acquired):
    big = Scan(np.tile(acquired.voxels, (8, 8, 4)), acquired.affine)
    with pytest.raises(InputError, match="No space left"):
        write_series(big, small_disk / "s", description="T2", seed_uid="a")
    with pytest.raises(InputError, match="No space left"):
        write_enhanced(big, small_disk / "e.dcm", description="T2", seed_uid="a")
    assert list(small_disk.iterdir()) == []


def test_a_write_that_fails_half_way_leaves_nothing(tmp_path, acquired, monkeypatch):
    real, calls = pydicom.Dataset.save_as, []

    def third_fails(dataset, path, **options):
        calls.append(path)
        if len(calls) == 3:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(dataset, path, **options)

    monkeypatch.setattr(pydicom.Dataset, "save_as", third_fails)
    with pytest.raises(InputError, match=r"s could not be written: No space left"):
        write_series(acquired, tmp_path / "s", description="T2", seed_uid="a")
    assert list(tmp_path.iterdir()) == []
