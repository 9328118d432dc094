"""Columns of real label maps: as many bodies and discs as were counted, in their order, nothing flagged."""

import csv

import numpy as np
import pytest

from cafrnet.anatomy import anchor, check, column, shift_levels
from cafrnet.labels import TABLE, UNKNOWN
from cafrnet.scan import read_labels

pytestmark = pytest.mark.real
#: Its two uppermost vertebrae and its uppermost disc are barely visible and unmarked.
SCOLIOSIS = "18"


def test_every_column_is_found_in_its_order(real_data):
    rows = list(csv.DictReader((real_data / "cases.csv").open()))
    assert len(rows) == 31
    place = {identity: k for k, identity in enumerate(TABLE.column)}
    for row in rows:
        labels, affine = read_labels(real_data / f"train/Mask/mask_case{row['case']}.nii.gz")
        found = column(labels, affine)
        count = {kind: sum(e.kind == kind for e in found) for kind in ("body", "disc", "sacrum")}
        missing = 2 if row["case"] == SCOLIOSIS else 0
        assert count["body"] == int(row["num_vertebrae"]) - missing, row
        assert count["disc"] == int(row["num_discs"]) - missing // 2, row
        assert count["sacrum"] == 0
        places = [place[e.id] for e in found]
        assert places == list(range(1, 1 + len(places))), row  # from L5/S upwards, none twice, none skipped
        assert check(found) == (), row


def test_a_real_map_there_and_back_and_by_its_anchor(real_data):
    labels, affine = read_labels(real_data / "train/Mask/mask_case241.nii.gz")
    moved, lost = shift_levels(labels, 1)
    assert [TABLE[i].name for i in lost] == ["T9", "T9/T10"]
    back, _ = shift_levels(moved, -1)
    gone = np.isin(labels, lost)
    np.testing.assert_array_equal(back[~gone], labels[~gone])
    assert (back[gone] == UNKNOWN).all()
    for e in column(moved, affine):
        assert anchor(moved, affine, e.name, e.centre_mm) == 0
        lower = shift_levels(np.array([e.id], np.uint8), -1)[0][0]
        assert anchor(moved, affine, TABLE[int(lower)].name, e.centre_mm) == -1
