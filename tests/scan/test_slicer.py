"""Slicer's segmentations: what a value means is said by its segment's name."""

import numpy as np
import pytest

from cafrnet.errors import InputError
from cafrnet.labels import SCHEMES, TABLE
from cafrnet.scan import read_labels
from cafrnet.scan.slicer import read_segments
from handmade import save_segments, stairs


@pytest.fixture
def slicer(tmp_path):
    pytest.importorskip("SimpleITK", reason="the 'itk' extra is not installed")
    return tmp_path / "anna.seg.nrrd"


def test_names_go_before_values(slicer):
    """Slicer numbers its segments itself: 1 is L4 here and 2 is the canal."""
    _, labels, affine = stairs()
    given = np.zeros_like(labels)
    given[labels == 3], given[labels == 20], given[labels == 12] = 1, 2, 3
    save_segments(slicer, [given], affine, [("L4", 1, 0), ("Spinal canal", 2, 0), ("disc L4-L5", 3, 0)])
    values, at = read_segments(slicer, SCHEMES["cafrnet"])
    assert np.array_equal(values, np.where(np.isin(labels, (3, 12, 20)), labels, 0))
    assert at == pytest.approx(affine)


def test_layers_and_all_structures(slicer):
    _, labels, affine = stairs()
    ids = [int(i) for i in np.unique(labels) if i]
    layers = np.stack([np.where(labels % 2 == k, labels, 0) for k in (0, 1)])
    save_segments(slicer, layers, affine, [(TABLE[i].name, i, i % 2) for i in ids])
    assert np.array_equal(read_segments(slicer, SCHEMES["cafrnet"])[0], labels)


def test_a_voxel_in_two_segments(slicer):
    _, labels, affine = stairs()
    layers = np.stack([labels == 3, (labels == 3) | (labels == 4)])
    save_segments(slicer, layers, affine, [("L4", 1, 0), ("L3", 1, 1)])
    with pytest.raises(InputError, match=rf"{(labels == 3).sum()} voxels of segment 'L3' are in another"):
        read_segments(slicer, SCHEMES["cafrnet"])


def test_segments_that_nobody_named(slicer):
    _, labels, affine = stairs()
    save_segments(slicer, [labels], affine, [("Segment_3", 3, 0), ("Segment_4", 4, 0)])
    values, _ = read_segments(slicer, SCHEMES["cafrnet"])
    assert np.array_equal(values, np.where(np.isin(labels, (3, 4)), labels, 0))
    save_segments(slicer, [labels], affine, [("Segment_4", 3, 0)])  # begun in Slicer: the number says nothing
    with pytest.raises(
        InputError, match="'Segment_4' are no structures of the scheme 'cafrnet'; name them L5"
    ):
        read_segments(slicer, SCHEMES["cafrnet"])


def test_numbers_as_names_are_the_scheme_s_values(slicer):
    _, labels, affine = stairs()
    save_segments(slicer, [labels], affine, [("45", 3, 0), ("95", 4, 0)])
    values, _ = read_segments(slicer, SCHEMES["totalspineseg"])
    assert np.array_equal(values, np.where(labels == 3, 45, np.where(labels == 4, 95, 0)))


def test_names_in_another_scheme_s_values(slicer):
    _, labels, affine = stairs()
    save_segments(slicer, [labels], affine, [("L5", 2, 0), ("unknown", 3, 0)])
    values, _ = read_segments(slicer, SCHEMES["totalspineseg"])
    assert np.array_equal(values, np.where(labels == 2, 45, np.where(labels == 3, 255, 0)))


@pytest.mark.parametrize(
    ("segments", "message"),
    [
        ([], "lists no segments"),
        ([("tissue", 3, 0), ("L5", 2, 0)], "the segments 'tissue' are no structures"),
        ([("L5", 3, 0), ("vertebra L5", 2, 0)], "'L5' and 'vertebra L5' are both one structure"),
        ([("L5", 3, 4)], "layer 4, there is none"),
        ([("L5", "x", 0)], "has no label value"),
    ],
)
def test_segmentations_that_can_t_be_read(slicer, segments, message):
    _, labels, affine = stairs()
    save_segments(slicer, [labels], affine, segments)
    with pytest.raises(InputError, match=message):
        read_segments(slicer, SCHEMES["cafrnet"])


def test_a_damaged_segmentation(slicer):
    slicer.write_bytes(b"NRRD0004\nnothing")
    with pytest.raises(InputError, match="could not be read"):
        read_segments(slicer, SCHEMES["cafrnet"])


def test_label_maps_are_read_by_name_where_the_scheme_is_known(slicer):
    _, labels, affine = stairs()
    given = np.where(labels == 3, 1, 0)
    save_segments(slicer, [given], affine, [("L4", 1, 0)])
    assert np.array_equal(read_labels(slicer)[0], given)
    assert np.array_equal(read_labels(slicer, SCHEMES["cafrnet"])[0], 3 * given)
    assert np.array_equal(read_labels(slicer, SCHEMES["totalspineseg"])[0], 44 * given)
