"""Label maps of nnU-Net come back on the scan's own grid, or not at all."""

import nibabel as nib
import numpy as np
import pytest

pytest.importorskip("torch")

from cafrnet.datasets import open_dataset
from cafrnet.errors import InputError
from cafrnet.experiments.nnunet.back import bring_back, corners_apart_mm

from ..small import write_spines


@pytest.fixture(scope="module")
def case(tmp_path_factory):
    return open_dataset(write_spines(tmp_path_factory.mktemp("back") / "data", cases=1)).cases[0]


def save(array, affine, path):
    nib.save(nib.Nifti1Image(array.astype(np.uint8), affine), path)
    return path


def test_a_label_map_takes_the_scan_s_header(case, tmp_path):
    scan = case.read()
    ids = np.where(case.read_truth() < 20, case.read_truth(), 0)
    bring_back(case, save(ids, scan.affine, tmp_path / "a.nii.gz"), tmp_path / "b.nii.gz")
    there, image = nib.load(tmp_path / "b.nii.gz"), nib.load(case.image)
    np.testing.assert_array_equal(np.asarray(there.dataobj), ids)
    np.testing.assert_array_equal(there.affine, image.affine)
    assert there.header["sform_code"] == image.header["sform_code"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda ids, affine: (ids[:-1], affine), "its shape"),
        (lambda ids, affine: (ids, affine + np.diag([0, 0, 0.2, 0])), "mm from its scan"),
        (lambda ids, affine: (ids[:, ::-1], affine @ np.diag([1, -1, 1, 1])), "mm from its scan"),
        (lambda ids, affine: (ids + 20, affine), "from 0 to 19"),
    ],
)
def test_what_does_not_belong_to_the_scan_is_refused(case, change, message, tmp_path):
    array, affine = change(case.read_truth() % 20, case.read().affine)
    with pytest.raises(InputError, match=message):
        bring_back(case, save(array, affine, tmp_path / "a.nii.gz"), tmp_path / "b.nii.gz")
    assert not (tmp_path / "b.nii.gz").exists()


def test_a_missing_label_map_is_named(case, tmp_path):
    with pytest.raises(InputError, match="no such file"):
        bring_back(case, tmp_path / "none.nii.gz", tmp_path / "b.nii.gz")


def test_how_far_two_affines_are_apart():
    # 1 % longer steps along the first axis: the far corner of ten voxels of 2 mm lies 0.2 mm further
    longer = np.diag([2.02, 2, 2, 1])
    assert corners_apart_mm(longer, np.diag([2, 2, 2, 1]), (10, 5, 5)) == pytest.approx(0.2)
