"""Probes on real scans: what the dataset says of itself must agree with what we read from it."""

import numpy as np
import pytest

from cafrnet.datasets import open_dataset
from cafrnet.experiments.probes.artefacts import ARTEFACTS, degrade, seed_of
from cafrnet.experiments.probes.pathology import grades_by_case
from cafrnet.experiments.probes.tables import read_csv

pytestmark = pytest.mark.real


def test_graded_discs_are_discs_that_the_truth_marks(real_data):
    dataset = open_dataset(real_data)
    graded = read_csv(real_data / "gradings.csv", ("Patient", "IVD label"))
    found = grades_by_case(graded, dataset)
    assert len({case for case, _ in found}) == len(dataset)
    marked = {case.id: case.truth_ids() for case in dataset}
    there = [disc in marked[case] for case, disc in found]
    assert np.mean(there) > 0.95  # a disc may be graded and lie outside of the central slab


def test_a_real_scan_gets_worse_and_keeps_its_grid(real_data):
    pytest.importorskip("monai")
    case = next(iter(open_dataset(real_data)))
    scan = case.read()
    for kind, artefact in ARTEFACTS.items():
        worse, rows = degrade(scan, kind, artefact.strengths[0], seed_of(0, case.id, kind))
        assert worse.frame.spacing_mm == pytest.approx(scan.frame.spacing_mm)
        height = worse.frame.to_sagittal(worse.voxels).shape[1]
        assert height == len(range(*rows.indices(scan.frame.to_sagittal(scan.voxels).shape[1])))
        assert np.isfinite(worse.voxels).all()
