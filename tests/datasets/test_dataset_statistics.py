"""Counts of a drawn dataset by hand, their files, and the picture."""

import csv
import importlib.util

import numpy as np
import pytest
from drawn_spine import draw_labels, save

from cafrnet.datasets import open_dataset
from cafrnet.datasets.class_figure import draw
from cafrnet.datasets.statistics import statistics
from cafrnet.errors import UsageError


@pytest.fixture
def found(spinemri):
    root = spinemri(1, 2, 3)
    without_l3 = draw_labels(column=(1, 11, 2, 12, 3))
    save(root / "train/Mask/mask_case2.nii.gz", without_l3)
    (root / "train/Mask/mask_case3.nii.gz").unlink()
    return statistics(open_dataset(root))


def test_counts_by_hand(found):
    by_name = {c.name: c for c in found.classes}
    l5, l3, disc, canal = (by_name[n] for n in ("L5", "L3", "L4/L5", "spinal canal"))
    assert (l5.cases, l5.slices, l5.voxels) == (2, 4, 2 * 2 * 8 * 15)  # cases x slices x rows x columns
    assert l5.volume_ml == pytest.approx(2 * 2 * 8 * 15 * 4 * 3 * 2 / 1000, abs=1e-3)  # 4 x 3 x 2 mm
    assert (l3.cases, l3.slices, l3.voxels) == (1, 2, 240)
    assert (disc.cases, disc.voxels) == (2, 2 * 2 * 3 * 15)
    assert (canal.cases, canal.slices, canal.voxels) == (0, 0, 0)
    assert found.labelled_slices == 8  # case 3 has no truth


def test_geometry_is_that_of_the_sagittal_frame(found):
    row = found.geometry[0]
    assert (row.case, row.slices, row.rows, row.columns) == ("Case1", 4, 60, 50)
    assert (row.slice_mm, row.row_mm, row.column_mm) == (4.0, 3.0, 2.0)
    assert [g.labelled for g in found.geometry] == [True, True, False]


def test_whole_vertebrae_count_for_their_level(spinemri):
    found = statistics(open_dataset(spinemri(1, values="", whole=True)))
    assert {c.name: c.voxels for c in found.classes}["L5"] == 2 * (8 * 15 + 3 * 20)


def test_files_hold_the_counts(found, tmp_path):
    pytest.importorskip("matplotlib")
    paths = found.save(tmp_path / "out")
    assert [p.name for p in paths] == ["classes.csv", "geometry.csv", "classes.png"]
    with paths[0].open() as file:
        rows = {row["name"]: row for row in csv.DictReader(file)}
    assert rows["L3"]["slices"] == "2"
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == sorted(p.name for p in paths)


def test_the_picture_has_ascending_bars_a_rising_line_and_the_threshold(found, tmp_path, monkeypatch):
    figure_module = pytest.importorskip("matplotlib.figure")
    kept = []
    make = figure_module.Figure
    monkeypatch.setattr(figure_module, "Figure", lambda **k: kept.append(make(**k)) or kept[0])
    draw(found, tmp_path / "classes.png")
    left, right = kept[0].axes
    heights = [bar.get_height() for bar in left.patches]
    assert heights == sorted(heights) == [2, 2, 4, 4, 4, 4, 4]
    line, threshold = right.lines
    np.testing.assert_allclose(line.get_ydata(), 100 * np.cumsum(heights) / 24)
    assert line.get_color() == "tab:orange"
    assert (set(threshold.get_ydata()), threshold.get_linestyle()) == ({80}, "--")
    assert (tmp_path / "classes.png").read_bytes()[:4] == b"\x89PNG"


def test_without_matplotlib_the_picture_alone_is_left_out(spinemri, tmp_path, monkeypatch, caplog):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda n, *a: None if n == "matplotlib" else find(n, *a))
    paths = statistics(open_dataset(spinemri(1))).save(tmp_path / "out")
    assert [path.name for path in paths] == ["classes.csv", "geometry.csv"]
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"classes.csv", "geometry.csv"}
    assert "classes.png is not drawn" in caplog.text
    assert "pip install 'cafrnet[plots]'" in caplog.text


def test_a_case_that_cannot_be_read_is_named_and_left_out(spinemri):
    root = spinemri(1, 2)
    (root / "train/MR/Case2.nii.gz").write_text("not an image")
    found = statistics(open_dataset(root))
    assert list(found.failed) == ["Case2"]
    assert [g.case for g in found.geometry] == ["Case1"]
    assert {c.name: c.cases for c in found.classes}["L5"] == 1


def test_nothing_readable_is_an_error(spinemri):
    root = spinemri(1)
    (root / "train/MR/Case1.nii.gz").write_text("not an image")
    with pytest.raises(UsageError, match="cafrnet data check"):
        statistics(open_dataset(root))


@pytest.mark.real
def test_real_counts_are_those_of_its_readme(real_data):
    found = statistics(open_dataset(real_data))
    cases = {c.name: c.cases for c in found.classes}
    expected = {"T11": 29, "T10": 13, "T9": 2, "T10/T11": 17, "T9/T10": 5, "S": 0, "L5": 31, "T12": 31}
    assert {name: cases[name] for name in expected} == expected
    with (real_data / "cases.csv").open() as file:
        slices = {f"Case{row['case']}": int(row["slices"]) for row in csv.DictReader(file)}
    assert {g.case: g.slices for g in found.geometry} == slices
    assert {(g.slice_mm, g.row_mm, g.column_mm) for g in found.geometry} == {(1.8, 0.46875, 0.46875)}
