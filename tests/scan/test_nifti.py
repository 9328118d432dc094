"""NIfTI: nothing of the input's geometry is lost on the way out, and no quirk of a header goes unsaid."""

from __future__ import annotations

import errno
import gzip
import logging
import struct
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from cafrnet.errors import InputError
from cafrnet.scan import read_labels, read_scan, write_labels

AFFINE = np.array([[0, 0, 4.4, -20], [-0.5, 0.01, 0, 33.3], [0.01, 0.5, 0, 7], [0, 0, 0, 1]])
VOXELS = np.arange(60, dtype=np.int16).reshape(3, 4, 5)
#: Byte offsets in the NIfTI-1 header.
DIM, PIXDIM, SLOPE, QFORM, SFORM = 40, 76, 112, 252, 254


def save(path: Path, voxels: np.ndarray = VOXELS, affine: np.ndarray = AFFINE, **codes: int) -> Path:
    image = nib.Nifti1Image(voxels, affine)
    image.set_sform(affine, code=codes.get("sform", 1))
    image.set_qform(affine, code=codes.get("qform", 1))
    nib.save(image, path)
    return path


def patched(path: Path, offset: int, layout: str, *values: float) -> Path:
    """Overwrite numbers of the header behind nibabel's back."""
    block = bytearray(save(path).read_bytes())
    struct.pack_into(layout, block, offset, *values)
    path.write_bytes(block)
    return path


def header_geometry(path: Path) -> dict[str, bytes]:
    header = nib.load(path).header
    fields = (
        "dim pixdim qform_code sform_code quatern_b quatern_c quatern_d "
        "qoffset_x qoffset_y qoffset_z srow_x srow_y srow_z xyzt_units"
    )
    return {name: header[name].tobytes() for name in fields.split()}


@pytest.mark.parametrize("shape", [(3, 4, 5), (3, 4, 5, 1), (3, 4, 5, 1, 1)])
@pytest.mark.parametrize(("qform", "sform"), [(1, 1), (0, 2), (3, 0), (2, 4)])
@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_labels_keep_shape_and_both_forms_bit_for_bit(tmp_path, shape, qform, sform, suffix):
    source = save(tmp_path / f"in{suffix}", VOXELS.reshape(shape), qform=qform, sform=sform)
    scan = read_scan(source)
    assert scan.voxels.shape == (3, 4, 5)
    labels = np.arange(60).reshape(3, 4, 5) % 22
    target = tmp_path / f"out{suffix}"
    write_labels(labels, scan, target)
    assert header_geometry(target) == header_geometry(source)
    image = nib.load(target)
    assert image.shape == shape
    assert image.get_data_dtype() == np.uint8
    np.testing.assert_array_equal(np.asarray(image.dataobj).reshape(3, 4, 5), labels)
    np.testing.assert_array_equal(read_labels(target)[0], labels)


def test_slope_and_range_of_the_image_do_not_reach_the_labels(tmp_path):
    image = nib.Nifti1Image(VOXELS.astype(np.float32) / 7, AFFINE)
    image.header.set_data_dtype(np.int16)  # nibabel then stores a slope
    image.header["cal_max"] = 99
    nib.save(image, tmp_path / "in.nii.gz")
    scan = read_scan(tmp_path / "in.nii.gz")
    np.testing.assert_allclose(scan.voxels, VOXELS / 7, atol=1e-3)
    write_labels(np.full((3, 4, 5), 21), scan, tmp_path / "out.nii.gz")
    header = nib.load(tmp_path / "out.nii.gz").dataobj
    assert (header.slope, header.inter) == (1, 0)
    assert nib.load(tmp_path / "out.nii.gz").header["cal_max"] == 0


@pytest.mark.parametrize("dtype", ["<u1", "<u2", ">i2", ">u2", "<i4", ">f4"])
def test_voxels_keep_value_and_kind(tmp_path, dtype):
    voxels = np.array([0, 1, 200, 40000], "<u2").astype(dtype).reshape(1, 2, 2)
    image = nib.Nifti1Image(voxels, AFFINE, nib.Nifti1Header(endianness=dtype[0]))
    image.set_data_dtype(np.dtype(dtype))
    nib.save(image, tmp_path / "a.nii.gz")
    read = read_scan(tmp_path / "a.nii.gz").voxels
    assert read.dtype == np.dtype(dtype).newbyteorder("=")
    assert read.dtype.isnative
    np.testing.assert_array_equal(read, voxels)


def test_double_precision_becomes_single(tmp_path):
    save(tmp_path / "a.nii", VOXELS.astype(np.float64) / 3)
    assert read_scan(tmp_path / "a.nii").voxels.dtype == np.float32


def test_numbers_beyond_single_precision_are_refused(tmp_path):
    save(tmp_path / "a.nii", VOXELS * 1e300)
    with pytest.raises(InputError, match="59 voxels are NaN or infinite"):
        read_scan(tmp_path / "a.nii")


@pytest.mark.parametrize("slope", [0.0, float("nan"), float("inf")])
def test_a_meaningless_slope_means_no_scaling(tmp_path, slope):
    scan = read_scan(patched(tmp_path / "a.nii", SLOPE, "<f", slope))
    assert scan.voxels.dtype == np.int16
    np.testing.assert_array_equal(scan.voxels, VOXELS)


@pytest.mark.parametrize("value", [0.0, -0.5, float("nan"), float("inf")])
def test_a_spacing_that_is_not_positive_is_refused(tmp_path, value):
    path = patched(tmp_path / "a.nii", PIXDIM + 8, "<f", value)
    with pytest.raises(InputError, match=r"voxel spacing of .* mm; it must be positive"):
        read_scan(path)
    path.with_suffix(".nii.gz").write_bytes(gzip.compress(path.read_bytes()))
    with pytest.raises(InputError, match="must be positive"):
        read_scan(path.with_suffix(".nii.gz"))


def test_a_singular_affine_is_refused(tmp_path):
    path = patched(tmp_path / "a.nii", 280, "<12f", 1, 1, 0, 0, 1, 1, 0, 0, 0, 0, 1, 0)
    with pytest.raises(InputError, match="singular"):
        read_scan(path)


def test_no_orientation_at_all_is_said(tmp_path, caplog):
    scan = read_scan(save(tmp_path / "a.nii", qform=0, sform=0))
    assert "gives no orientation (q-form and s-form codes are 0)" in caplog.text
    assert "L, A, S" in caplog.text
    write_labels(np.ones((3, 4, 5)), scan, tmp_path / "b.nii")
    assert header_geometry(tmp_path / "b.nii") == header_geometry(tmp_path / "a.nii")


def test_two_forms_that_contradict_each_other_are_said(tmp_path, caplog):
    image = nib.Nifti1Image(VOXELS, AFFINE)
    image.set_sform(AFFINE, code=1)
    moved = AFFINE.copy()
    moved[1, 3] += 1.0  # two voxels of 0.5 mm
    image.set_qform(moved, code=1)
    nib.save(image, tmp_path / "a.nii")
    scan = read_scan(tmp_path / "a.nii")
    assert "differ by up to 2.0 voxels; the s-form counts" in caplog.text
    np.testing.assert_allclose(scan.affine, AFFINE, atol=1e-6)


def test_an_s_form_that_contradicts_the_voxel_sizes_is_said(tmp_path, caplog):
    path = save(tmp_path / "a.nii", qform=0, sform=1)
    assert not caplog.records
    header = nib.load(path).header
    for row, name in zip(np.eye(4), ("srow_x", "srow_y", "srow_z"), strict=False):
        header[name] = row  # the s-form of a program that knew of no place; pixdim stays
    content = path.read_bytes()
    path.write_bytes(header.binaryblock + content[header.sizeof_hdr :])
    assert np.array_equal(read_scan(path).affine, np.eye(4))
    assert "0.5 x 0.5 x 4.4 mm (pixdim), its s-form 1 x 1 x 1 mm; the s-form counts" in caplog.text


def test_forms_that_agree_are_not_worth_a_word(tmp_path, caplog):
    caplog.set_level(logging.DEBUG, "cafrnet")
    read_scan(save(tmp_path / "a.nii.gz"))
    assert not caplog.records


def test_trailing_axes_of_one_and_two_dimensional_files(tmp_path):
    nib.save(nib.Nifti1Image(VOXELS[0], np.eye(4)), tmp_path / "a.nii")
    scan = read_scan(tmp_path / "a.nii")
    assert (scan.voxels.shape, scan.shape_on_disk) == ((4, 5, 1), (4, 5))


@pytest.mark.parametrize("shape", [(3, 4, 5, 2), (3, 4, 5, 1, 3)])
def test_four_dimensions_are_refused(tmp_path, shape):
    path = save(tmp_path / "a.nii.gz", np.zeros(shape, np.int16))
    with pytest.raises(InputError, match="single three-dimensional volume was expected"):
        read_scan(path)
    with pytest.raises(InputError, match="three dimensions were expected"):
        read_labels(path)


def test_colour_is_refused(tmp_path):
    rgb = np.zeros((3, 4, 5), [("R", "u1"), ("G", "u1"), ("B", "u1")])
    nib.save(nib.Nifti1Image(rgb, np.eye(4)), tmp_path / "a.nii")
    with pytest.raises(InputError, match="colour voxels"):
        read_scan(tmp_path / "a.nii")


@pytest.mark.parametrize("kind", ["nan", "zero"])
def test_voxels_without_an_image_are_refused(tmp_path, kind):
    voxels = VOXELS.astype(np.float32) * (0 if kind == "zero" else 1)
    if kind == "nan":
        voxels[0, 0, :2] = np.nan
    with pytest.raises(InputError, match="2 voxels are NaN" if kind == "nan" else "no image in it"):
        read_scan(save(tmp_path / "a.nii.gz", voxels))


def test_missing_cut_and_foreign_files_are_refused_by_name(tmp_path):
    with pytest.raises(InputError, match=r"gone.nii.gz: no such file"):
        read_scan(tmp_path / "gone.nii.gz")
    voxels = np.random.default_rng(0).integers(0, 999, (30, 30, 9)).astype(np.int16)
    whole = save(tmp_path / "a.nii.gz", voxels).read_bytes()
    raw = gzip.decompress(whole)
    bad = {
        "cut.nii.gz": whole[: len(whole) // 2],
        "cut_header.nii.gz": whole[:40],
        "cut.nii": raw[:-100],
        "cut_header.nii": raw[:100],
        "text.nii.gz": b"patient,age\n1,44\n",
        "text.nii": b"patient,age\n1,44\n" * 100,
        "empty.nii.gz": b"",
        "empty.nii": b"",
        "type.nii": raw[:70] + b"\xff\x7f" + raw[72:],
    }
    for name, content in bad.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match=name) as caught:
            read_scan(tmp_path / name)
        assert "\n" not in str(caught.value).strip(), name


@pytest.mark.parametrize("voxels", [VOXELS / 2, VOXELS - 5.0, VOXELS.astype(np.int16) - 5, VOXELS * np.nan])
def test_labels_must_be_whole_numbers_from_0(tmp_path, voxels):
    with pytest.raises(InputError, match="whole numbers from 0"):
        read_labels(save(tmp_path / "a.nii", voxels))


def test_huge_whole_numbers_do_not_wrap_into_labels(tmp_path):
    with pytest.raises(InputError, match="whole numbers from 0"):
        read_labels(save(tmp_path / "a.nii", VOXELS.astype(np.float64) * 1e12))


def test_labels_that_do_not_fit_are_refused_and_nothing_is_written(tmp_path, left_behind):
    scan = read_scan(save(tmp_path / "a.nii.gz"))
    with pytest.raises(InputError, match=r"\(3, 4, 4\).*\(3, 4, 5\)"):
        write_labels(np.zeros((3, 4, 4)), scan, tmp_path / "b.nii.gz")
    for value in (256, -1):
        with pytest.raises(InputError, match="holds 0 to 255"):
            write_labels(np.full((3, 4, 5), value), scan, tmp_path / "b.nii.gz")
    assert left_behind(tmp_path) == ["a.nii.gz"]


def test_a_full_disk_leaves_the_old_file_and_nothing_else(small_disk, left_behind, tmp_path):
    voxels = np.random.default_rng(0).integers(0, 255, (40, 40, 40)).astype(np.uint8)
    scan = read_scan(save(tmp_path / "a.nii.gz", voxels))
    (small_disk / "old.nii.gz").write_bytes(b"old")
    for name in ("old.nii.gz", "new.nii.gz", "new.nii"):
        with pytest.raises(InputError, match="No space left"):
            write_labels(voxels, scan, small_disk / name)
    assert left_behind(small_disk) == ["old.nii.gz"]
    assert (small_disk / "old.nii.gz").read_bytes() == b"old"


def test_a_write_that_fails_half_way_leaves_nothing(tmp_path, left_behind, monkeypatch):
    scan = read_scan(save(tmp_path / "a.nii.gz"))

    def half(image: nib.Nifti1Image, path: Path) -> None:
        Path(path).write_bytes(b"half a file")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(nib, "save", half)
    with pytest.raises(InputError, match=r"b.nii.gz could not be written: No space left"):
        write_labels(np.ones((3, 4, 5)), scan, tmp_path / "b.nii.gz")
    assert left_behind(tmp_path) == ["a.nii.gz"]


@pytest.mark.parametrize(("unit", "scale", "name"), [("meter", 1e-3, "metres"), ("micron", 1e3, "microns")])
def test_other_units_of_length_become_mm(tmp_path, caplog, unit, scale, name):
    """What is 0.5 mm is 0.0005 in metres and 500 in microns."""
    image = nib.Nifti1Image(VOXELS, np.diag([scale, scale, scale, 1]) @ AFFINE)
    image.header.set_xyzt_units(unit, "sec")
    nib.save(image, tmp_path / "a.nii.gz")
    scan = read_scan(tmp_path / "a.nii.gz")
    np.testing.assert_allclose(scan.affine, AFFINE, rtol=1e-6)
    assert scan.frame.spacing_mm[0] == pytest.approx(4.4)
    assert f"its header counts in {name} (xyzt_units); lengths were converted to mm" in caplog.text
    write_labels(np.ones((3, 4, 5)), scan, tmp_path / "b.nii.gz")
    assert header_geometry(tmp_path / "b.nii.gz") == header_geometry(tmp_path / "a.nii.gz")
    np.testing.assert_allclose(read_labels(tmp_path / "b.nii.gz")[1], AFFINE, rtol=1e-6)


@pytest.mark.parametrize(
    ("unit", "scale"), [("meter", 1.0), ("micron", 1.0), ("mm", 1e-3), ("unknown", 1e-3)]
)
def test_a_wrong_unit_of_length_is_refused(tmp_path, unit, scale):
    image = nib.Nifti1Image(VOXELS, np.diag([scale, scale, scale, 1]) @ AFFINE)
    image.header.set_xyzt_units(unit)
    nib.save(image, tmp_path / "a.nii.gz")
    with pytest.raises(InputError, match=r"mm came, 0.05 to 100 mm were expected.*xyzt_units"):
        read_scan(tmp_path / "a.nii.gz")
