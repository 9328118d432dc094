"""Real scans and their label maps, through Slicer's form and back, become the same dataset again."""

import shutil

import numpy as np
import pytest

from cafrnet.datasets import open_dataset
from cafrnet.datasets.corrections import add_corrections
from cafrnet.labels import TABLE

CASES = ("Case98", "Case185")


@pytest.mark.real
def test_two_cases_go_round(real_data, tmp_path):
    sitk = pytest.importorskip("SimpleITK", reason="the 'itk' extra is not installed")
    for folder in ("scans", "corrected"):
        (tmp_path / folder).mkdir()
    given = open_dataset(real_data).select(list(CASES))
    for case in given:
        shutil.copy(case.image, tmp_path / "scans")
    shutil.copy(given[0].labels, tmp_path / "corrected/Case98_seg.nii.gz")
    image = sitk.PermuteAxes(sitk.ReadImage(str(given[1].labels)), (2, 0, 1))[::-1]
    for number, value in enumerate(np.flatnonzero(np.bincount(given[1].read_truth().ravel()))[1:]):
        image.SetMetaData(f"Segment{number}_Name", TABLE[int(value)].name)
        image.SetMetaData(f"Segment{number}_LabelValue", str(value))
        image.SetMetaData(f"Segment{number}_Layer", "0")
    sitk.WriteImage(image, str(tmp_path / "corrected/Case185.seg.nrrd"))
    outcomes = add_corrections(
        tmp_path / "scans", tmp_path / "corrected", tmp_path / "data", unmarked=["S"], force=True
    )
    assert [o.status for o in outcomes] == ["added", "added"], [o.message for o in outcomes]
    made = open_dataset(tmp_path / "data")
    assert made.sets.values[0] == (0, 1)
    for ours, theirs in zip(made, given, strict=True):
        assert np.array_equal(ours.read_truth(ours.read()), theirs.read_truth())
