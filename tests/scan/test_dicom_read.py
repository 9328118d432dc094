"""DICOM in: what SimpleITK finds at a place in the patient, we find there; what is no volume is refused."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
import pytest
from nibabel.affines import apply_affine
from pydicom.dataset import Dataset
from pydicom.uid import JPEGLosslessSV1, RLELossless, generate_uid

from cafrnet.errors import InputError, UsageError
from cafrnet.scan import Scan, is_dicom_folder, output_suffix, read_labels, read_scan, write_labels
from cafrnet.scan.dicom import list_series
from cafrnet.scan.dicom_writer import write_enhanced, write_series

from .conftest import ACQUIRED_MM, oblique

SEGMENTATION, REPORT = "1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.88.11"


@pytest.fixture
def folder(tmp_path: Path, acquired: Scan) -> Path:
    write_series(acquired, tmp_path / "study", description="T2 SAG", seed_uid="one")
    return tmp_path / "study"


def change(path: Path, **values: object) -> Dataset:
    """Overwrite attributes of a DICOM file."""
    dataset = pydicom.dcmread(path)
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.save_as(path)
    return dataset


def files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.dcm"))


def assert_same_place(image: object, scan: Scan) -> None:
    """Every voxel of a SimpleITK image has the value that the scan has at the same physical position."""
    indices = np.stack(np.meshgrid(*map(np.arange, scan.voxels.shape), indexing="ij"), -1).reshape(-1, 3)
    world_ras = apply_affine(scan.affine, indices)
    for index, point in zip(indices, world_ras, strict=True):
        there = image.TransformPhysicalPointToContinuousIndex([-point[0], -point[1], point[2]])
        nearest = tuple(round(c) for c in there)
        np.testing.assert_allclose(there, nearest, atol=1e-3)
        assert image.GetPixel(nearest) == scan.voxels[tuple(index)]


@pytest.mark.parametrize("mirrored", [False, True], ids=["right-handed", "left-handed"])
def test_values_lie_where_simpleitk_finds_them(tmp_path, mirrored):
    sitk = pytest.importorskip("SimpleITK")
    voxels = np.random.default_rng(1).integers(0, 4000, (4, 5, 3)).astype(np.uint16)
    matrix = ACQUIRED_MM * ((1, 1, -1) if mirrored else (1, 1, 1))
    write_series(Scan(voxels, oblique(matrix, (15, 8, -20))), tmp_path / "s", description="T2", seed_uid="x")
    for path, prefix in zip(files(tmp_path / "s"), "bca", strict=True):  # names sort unlike places
        path.rename(path.with_name(prefix + path.name))
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(tmp_path / "s")))
    assert_same_place(reader.Execute(), read_scan(tmp_path / "s"))


def test_enhanced_values_lie_where_simpleitk_finds_them(tmp_path, acquired):
    sitk = pytest.importorskip("SimpleITK")
    write_enhanced(acquired, tmp_path / "e.dcm", description="T2", seed_uid="x")
    assert_same_place(sitk.ReadImage(str(tmp_path / "e.dcm")), read_scan(tmp_path / "e.dcm"))


def test_integers_stay_integers(folder):
    assert read_scan(folder).voxels.dtype == np.uint16


def test_rescale_is_honoured_slice_by_slice(folder, acquired):
    for k, path in enumerate(files(folder)):
        change(path, RescaleSlope=k + 0.5, RescaleIntercept=-k)
    k = np.arange(acquired.voxels.shape[2])
    expected = acquired.voxels * (k + 0.5) - k
    scan = read_scan(folder)
    assert scan.voxels.dtype == np.float32
    np.testing.assert_allclose(scan.voxels, expected, rtol=1e-6)


def test_rescale_is_honoured_in_enhanced_files(tmp_path, acquired):
    path = write_enhanced(acquired, tmp_path / "e.dcm", description="T2", seed_uid="x")
    dataset = pydicom.dcmread(path)
    del dataset.SharedFunctionalGroupsSequence[0].PixelValueTransformationSequence
    for k, item in enumerate(dataset.PerFrameFunctionalGroupsSequence):
        transformation = Dataset()
        transformation.RescaleSlope, transformation.RescaleIntercept = 2, k
        transformation.RescaleType = "US"
        item.PixelValueTransformationSequence = [transformation]
    dataset.save_as(path)
    expected = acquired.voxels * 2.0 + np.arange(acquired.voxels.shape[2])
    np.testing.assert_allclose(read_scan(path).voxels, expected)


def test_frames_of_an_enhanced_file_are_sorted_by_place(tmp_path, acquired):
    path = write_enhanced(acquired, tmp_path / "e.dcm", description="T2", seed_uid="x")
    dataset = pydicom.dcmread(path)
    order = [0, 3, 1, 4, 2, 5]  # interleaved acquisition
    dataset.PixelData = dataset.pixel_array[order].tobytes()
    groups = dataset.PerFrameFunctionalGroupsSequence
    dataset.PerFrameFunctionalGroupsSequence = [groups[i] for i in order]
    dataset.save_as(path)
    scan = read_scan(path)
    np.testing.assert_array_equal(scan.voxels, acquired.voxels)
    np.testing.assert_allclose(scan.affine, acquired.affine, atol=1e-4)


def test_compressed_files_are_decoded(folder, acquired):
    for path in files(folder):
        dataset = pydicom.dcmread(path)
        dataset.compress(RLELossless, generate_instance_uid=False)
        dataset.save_as(path)
    np.testing.assert_array_equal(read_scan(folder).voxels, acquired.voxels)


def test_a_compression_without_a_decoder_is_named(folder, monkeypatch):
    from pydicom.pixels.decoders import JPEGLosslessSV1Decoder

    monkeypatch.setattr(JPEGLosslessSV1Decoder, "_available", {})
    for path in files(folder):
        dataset = pydicom.dcmread(path)
        dataset.PixelData = pydicom.encaps.encapsulate([b"\xff\xd8\xff\xd9"])
        dataset["PixelData"].is_undefined_length = True
        dataset.file_meta.TransferSyntaxUID = JPEGLosslessSV1
        dataset.save_as(path)
    with pytest.raises(InputError, match=r"as JPEG Lossless.*can't be decoded.*pylibjpeg.*gdcmconv"):
        read_scan(folder)


def test_files_that_are_not_slices_are_left_out(folder, acquired, caplog):
    caplog.set_level(logging.DEBUG, "cafrnet")
    (folder / "notes.txt").write_text("nothing")
    (folder / "empty.dcm").write_bytes(b"")
    for name, kind in (("seg", SEGMENTATION), ("report", REPORT)):
        shutil.copy(files(folder)[1], folder / name)
        uids = {"SOPInstanceUID": generate_uid(), "SeriesInstanceUID": generate_uid()}
        change(folder / name, SOPClassUID=kind, **uids)
    shutil.copy(files(folder)[1], folder / "DICOMDIR")
    change(folder / "DICOMDIR", SOPClassUID="1.2.840.10008.1.3.10", SOPInstanceUID=generate_uid())
    (folder / "deeper").mkdir()
    files(folder)[2].rename(folder / "deeper" / "no_suffix")
    np.testing.assert_array_equal(read_scan(folder).voxels, acquired.voxels)
    levels = {r.getMessage().split(":")[0]: r.levelname for r in caplog.records}
    assert levels[str(folder / "notes.txt")] == "DEBUG"
    assert levels[str(folder / "empty.dcm")] == "WARNING"


def test_a_copy_of_the_same_object_is_ignored_with_a_warning(folder, acquired, caplog):
    shutil.copy(files(folder)[0], folder / "copy.dcm")
    np.testing.assert_array_equal(read_scan(folder).voxels, acquired.voxels)
    assert "the same DICOM object as another file" in caplog.text


def test_slices_that_anonymising_gave_one_uid_are_all_read(folder, acquired, caplog):
    for file in files(folder):
        change(file, SOPInstanceUID="1.2.3")
    np.testing.assert_array_equal(read_scan(folder).voxels, acquired.voxels)
    assert "ignored" not in caplog.text


@pytest.mark.parametrize("content", ["nothing", "text", "report"])
def test_a_folder_without_mr_images_is_refused(tmp_path, folder, content):
    empty = tmp_path / "empty"
    empty.mkdir()
    if content == "text":
        (empty / "a.txt").write_text("text")
    if content == "report":
        shutil.copy(files(folder)[0], empty / "a.dcm")
        change(empty / "a.dcm", SOPClassUID=REPORT)
    expected = "only 1 x Basic Text SR Storage" if content == "report" else "no DICOM files"
    with pytest.raises(InputError, match=f"holds {expected}; a DICOM folder with MR images was expected"):
        read_scan(empty)


def test_a_missing_slice_is_named_with_its_gap(folder):
    files(folder)[2].unlink()
    with pytest.raises(
        InputError,
        match=r"1 slice\(s\) missing between slices 2 and 3 .*0002.*0004.*8.80 mm.*4.40 mm",
    ):
        read_scan(folder)


def test_a_missing_slice_is_found_among_three_left(folder):
    for name in ("0003.dcm", "0005.dcm", "0006.dcm"):  # 1, 2 and 4 remain: 4.4 mm and 8.8 mm
        (folder / name).unlink()
    with pytest.raises(InputError, match=r"1 slice\(s\) missing.*8.80 mm found, 4.40 mm expected"):
        read_scan(folder)


def moved(path: Path, mm: float, direction: np.ndarray) -> None:
    position = np.array(pydicom.dcmread(path).ImagePositionPatient, float) + mm * direction
    change(path, ImagePositionPatient=[f"{p:.8g}" for p in position])


def normal_of(folder: Path) -> np.ndarray:
    cosines = np.array(pydicom.dcmread(files(folder)[0]).ImageOrientationPatient, float).reshape(2, 3)
    return np.cross(*cosines)


def test_uneven_spacing_is_named_with_its_gap(folder):
    moved(files(folder)[3], 0.6, normal_of(folder))
    with pytest.raises(InputError, match=r"uneven slice spacing between slices \d and \d.*expected"):
        read_scan(folder)


def test_rounded_positions_are_accepted(folder):
    moved(files(folder)[3], 0.02, normal_of(folder))
    assert read_scan(folder).voxels.shape[2] == 6


def test_a_slice_shifted_sideways_is_refused(folder):
    cosines = np.array(pydicom.dcmread(files(folder)[0]).ImageOrientationPatient, float)
    moved(files(folder)[3], 3.0, cosines[:3])
    with pytest.raises(InputError, match=r"slice \d is shifted sideways by 3.00 mm"):
        read_scan(folder)


@pytest.mark.parametrize(
    ("keyword", "values"), [("EchoTime", (20, 80)), ("TemporalPositionIdentifier", (1, 2))]
)
def test_several_echoes_or_times_in_one_series_are_told(folder, acquired, keyword, values):
    write_series(acquired, folder / "second", description="T2 SAG", seed_uid="two")
    for path in files(folder):
        change(path, **{keyword: values[0]})
    uid = pydicom.dcmread(files(folder)[0]).SeriesInstanceUID
    for path in files(folder / "second"):
        change(path, SeriesInstanceUID=uid, **{keyword: values[1]})
    with pytest.raises(
        InputError, match=rf"lie at the same place: several echoes, time points.*{keyword} .*{values[1]}"
    ):
        read_scan(folder)


def test_several_orientations_in_one_series_are_refused(folder):
    change(files(folder)[1], ImageOrientationPatient=[1, 0, 0, 0, 1, 0])
    with pytest.raises(InputError, match="2 different orientations"):
        read_scan(folder)


def test_several_shapes_in_one_series_are_refused(folder):
    dataset = pydicom.dcmread(files(folder)[1])
    change(files(folder)[1], Rows=dataset.Columns, Columns=dataset.Rows)
    with pytest.raises(InputError, match=r"different grids.*\(7, 9\), \(9, 7\)"):
        read_scan(folder)


def test_several_pixel_spacings_in_one_series_are_refused(folder):
    change(files(folder)[1], PixelSpacing=[0.7, 0.6])
    with pytest.raises(InputError, match="different grids"):
        read_scan(folder)


@pytest.mark.parametrize("keyword", ["ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"])
def test_slices_without_a_place_are_refused(folder, keyword):
    dataset = pydicom.dcmread(files(folder)[1])
    delattr(dataset, keyword)
    dataset.save_as(files(folder)[1])
    with pytest.raises(InputError, match=r"0002.dcm: no position, orientation or pixel spacing"):
        read_scan(folder)


@pytest.mark.parametrize("spacing", [[0, 0.5], [0.7, -0.5]])
def test_a_pixel_spacing_that_is_not_positive_is_refused(folder, spacing):
    for path in files(folder):
        change(path, PixelSpacing=spacing)
    with pytest.raises(InputError, match="it must be positive"):
        read_scan(folder)


@pytest.mark.parametrize(
    "values",
    [
        {"PhotometricInterpretation": "MONOCHROME1"},
        {"PhotometricInterpretation": "RGB", "SamplesPerPixel": 3},
    ],
)
def test_colour_and_inverted_grey_are_refused(folder, values):
    for path in files(folder):
        change(path, **values)
    with pytest.raises(InputError, match=f"{values['PhotometricInterpretation']} pixels came"):
        read_scan(folder)


@pytest.mark.parametrize("kept", [0.98, 0.5, 0.2])
def test_a_file_cut_short_is_refused_by_name(folder, kept):
    path = files(folder)[3]
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * kept)])
    with pytest.raises(InputError, match=r"0004.dcm.*(damaged|cut short|no position)") as caught:
        read_scan(folder)
    assert "\n" not in str(caught.value)


def test_an_enhanced_file_with_too_few_groups_is_refused(tmp_path, acquired):
    path = write_enhanced(acquired, tmp_path / "e.dcm", description="T2", seed_uid="x")
    dataset = pydicom.dcmread(path)
    del dataset.PerFrameFunctionalGroupsSequence[-1]
    dataset.save_as(path)
    with pytest.raises(InputError, match="5 functional groups for 6 frames"):
        read_scan(path)


def test_one_slice_is_a_volume_and_says_so(folder, acquired, caplog):
    scan = read_scan(files(folder)[2])
    np.testing.assert_array_equal(scan.voxels, acquired.voxels[..., 2:3])
    np.testing.assert_allclose(
        apply_affine(scan.affine, [1, 2, 0]), apply_affine(acquired.affine, [1, 2, 2]), atol=1e-4
    )
    assert scan.spacing_mm[2] == pytest.approx(4.4)
    assert scan.frame.spacing_mm == pytest.approx((4.4, 0.7, 0.5))
    assert "a single slice; give its folder" in caplog.text


def test_an_unknown_series_is_refused_with_the_list(folder):
    info = list_series(folder)[0]
    with pytest.raises(UsageError, match=rf"no MR series '1.2.3'.*\n.*{info.uid}.*'T2 SAG'.*6 x 9 x 7"):
        read_scan(folder, series="1.2.3")


def test_labels_of_a_dicom_scan_are_nifti_at_its_place(folder, tmp_path):
    scan = read_scan(folder)
    assert output_suffix(scan) == ".nii.gz"
    write_labels(np.ones(scan.voxels.shape), scan, tmp_path / "seg.nii.gz")
    image = nib.load(tmp_path / "seg.nii.gz")
    np.testing.assert_allclose(image.get_sform(), scan.affine, atol=1e-4)
    np.testing.assert_allclose(image.get_qform(), scan.affine, atol=1e-3)
    with pytest.raises(InputError, match="can't be read from DICOM"):
        read_labels(folder)


def test_a_dicom_folder_is_told_by_its_own_files(folder, tmp_path):
    assert is_dicom_folder(folder)
    assert not is_dicom_folder(tmp_path)  # only its subfolder holds DICOM
    assert not is_dicom_folder(tmp_path / "gone")
    (tmp_path / "DICOMDIR").write_bytes(b"")
    assert is_dicom_folder(tmp_path)
