"""On real scans, found through CAFRNET_REAL_DATA: the numbers that geometry predicts, and the time."""

import os
import time
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from scipy.ndimage import distance_transform_edt

from cafrnet.evaluation import evaluate
from cafrnet.evaluation.levels import move

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif("CAFRNET_REAL_DATA" not in os.environ, reason="CAFRNET_REAL_DATA is not set"),
]
CASES = ("107", "11", "18")


@pytest.fixture(scope="module")
def root() -> Path:
    return Path(os.environ["CAFRNET_REAL_DATA"])


def predictions(root: Path, folder: Path, change) -> Path:
    """Write changed truths as predictions."""
    folder.mkdir()
    for n in CASES:
        image = nib.load(root / f"train/Mask/mask_case{n}.nii.gz")
        array = change(np.asarray(image.dataobj).astype(np.uint8), image)
        nib.save(nib.Nifti1Image(array.astype(np.uint8), image.affine), folder / f"Case{n}_seg.nii.gz")
    return folder


def scored(found) -> list:
    return [case for case in found.cases if not case.no_prediction]


def test_shift_by_one_voxel(root, tmp_path):
    pred = predictions(root, tmp_path / "p", lambda a, _: np.roll(a, 1, axis=0))
    started = time.perf_counter()
    found = evaluate(root, pred, regions=False)
    assert time.perf_counter() - started < 60
    for case in scored(found):
        in_plane_mm = min(case.spacing_mm)
        for row in case.rows:
            assert row.hd_mm == pytest.approx(in_plane_mm)
            assert row.nsd_1mm == 1
            assert 0.8 < row.dsc < 1
    assert found.summary["not_annotated"] == ["S"]


def test_shift_by_one_level_is_undone(root, tmp_path):
    found = evaluate(root, predictions(root, tmp_path / "p", lambda a, _: move(a, 1)), slices=False)
    for case in scored(found):
        assert case.levels.shift == 1
        assert case.mean("dsc") == 0
        assert all(row.dsc == 1 for row in case.rows_after_shift)


def test_whole_vertebrae_cut_to_bodies(root, tmp_path):
    def whole(array, image):
        body = (array >= 2) & (array <= 10)
        nearest = distance_transform_edt(
            ~body, sampling=image.header.get_zooms(), return_distances=False, return_indices=True
        )
        merged = np.where(array == 21, array[tuple(nearest)], array)
        return np.where(merged == 20, 0, merged)

    pred = predictions(root, tmp_path / "p", whole)
    for case in scored(evaluate(root, pred, labels="spinemri", slices=False)):
        assert case.mean("dsc") < 0.97
    for case in scored(evaluate(root, pred, labels="spinemri", common="body", slices=False)):
        assert case.mean("dsc") > 0.985
