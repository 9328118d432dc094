"""PNG: one sagittal slice with a pixel size from the user; ids survive the way out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cafrnet.errors import InputError, UsageError
from cafrnet.scan import Scan, output_suffix, read_labels, read_scan, write_labels

GREY = np.arange(6 * 8, dtype=np.uint8).reshape(6, 8) * 5


def save(path: Path, pixels: np.ndarray, **options: object) -> Path:
    Image.fromarray(pixels).save(path, **options)
    return path


@pytest.mark.parametrize("pixels", [GREY, GREY.astype(np.uint16) * 250], ids=["8 bit", "16 bit"])
def test_rows_run_caudally_and_columns_posteriorly(tmp_path, pixels):
    scan = read_scan(save(tmp_path / "a.png", pixels), pixel_mm=0.6)
    assert scan.voxels.shape == (6, 8, 1)
    assert scan.voxels.dtype == pixels.dtype
    np.testing.assert_array_equal(scan.frame.to_sagittal(scan.voxels)[0], pixels)
    assert scan.frame.spacing_mm == pytest.approx((0.6, 0.6, 0.6))
    step_down, step_right = scan.affine[:3, 0], scan.affine[:3, 1]
    np.testing.assert_allclose(step_down, (0, 0, -0.6))  # RAS: one row further is inferior
    np.testing.assert_allclose(step_right, (0, -0.6, 0))  # one column further is posterior


@pytest.mark.parametrize("pixel_mm", [None, 0.0, -0.5, float("nan"), float("inf")])
def test_a_pixel_size_is_needed(tmp_path, pixel_mm):
    with pytest.raises(UsageError, match="--pixel-mm"):
        read_scan(save(tmp_path / "a.png", GREY), pixel_mm=pixel_mm)


def coloured(mode: str) -> np.ndarray:
    pixels = np.asarray(Image.fromarray(GREY).convert(mode)).copy()
    pixels[2, 3, 0] ^= 9
    return pixels


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_colours_are_taken_only_where_they_are_grey(tmp_path, mode, caplog):
    Image.fromarray(GREY).convert(mode).save(tmp_path / "grey.png")
    np.testing.assert_array_equal(read_scan(tmp_path / "grey.png", pixel_mm=1).voxels[..., 0], GREY)
    assert f"a {mode} picture whose channels are equal was taken as 8-bit grey" in caplog.text
    save(tmp_path / "colour.png", coloured(mode))
    with pytest.raises(InputError, match=r"in colour.*grey was expected"):
        read_scan(tmp_path / "colour.png", pixel_mm=1)


def test_transparency_is_refused(tmp_path):
    pixels = np.asarray(Image.fromarray(GREY).convert("RGBA")).copy()
    pixels[0, 0, 3] = 0
    with pytest.raises(InputError, match="transparency"):
        read_scan(save(tmp_path / "a.png", pixels), pixel_mm=1)


def test_damaged_foreign_and_animated_files_are_refused_by_name(tmp_path):
    content = save(tmp_path / "a.png", GREY).read_bytes()
    (tmp_path / "cut.png").write_bytes(content[:-30])
    (tmp_path / "text.png").write_text("patient,age\n")
    Image.fromarray(GREY).save(
        tmp_path / "film.png", save_all=True, append_images=[Image.fromarray(GREY[::-1].copy())]
    )
    for name in ("cut.png", "text.png", "film.png", "gone.png"):
        with pytest.raises(InputError, match=name):
            read_scan(tmp_path / name, pixel_mm=1)
    with pytest.raises(InputError, match="no image in it"):
        read_scan(save(tmp_path / "black.png", GREY * 0), pixel_mm=1)


def test_ids_survive_writing_and_any_reader(tmp_path):
    scan = read_scan(save(tmp_path / "a.png", GREY), pixel_mm=0.6)
    assert output_suffix(scan) == ".png"
    labels = np.arange(48).reshape(6, 8, 1) % 22
    labels[0, 0] = 255
    write_labels(labels, scan, tmp_path / "a_seg.png")
    with Image.open(tmp_path / "a_seg.png") as image:
        assert image.mode == "L"
        np.testing.assert_array_equal(np.asarray(image), labels[..., 0])
    back, affine = read_labels(tmp_path / "a_seg.png")
    np.testing.assert_array_equal(back, labels)
    np.testing.assert_array_equal(affine, scan.affine)  # the pixel size travels with our own files


def test_palette_indices_are_ids_and_colours_are_not(tmp_path, caplog):
    ids = (GREY % 22).astype(np.uint8)
    picture = Image.fromarray(ids, "L")
    picture.putpalette([c for i in range(22) for c in (255 - i, i * 11, 7)])
    picture.save(tmp_path / "palette.png")
    with Image.open(tmp_path / "palette.png") as image:
        assert image.mode == "P"
    labels, affine = read_labels(tmp_path / "palette.png")
    np.testing.assert_array_equal(labels[..., 0], ids)
    np.testing.assert_allclose(np.linalg.norm(affine[:3, :3], axis=0), 1)
    assert "1 mm assumed, use that of the image" in caplog.text
    with pytest.raises(InputError, match="ids as grey values or a palette"):
        read_labels(save(tmp_path / "rgb.png", coloured("RGB")))


def test_labels_that_do_not_fit_are_refused_and_nothing_is_written(tmp_path, left_behind):
    scan = read_scan(save(tmp_path / "a.png", GREY), pixel_mm=0.6)
    with pytest.raises(InputError, match="shape"):
        write_labels(np.zeros((6, 7, 1)), scan, tmp_path / "b.png")
    with pytest.raises(InputError, match="0 to 255"):
        write_labels(np.full((6, 8, 1), 256), scan, tmp_path / "b.png")
    volume = Scan(np.arange(60).reshape(3, 4, 5), np.eye(4), "volume.nii.gz")
    with pytest.raises(UsageError, match=r"use .nii.gz for volume.nii.gz"):
        write_labels(np.zeros((3, 4, 5)), volume, tmp_path / "b.png")
    assert left_behind(tmp_path) == ["a.png"]


def test_a_full_disk_leaves_nothing(tmp_path, small_disk, left_behind):
    noise = np.random.default_rng(0).integers(0, 255, (200, 200)).astype(np.uint8)
    scan = read_scan(save(tmp_path / "a.png", noise), pixel_mm=0.6)
    with pytest.raises(InputError, match="No space left"):
        write_labels(noise[..., None], scan, small_disk / "seg.png")
    assert left_behind(small_disk) == []
