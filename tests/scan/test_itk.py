"""MHA and NRRD: the same volume at the same place as the NIfTI that SimpleITK itself writes of it."""

from __future__ import annotations

import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from cafrnet.errors import InputError, MissingExtraError
from cafrnet.scan import is_scan, output_suffix, read_labels, read_scan, write_labels

from .conftest import ACQUIRED_MM, oblique

sitk = pytest.importorskip("SimpleITK")

SUFFIXES = [".mha", ".mhd", ".nrrd", ".seg.nrrd", ".nhdr"]
FLIP_XY = np.diag([-1.0, -1.0, 1.0, 1.0])


@pytest.fixture
def image() -> object:
    """An oblique sagittal image, made with ITK's own words for geometry."""
    voxels = np.random.default_rng(0).integers(0, 60000, (3, 5, 4)).astype(np.uint16)
    made = sitk.GetImageFromArray(voxels)
    affine = FLIP_XY @ oblique(ACQUIRED_MM, (10, -7, 5))
    made.SetSpacing((0.5, 0.7, 4.4))
    made.SetDirection((affine[:3, :3] / (0.5, 0.7, 4.4)).ravel())
    made.SetOrigin(affine[:3, 3])
    return made


def write(image: object, path: Path) -> Path:
    sitk.WriteImage(image, str(path))
    return path


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_voxels_and_places_are_those_of_itk(tmp_path, image, suffix):
    scan = read_scan(write(image, tmp_path / f"a{suffix}"))
    assert scan.voxels.dtype == np.uint16
    assert scan.voxels.shape == image.GetSize()
    for index in np.ndindex(*scan.voxels.shape):
        assert scan.voxels[index] == image.GetPixel(index)
        point_lps = image.TransformIndexToPhysicalPoint(index)
        np.testing.assert_allclose((FLIP_XY @ scan.affine @ [*index, 1])[:3], point_lps, atol=1e-4)
    reference = nib.load(write(image, tmp_path / "a.nii.gz"))
    np.testing.assert_allclose(scan.affine, reference.affine, atol=1e-4)
    assert scan.frame.spacing_mm == pytest.approx((4.4, 0.7, 0.5))


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_labels_are_read_and_the_output_is_nifti(tmp_path, image, suffix):
    labels, affine = read_labels(write(sitk.Modulus(image, 22), tmp_path / f"mask{suffix}"))
    np.testing.assert_array_equal(labels, sitk.GetArrayFromImage(sitk.Modulus(image, 22)).transpose())
    scan = read_scan(write(image, tmp_path / f"a{suffix}"))
    assert output_suffix(scan) == ".nii.gz"
    write_labels(labels, scan, tmp_path / "seg.nii.gz")
    out = nib.load(tmp_path / "seg.nii.gz")
    np.testing.assert_array_equal(np.asarray(out.dataobj), labels)
    np.testing.assert_allclose(out.affine, affine, atol=1e-4)


def test_fractions_are_no_labels(tmp_path, image):
    path = write(sitk.Cast(image, sitk.sitkFloat64) / 7.0, tmp_path / "a.mha")
    assert read_scan(path).voxels.dtype == np.float32
    with pytest.raises(InputError, match="whole numbers from 0"):
        read_labels(path)


def test_slightly_skewed_directions_are_taken_with_a_warning(tmp_path, image, caplog):
    direction = np.reshape(image.GetDirection(), (3, 3)) @ [[1, 0.02, 0], [0, 1, 0], [0, 0, 1]]
    image.SetDirection(direction.ravel())
    read_scan(write(image, tmp_path / "a.mha"))
    assert "degrees off orthogonal" in caplog.text


def test_vectors_and_several_volumes_are_refused(tmp_path, image):
    vector = write(sitk.Compose(image, image), tmp_path / "v.nrrd")
    with pytest.raises(InputError, match="2 values per voxel"):
        read_scan(vector)
    series = write(sitk.JoinSeries(image, image), tmp_path / "t.mha")
    with pytest.raises(InputError, match=r"size \(4, 5, 3, 2\).*single three-dimensional volume"):
        read_labels(series)
    single = write(sitk.JoinSeries([image]), tmp_path / "s.mha")
    assert read_scan(single).voxels.shape == (4, 5, 3)
    flat = write(image[..., 1], tmp_path / "f.mha")
    with pytest.raises(InputError, match="three-dimensional"):
        read_scan(flat)


@pytest.mark.parametrize("spacing", ["0.5 0 4.4", "0.5 -0.7 4.4"])
def test_a_spacing_that_is_not_positive_is_refused(tmp_path, image, spacing):
    path = write(image, tmp_path / "a.mhd")
    lines = path.read_text().splitlines()
    path.write_text("\n".join(f"ElementSpacing = {spacing}" if "ElementSpacing" in r else r for r in lines))
    with pytest.raises(InputError, match="must be positive"):
        read_scan(path)


def test_damaged_and_foreign_files_are_refused_by_name(tmp_path, image):
    for name in ("a.mha", "a.nrrd"):
        path = write(image, tmp_path / name)
        path.write_bytes(path.read_bytes()[:-20])
    write(image, tmp_path / "headless.mhd")
    (tmp_path / "headless.raw").unlink()
    for name in ("text.mha", "text.nrrd"):
        (tmp_path / name).write_text("patient,age\n")
    for name in ("a.mha", "a.nrrd", "headless.mhd", "text.mha", "text.nrrd"):
        with pytest.raises(InputError, match=f"{name} could not be read") as caught:
            read_scan(tmp_path / name)
        assert "\n" not in str(caught.value)


def test_without_the_extra_the_command_is_named(tmp_path, image, monkeypatch):
    path = write(image, tmp_path / "a.mha")
    monkeypatch.setitem(sys.modules, "SimpleITK", None)
    for reader in (read_scan, read_labels):
        with pytest.raises(MissingExtraError, match=r"pip install 'cafrnet\[itk\]'"):
            reader(path)


def test_names(tmp_path):
    assert all(is_scan(Path(f"x{s}")) for s in SUFFIXES)
