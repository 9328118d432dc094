"""The picture shows the patient upright, front to the left, with square pixels and the labels in place."""

from itertools import permutations, product

import numpy as np
import pytest
from PIL import Image

from cafrnet.labels import TABLE
from cafrnet.report.preview import MARK, PANEL_HEIGHT, PANEL_WIDTH, _caption, preview, write_preview
from cafrnet.scan import Scan
from handmade import stairs

GAP = 6


def panels(sheet: Image.Image, n: int = 4) -> list[np.ndarray]:
    """Cut the sheet into its panels: [row, column, channel]."""
    width = (sheet.width + GAP) // n - GAP
    pixels = np.asarray(sheet).astype(int)
    return [pixels[:, k * (width + GAP) : k * (width + GAP) + width] for k in range(n)]


def head_scan() -> Scan:
    """Array axes (L, P, S) with a bright block at the front of the head end, in every slice."""
    image = np.full((9, 60, 80), 20, np.int16)
    image[:, :20, 65:] = 200  # front: low index of P; head: high index of S
    image[0, 0, 0] = 0
    return Scan(image, np.array([[-4.0, 0, 0, 0], [0, -1.0, 0, 0], [0, 0, 1.0, 0], [0, 0, 0, 1]]))


def test_head_up_and_front_to_the_left():
    scan = head_scan()
    for panel in panels(preview(scan, np.zeros(scan.voxels.shape, np.uint8))):
        grey = panel.mean(axis=2)
        rows, cols = grey.shape
        bright = grey[30 : rows // 6, 30 : cols // 4].mean()
        others = [grey[30 : rows // 6, -cols // 4 : -30], grey[-rows // 6 : -30, 30 : cols // 4]]
        assert bright > 200
        assert max(o.mean() for o in others) < 60


@pytest.mark.parametrize("turn", range(0, 48, 5))
def test_the_array_order_changes_no_pixel(turn):
    image, labels, affine = stairs()
    order, flips = list(product(permutations(range(3)), product((1, -1), repeat=3)))[turn]
    change = np.eye(4)
    change[:3, :3] = 0
    for new, (old, flip) in enumerate(zip(order, flips, strict=True)):
        change[old, new], change[old, 3] = flip, 0 if flip == 1 else image.shape[old] - 1
    cut = tuple(slice(None, None, f) for f in flips)
    other = Scan(image.transpose(order)[cut], affine @ change)
    a, b = preview(Scan(image, affine), labels), preview(other, labels.transpose(order)[cut])
    assert np.array_equal(np.asarray(a), np.asarray(b))


def test_slices_are_counted_from_the_patient_s_left():
    assert _caption(2, 8) == "slice 3/8 from patient's left"  # the frame's slices run to the right


def test_pixels_are_square_whatever_the_spacing():
    for spacing, shape in (
        ((4, 1, 1), (3, 50, 100)),
        ((4, 0.5, 2), (3, 100, 50)),
        ((4, 2, 0.5), (3, 25, 200)),
    ):
        image = np.random.default_rng(0).integers(0, 99, shape)
        affine = np.diag([-spacing[0], -spacing[1], spacing[2], 1.0])  # all are 50 mm deep and 100 mm high
        sheet = preview(Scan(image, affine), np.zeros(shape, np.uint8))
        assert sheet.height == PANEL_HEIGHT
        assert panels(sheet)[0].shape[1] == PANEL_HEIGHT // 2


def test_a_field_that_is_very_wide_fits_into_a_panel():
    image = np.random.default_rng(0).integers(0, 99, (3, 2000, 4))
    sheet = preview(Scan(image, np.diag([-4.0, -1.0, 1.0, 1.0])), np.zeros(image.shape, np.uint8))
    assert panels(sheet)[0].shape == (PANEL_HEIGHT, PANEL_WIDTH, 3)


def test_colours_lie_where_the_labels_are():
    image, labels, affine = stairs(slices=7)
    scan = Scan(np.where(labels >= 0, 60, 0) + (image == 0) * -60, affine)  # one flat grey
    plain, *overlaid = panels(preview(scan, labels))
    assert np.ptp(plain[100:300, 40:-40]).max() == 0  # the first panel is the scan alone
    sagittal = scan.frame.to_sagittal(labels)
    scale = PANEL_HEIGHT / 48
    for k, panel in zip((2, 3, 5), overlaid, strict=True):  # of slices 1 to 6, which are labelled
        for identity in (2, 4, 20, 21):
            row, col = np.argwhere(sagittal[k] == identity)[3]
            shown = panel[int((row + 0.5) * scale), int((col + 0.5) * scale)]
            tint = shown - plain[200, 200]
            wanted = np.array(TABLE[identity].colour) - plain[200, 200]
            assert tint @ wanted > 0.98 * np.linalg.norm(tint) * np.linalg.norm(wanted) > 0


def test_one_slice_no_structure_and_only_canal():
    image, labels, affine = stairs()
    for ids in (np.zeros_like(labels), np.where(labels == 20, 20, 0).astype(np.uint8)):
        assert preview(Scan(image, affine), ids).height == PANEL_HEIGHT
    single = preview(Scan(image[:, :, 3:4], affine), labels[:, :, 3:4])
    assert len(panels(single, 2)) == 2  # the slice alone, and with its labels


def test_grey_values_of_any_size():
    image, labels, affine = stairs()
    base = np.asarray(preview(Scan(image, affine), labels)).astype(int)
    for other in (
        image.astype(np.int32) * 20000,
        image.astype(np.float32) * 1e-20,
        image.astype(np.float64) * 1e30,
    ):
        assert np.abs(np.asarray(preview(Scan(other, affine), labels)) - base).max() <= 2


def test_the_file_carries_its_mark(tmp_path, stairs_scan):
    write_preview(stairs_scan, stairs()[1], tmp_path / "a_preview.png")
    with Image.open(tmp_path / "a_preview.png") as picture:
        assert picture.text == {"Software": MARK}
        assert (picture.format, picture.mode) == ("PNG", "RGB")
    assert [p.name for p in tmp_path.iterdir()] == ["a_preview.png"]
