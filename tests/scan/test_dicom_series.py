"""Which series is chosen, and that nothing is chosen in silence."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pydicom
import pytest

from cafrnet.errors import InputError, UsageError
from cafrnet.scan import Scan, read_scan
from cafrnet.scan.dicom import list_series
from cafrnet.scan.dicom_series import weighting
from cafrnet.scan.dicom_writer import write_enhanced, write_series

from .conftest import ACQUIRED_MM, oblique

AXIAL_MM = np.array([[-0.5, 0, 0], [0, -0.7, 0], [0, 0, 4.4]])


def write(folder: Path, name: str, matrix: np.ndarray = ACQUIRED_MM, n: int = 6, **times: float) -> str:
    """Write a series and return its UID."""
    voxels = np.random.default_rng(len(name)).integers(0, 999, (4, 5, n)).astype(np.uint16)
    scan = Scan(voxels, oblique(matrix, (3, 2, 1)))
    paths = write_series(scan, folder / name, description=name, seed_uid=name, **times)
    return str(pydicom.dcmread(paths[0]).SeriesInstanceUID)


def chosen(folder: Path) -> str:
    return read_scan(folder).header["dicom"].uid


T1 = {"echo_time_ms": 10.0, "repetition_time_ms": 600.0}
STIR = {"echo_time_ms": 60.0, "repetition_time_ms": 4000.0, "inversion_time_ms": 160.0}


def test_sagittal_t2_wins_and_the_log_says_why(tmp_path, caplog):
    caplog.set_level(logging.INFO, "cafrnet")
    write(tmp_path, "localizer", n=3)
    write(tmp_path, "T1 sag", **T1)
    write(tmp_path, "STIR sag", **STIR)
    write(tmp_path, "T2 tra", AXIAL_MM, n=9)
    wanted = write(tmp_path, "T2 sag")
    assert chosen(tmp_path) == wanted
    message = next(r.getMessage() for r in caplog.records if r.levelname == "INFO")
    assert (
        f"series {wanted} 'T2 sag' chosen of 5: sagittal, T2 (by TE 100 ms, TR 3500 ms), 6 slices" in message
    )


def test_any_series_can_be_asked_for(tmp_path):
    write(tmp_path, "T2 sag")
    uid = write(tmp_path, "T1 sag", **T1)
    assert read_scan(tmp_path, series=uid).header["dicom"].uid == uid


def test_equally_good_series_are_listed_and_none_is_taken(tmp_path):
    uids = [write(tmp_path, name) for name in ("T2 sag lumbar", "T2 sag thoracic")]
    with pytest.raises(UsageError, match="2 series fit equally well; choose one with --series UID") as caught:
        read_scan(tmp_path)
    lines = str(caught.value).splitlines()[1:]
    assert len(lines) == 2
    for uid, name in zip(uids, ("T2 sag lumbar", "T2 sag thoracic"), strict=True):
        assert any(uid in line and name in line and "6 x 5 x 4" in line for line in lines)


@pytest.mark.parametrize(
    ("better", "worse"),
    [
        (("T2 sag", {}), ("T2 sag FS", {})),
        (("T2_TSE_sag_SPAIR", {}), ("STIR sag", STIR)),
        (("STIR sag", STIR), ("T1 sag", T1)),
        (("T2 sag", {}), ("T2 sag scout", {})),
        (("T2 sag", {}), ("T2 sag one", {"n": 1})),
        (("T1 sag", T1), ("T2 tra", {"matrix": AXIAL_MM})),
    ],
)
def test_preference(tmp_path, better, worse):
    write(tmp_path, worse[0], **worse[1])
    wanted = write(tmp_path, better[0], **better[1])
    assert chosen(tmp_path) == wanted


def test_a_localizer_of_three_orientations_loses_to_anything(tmp_path):
    write(tmp_path, "T2 three ways", n=9)
    for k, path in enumerate(sorted((tmp_path / "T2 three ways").iterdir())):
        dataset = pydicom.dcmread(path)
        dataset.ImageOrientationPatient = ([1, 0, 0, 0, 1, 0], [0, 1, 0, 0, 0, -1], [1, 0, 0, 0, 0, -1])[
            k % 3
        ]
        dataset.save_as(path)
    assert [i.plane for i in list_series(tmp_path)] == ["mixed"]
    wanted = write(tmp_path, "T1 sag", **T1)
    assert chosen(tmp_path) == wanted


def test_a_single_series_is_taken_whatever_it_is(tmp_path):
    write(tmp_path, "T1 tra", AXIAL_MM, **T1)
    scan = read_scan(tmp_path)
    with pytest.raises(InputError, match="axial slices"):
        _ = scan.frame


def test_no_sagittal_series_among_several_is_an_error(tmp_path):
    write(tmp_path, "T2 tra", AXIAL_MM)
    write(tmp_path, "T1 tra", AXIAL_MM, **T1)
    with pytest.raises(InputError, match=r"none of its 2 MR series is sagittal.*\n.*T2 tra"):
        read_scan(tmp_path)


def test_enhanced_series_are_described_alike(tmp_path, acquired):
    times = {"T2": {}, "T1": T1, "STIR": STIR}
    for name, values in times.items():
        write_enhanced(acquired, tmp_path / f"{name}.dcm", description="series", seed_uid=name, **values)
    found = {i.weighting: (i.plane, i.n_slices, i.rows, i.columns) for i in list_series(tmp_path)}
    assert found == dict.fromkeys(times, ("sagittal", 6, 9, 7))


def contrast(**values: object) -> dict[str, object]:
    empty = {"echo_time_ms": None, "repetition_time_ms": None, "inversion_time_ms": None}
    words = {"sequence": "SE", "options": "", "names": "", "stated": "", "image_type": ""}
    return {**empty, **words, **values}


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"echo_time_ms": 102, "repetition_time_ms": 3500}, "T2"),
        ({"echo_time_ms": 102, "options": "PFP FS"}, "T2 fat-saturated"),
        ({"echo_time_ms": 9.5, "repetition_time_ms": 550}, "T1"),
        ({"echo_time_ms": 20, "repetition_time_ms": 2100, "inversion_time_ms": 860}, "T1"),
        ({"echo_time_ms": 30, "repetition_time_ms": 2800}, "PD"),
        ({"echo_time_ms": 38, "inversion_time_ms": 220, "sequence": "SE IR"}, "STIR"),
        ({"echo_time_ms": 50, "names": "sag tirm"}, "STIR"),
        ({"echo_time_ms": 50, "repetition_time_ms": 3000, "names": "t2_tse_sag"}, "T2"),
        ({"echo_time_ms": 90, "sequence": "EP"}, "echo planar"),
        ({"echo_time_ms": 14, "sequence": "GR", "names": "t2_medic"}, "gradient echo"),
        ({"echo_time_ms": 14, "names": "T2* tra"}, "gradient echo"),
        ({"names": "T2W_TSE"}, "T2"),
        ({"names": "sT1 TSE"}, "T1"),
        ({"stated": "T2"}, "T2"),
        ({"names": "spine"}, "unknown contrast"),
    ],
)
def test_contrast_is_told_by_times_first_then_by_words(values, expected):
    assert weighting(contrast(**values))[0] == expected


def test_series_of_two_patients_are_never_chosen_between(tmp_path, acquired):
    for patient, echo in (("anna", 100.0), ("ben", 10.0)):  # a T2 and a T1, which auto would rank
        write_series(
            acquired, tmp_path / patient, description="SAG", seed_uid=patient, patient_id=patient,
            echo_time_ms=echo, repetition_time_ms=600.0,
        )  # fmt: skip
    with pytest.raises(UsageError, match="series of 2 studies lie in one folder") as caught:
        read_scan(tmp_path)
    uid = str(caught.value).splitlines()[1].split()[0]
    assert read_scan(tmp_path, series=uid).voxels.shape == acquired.voxels.shape
