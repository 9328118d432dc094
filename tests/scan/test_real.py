"""Real scans, found through CAFRNET_REAL_DATA: the round trips that the small volumes prove, at full size."""

from __future__ import annotations

import os
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from cafrnet.scan import read_labels, read_scan, write_labels
from cafrnet.scan.dicom_writer import upright, write_enhanced, write_series

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def case() -> tuple[Path, Path]:
    root = os.environ.get("CAFRNET_REAL_DATA")
    if not root:
        pytest.skip("CAFRNET_REAL_DATA names no folder")
    image = min(Path(root, "train", "MR").glob("Case*.nii.gz"))
    return image, Path(root, "train", "Mask", f"mask_{image.name.lower()}")


def test_a_truth_written_again_is_the_same_file_to_a_reader(case, tmp_path):
    image, mask = case
    scan, (labels, affine) = read_scan(image), read_labels(mask)
    assert scan.voxels.dtype.kind in "ui"
    write_labels(labels, scan, tmp_path / "seg.nii.gz")
    ours, theirs = nib.load(tmp_path / "seg.nii.gz"), nib.load(image)
    np.testing.assert_array_equal(np.asarray(ours.dataobj), labels)
    np.testing.assert_array_equal(ours.affine, theirs.affine)
    np.testing.assert_allclose(affine, scan.affine, atol=0.1)
    assert (ours.header["qform_code"], ours.header["sform_code"]) == (
        theirs.header["qform_code"],
        theirs.header["sform_code"],
    )


@pytest.mark.parametrize("kind", ["series", "enhanced"])
def test_dicom_round_trip(case, tmp_path, kind):
    scan = read_scan(case[0])
    turned = upright(scan)
    for k, given in enumerate((scan, turned)):
        path = tmp_path / f"{k}{'.dcm' if kind == 'enhanced' else ''}"
        write = write_series if kind == "series" else write_enhanced
        write(given, path, description="T2 SAG", seed_uid=str(k))
        back = read_scan(path)
        np.testing.assert_array_equal(back.voxels, given.voxels)
        np.testing.assert_allclose(back.affine, given.affine, atol=1e-4)
        np.testing.assert_array_equal(
            back.frame.to_sagittal(back.voxels), scan.frame.to_sagittal(scan.voxels)
        )
