"""Which reader a path gets."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cafrnet.errors import InputError, UsageError
from cafrnet.labels import get_scheme
from cafrnet.scan import is_scan, read_labels, read_scan, write_labels, written_scheme
from cafrnet.scan.dicom_writer import write_enhanced
from handmade import write_stairs


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.nii.gz", True),
        ("A.NII", True),
        ("a.png", True),
        ("a.seg.nrrd", True),
        ("IM1.dcm", True),
        (".a.nii.gz", False),
        ("a.nii.gz.tmp", False),
        ("a.gz", False),
        ("a.json", False),
        ("anii", False),
    ],
)
def test_is_scan_goes_by_name(name, expected):
    assert is_scan(Path(name)) is expected


def test_a_dicom_file_needs_no_suffix(tmp_path, acquired):
    write_enhanced(acquired, tmp_path / "IM0001", description="T2", seed_uid="a")
    np.testing.assert_array_equal(read_scan(tmp_path / "IM0001").voxels, acquired.voxels)


def test_unknown_kinds_are_refused_with_what_is_known(tmp_path):
    (tmp_path / "a.docx").write_text("text")
    for reader in (read_scan, read_labels):
        with pytest.raises(InputError, match=r"a.docx: not a kind.*\.nii\.gz.*\.mha.*DICOM folder"):
            reader(tmp_path / "a.docx")
        with pytest.raises(InputError, match="gone: no such file or folder"):
            reader(tmp_path / "gone")


@pytest.mark.parametrize("name", ["seg.mha", "seg.dcm", "seg", "seg.npy"])
def test_labels_are_written_in_known_formats_only(tmp_path, acquired, name):
    with pytest.raises(UsageError, match=r"written as .nii.gz, .nii or"):
        write_labels(np.zeros(acquired.voxels.shape), acquired, tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_optional_and_heavy_packages_are_imported_only_when_needed():
    code = (
        "import sys, cafrnet.scan; "
        "print([m for m in ('SimpleITK', 'skimage', 'matplotlib', 'torch') if m in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_a_file_that_may_not_be_read(tmp_path, monkeypatch):
    path = write_stairs(tmp_path / "a.nii.gz")
    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.R_OK)  # root may read everything
    for read in (read_scan, read_labels):
        with pytest.raises(InputError, match=r"a\.nii\.gz may not be read; change its permissions"):
            read(path)


@pytest.mark.parametrize("name", ["a_seg.nii.gz", "a_seg.nii", "a_seg.png"])
def test_a_label_map_names_its_scheme_and_is_read_as_no_other(tmp_path, name):
    Image.fromarray(np.arange(12, dtype=np.uint8).reshape(3, 4)).save(tmp_path / "a.png")
    scan = read_scan(tmp_path / "a.png", pixel_mm=1.0)
    write_labels(scan.voxels, scan, tmp_path / name, scheme="spider")
    assert written_scheme(tmp_path / name) == "spider"
    assert np.array_equal(read_labels(tmp_path / name, get_scheme("spider"))[0], scan.voxels)
    assert np.array_equal(read_labels(tmp_path / name)[0], scan.voxels)  # as they stand
    with pytest.raises(InputError, match="those of spider, not of cafrnet; use --labels spider"):
        read_labels(tmp_path / name, get_scheme("cafrnet"))
    write_labels(scan.voxels, scan, tmp_path / name)
    assert written_scheme(tmp_path / name) is None
    (tmp_path / name).write_bytes(b"cut")
    assert written_scheme(tmp_path / name) is None
