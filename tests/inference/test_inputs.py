"""Which scans a command line stands for, and where their results go."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cafrnet.errors import UsageError
from cafrnet.inference.inputs import check_writable, plan_jobs
from cafrnet.report.preview import write_preview
from cafrnet.scan import Scan, write_labels
from cafrnet.scan.dicom_writer import write_series
from handmade import stairs, write_stairs


def touch(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"")
    return root


def plan(root: Path, *inputs: str, out: str = "out", **options) -> dict[str, str]:
    """Return source -> label map, both relative to ``root``."""
    jobs = plan_jobs([root / one for one in inputs], root / out, **options)
    return {os.path.relpath(j.source, root): os.path.relpath(j.labels, root) for j in jobs}


@pytest.fixture
def scan() -> Scan:
    image, _, affine = stairs(slices=2)
    return Scan(image, affine)


def series(scan: Scan, folder: Path, patient: str = "P", name: str = "") -> None:
    write_series(scan, folder, description="T2 SAG", seed_uid=name or str(folder), patient_id=patient)


def test_files_give_the_three_outputs_of_the_contract(tmp_path):
    touch(tmp_path, "a.nii.gz", "B.NII.GZ", "c.mha", "d.seg.nrrd", "e.nii", "picture.PNG")
    jobs = plan_jobs([tmp_path / n for n in ("a.nii.gz", "B.NII.GZ", "c.mha", "d.seg.nrrd", "e.nii")], "out")
    assert [j.labels.name for j in jobs] == [f"{n}_seg.nii.gz" for n in "aBcde"]
    assert [j.preview.name for j in jobs] == [f"{n}_preview.png" for n in "aBcde"]
    assert [j.record.name for j in jobs] == [f"{n}.json" for n in "aBcde"]
    assert {p.parent for j in jobs for p in j.outputs} == {Path("out")}
    assert plan(tmp_path, "picture.PNG") == {"picture.PNG": "out/picture_seg.png"}


def test_a_missing_file_is_left_for_the_reader_to_name(tmp_path):
    assert plan(tmp_path, "gone.nii.gz") == {"gone.nii.gz": "out/gone_seg.nii.gz"}
    (tmp_path / "broken.nii.gz").symlink_to(tmp_path / "nowhere")
    assert list(plan(tmp_path, "broken.nii.gz")) == ["broken.nii.gz"]


def test_folders_keep_their_subfolders_and_hidden_files_and_others_are_left_out(tmp_path):
    touch(
        tmp_path,
        "in/b.nii.gz",
        "in/one/a.nii.gz",
        "in/one/two/a.nii",
        "in/.hidden.nii.gz",
        "in/.git/x.nii.gz",
    )
    touch(tmp_path, "in/notes.txt", "in/picture.png", "in/._b.nii.gz")
    assert plan(tmp_path, "in") == {
        "in/b.nii.gz": "out/b_seg.nii.gz",
        "in/one/a.nii.gz": "out/one/a_seg.nii.gz",
        "in/one/two/a.nii": "out/one/two/a_seg.nii.gz",
    }
    assert "in/picture.png" in plan(tmp_path, "in", png=True)


@pytest.mark.parametrize("name", ["with blank", "Wirbelsäule", "脊椎", "a[1]b", "x'y", "-dash"])
def test_names_of_every_kind(tmp_path, name):
    touch(tmp_path, f"{name}/{name}.nii.gz")
    wanted = {f"{name}/{name}.nii.gz": f"out/{name}_seg.nii.gz"}
    assert plan(tmp_path, name) == plan(tmp_path, f"{name}/{name}.nii.gz") == wanted
    assert plan(tmp_path, f"{name}/*.nii.gz") == wanted  # brackets of a folder that exists are no pattern


def test_globs(tmp_path):
    touch(tmp_path, "d/a1.nii.gz", "d/a2.nii.gz", "d/b1.mha", "d/readme.txt", "d/sub/c.nii.gz")
    assert list(plan(tmp_path, "d/a*.nii.gz")) == ["d/a1.nii.gz", "d/a2.nii.gz"]
    assert list(plan(tmp_path, "d/[ab]1.*")) == ["d/a1.nii.gz", "d/b1.mha"]
    assert list(plan(tmp_path, "d/**/c.nii.gz")) == ["d/sub/c.nii.gz"]
    everything = {"d/a1.nii.gz", "d/a2.nii.gz", "d/b1.mha", "d/sub/c.nii.gz"}
    assert set(plan(tmp_path, "d/*")) == everything  # what is no scan is no failure
    with pytest.raises(UsageError, match="matches nothing"):
        plan(tmp_path, "d/z*.nii.gz")


def test_a_text_file_among_dicom_is_ignored_and_not_a_scan(tmp_path, scan):
    series(scan, tmp_path / "d")
    (tmp_path / "d/notes.dcm").write_text("no DICOM")
    assert list(plan(tmp_path, "d")) == ["d"]


def test_nothing_to_do_is_said(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match=r"no scan found in .*empty; expected DICOM .*\.nii\.gz"):
        plan(tmp_path, "empty")
    with pytest.raises(UsageError, match="empty name"):
        plan_jobs([""], tmp_path)
    with pytest.raises(UsageError, match="empty name"):
        plan_jobs([tmp_path], "")


def test_two_inputs_with_one_output_name(tmp_path):
    touch(tmp_path, "a/Case1.nii.gz", "b/case1.nii", "c/caf\u00e9.nii.gz", "d/cafe\u0301.nii.gz")
    with pytest.raises(UsageError, match=r"same output name: .*Case1\.nii\.gz and .*case1\.nii"):
        plan(tmp_path, "a/Case1.nii.gz", "b/case1.nii")
    with pytest.raises(UsageError, match="same output name"):
        plan(tmp_path, "c", "d")  # one name in two spellings of Unicode
    assert len(plan(tmp_path, "a", "a/Case1.nii.gz")) == 1  # the same file twice is no clash


def test_a_single_output_name(tmp_path):
    touch(tmp_path, "a.nii.gz", "b.nii.gz", "p.png")
    (job,) = plan_jobs([tmp_path / "a.nii.gz"], tmp_path / "res/x.nii.gz")
    assert [p.relative_to(tmp_path).as_posix() for p in job.outputs] == [
        "res/x.nii.gz",
        "res/x_preview.png",
        "res/x.json",
    ]
    assert plan(tmp_path, "p.png", out="x.png") == {"p.png": "x.png"}
    with pytest.raises(UsageError, match="2 scans came and one output name"):
        plan(tmp_path, "a.nii.gz", "b.nii.gz", out="x.nii.gz")
    with pytest.raises(UsageError, match="only the labels of a PNG"):
        plan(tmp_path, "a.nii.gz", out="x.png")
    for name in ("x.mha", "x.json", "x.nii.GZ.gz"):
        with pytest.raises(UsageError, match="looks like a file"):
            plan(tmp_path, "a.nii.gz", out=name)
    with pytest.raises(UsageError, match="is a file"):
        plan(tmp_path, "a.nii.gz", out=touch(tmp_path, "file").joinpath("file").name)
    (tmp_path / "v1.mha").mkdir()
    assert plan(tmp_path, "a.nii.gz", out="v1.mha") == {
        "a.nii.gz": "v1.mha/a_seg.nii.gz"
    }  # a folder is a folder


def test_no_output_is_an_input(tmp_path):
    touch(tmp_path, "a.nii.gz", "d/a.nii.gz", "d/a_seg.nii.gz")
    with pytest.raises(UsageError, match="would be overwritten"):
        plan(tmp_path, "a.nii.gz", out="a.nii.gz")
    with pytest.raises(UsageError, match="would be overwritten"):
        plan(tmp_path, "d", out="d")  # somebody's own a_seg.nii.gz lies there as a scan
    (tmp_path / "link.nii.gz").symlink_to(tmp_path / "a.nii.gz")
    with pytest.raises(UsageError, match="would be overwritten"):
        plan(tmp_path, "a.nii.gz", out="link.nii.gz")


def test_the_output_folder_inside_the_input_is_left_out(tmp_path, monkeypatch):
    touch(tmp_path, "in/a.nii.gz", "in/results/old.nii.gz")
    assert list(plan(tmp_path, "in", out="in/results")) == ["in/a.nii.gz"]
    monkeypatch.chdir(tmp_path)
    jobs = plan_jobs([tmp_path / "in"], "in/results")  # one absolute, one relative
    assert [j.source.name for j in jobs] == ["a.nii.gz"]
    monkeypatch.chdir(tmp_path / "in")
    assert [str(j.labels) for j in plan_jobs(["."], "results")] == ["results/a_seg.nii.gz"]


def test_what_cafrnet_wrote_is_never_a_scan(tmp_path, scan):
    write_stairs(tmp_path / "a.nii.gz", slices=2)
    ids = np.zeros(scan.voxels.shape, np.uint8)
    write_labels(ids, scan, tmp_path / "a_seg.nii.gz")
    write_labels(ids, scan, tmp_path / "moved away.nii")
    write_preview(scan, ids, tmp_path / "a_preview.png")
    flat = Scan(scan.voxels[:, :, :1], scan.affine, header={"png": {"pixel_mm": 1.0}})
    write_labels(ids[:, :, :1], flat, tmp_path / "b_seg.png")
    Image.fromarray(np.eye(9, dtype=np.uint8)).save(tmp_path / "mine.png")
    for out in ("out", "."):
        assert list(plan(tmp_path, ".", out=out, png=True)) == ["a.nii.gz", "mine.png"]
    assert list(plan(tmp_path, "*.nii.gz")) == ["a.nii.gz"]
    with pytest.raises(UsageError, match="besides what cafrnet wrote itself"):
        plan(tmp_path, "a_seg.nii.gz")


def test_a_label_map_that_lost_its_mark_is_known_by_its_record(tmp_path):
    touch(tmp_path, "a.nii.gz", "a_seg.nii.gz", "b_seg.nii.gz")
    keys = {"input": {}, "model": {}, "options": {}, "timings_s": {}, "cafrnet": "0"}
    (tmp_path / "a.json").write_text(json.dumps(keys))
    (tmp_path / "b.json").write_text('{"EchoTime": 0.1}')  # BIDS
    assert list(plan(tmp_path, ".")) == ["a.nii.gz", "b_seg.nii.gz"]


def test_links_are_followed_but_not_in_circles(tmp_path):
    touch(tmp_path, "in/a.nii.gz", "other/b.nii.gz")
    (tmp_path / "in/loop").symlink_to(tmp_path / "in")
    (tmp_path / "in/linked").symlink_to(tmp_path / "other")
    (tmp_path / "in/c.nii.gz").symlink_to(tmp_path / "other/b.nii.gz")
    assert list(plan(tmp_path, "in")) == ["in/a.nii.gz", "in/c.nii.gz", "in/linked/b.nii.gz"]


def test_dicom_folders(tmp_path, scan, monkeypatch):
    series(scan, tmp_path / "in/p1/T2", patient="1")
    series(scan, tmp_path / "in/p2", patient="2")
    write_stairs(tmp_path / "in/n.nii.gz", slices=2)
    assert plan(tmp_path, "in") == {
        "in/n.nii.gz": "out/n_seg.nii.gz",
        "in/p1/T2": "out/p1/T2_seg.nii.gz",
        "in/p2": "out/p2_seg.nii.gz",
    }
    assert plan(tmp_path, "in/p2") == {"in/p2": "out/p2_seg.nii.gz"}
    monkeypatch.chdir(tmp_path / "in/p2")
    assert [str(j.labels) for j in plan_jobs(["."], "../../out")] == ["../../out/p2_seg.nii.gz"]


def test_series_folders_of_one_study_are_one_input(tmp_path, scan):
    series(scan, tmp_path / "cohort/anna/SER1", patient="anna")
    series(scan, tmp_path / "cohort/anna/more/SER2", patient="anna")
    series(scan, tmp_path / "cohort/ben/SER1", patient="ben")
    assert plan(tmp_path, "cohort/anna") == {"cohort/anna": "out/anna_seg.nii.gz"}
    assert plan(tmp_path, "cohort") == {
        "cohort/anna": "out/anna_seg.nii.gz",
        "cohort/ben/SER1": "out/ben/SER1_seg.nii.gz",
    }


def test_series_folders_of_different_studies_are_different_inputs(tmp_path, scan):
    for patient, name in (("a", "SER1"), ("a", "SER2"), ("b", "SER3")):
        series(scan, tmp_path / "mixed" / name, patient=patient)
    assert list(plan(tmp_path, "mixed")) == ["mixed/SER1", "mixed/SER2", "mixed/SER3"]


def test_a_disc_with_a_dicomdir_is_one_input_if_it_holds_one_study(tmp_path, scan):
    series(scan, tmp_path / "cd/DICOM/S0/SE0", patient="a")
    touch(tmp_path, "cd/DICOMDIR", "cd/viewer/autorun.exe")
    assert plan(tmp_path, "cd") == {"cd": "out/cd_seg.nii.gz"}
    series(scan, tmp_path / "cd/DICOM/S1/SE0", patient="b")
    assert list(plan(tmp_path, "cd")) == ["cd/DICOM/S0/SE0", "cd/DICOM/S1/SE0"]


def test_a_damaged_or_anonymous_header_never_joins_series(tmp_path, scan):
    for name in ("SER1", "SER2"):
        series(scan, tmp_path / "p" / name)
    first = next((tmp_path / "p/SER2").iterdir())
    first.write_bytes(first.read_bytes()[:140] + b"\xff" * 50)
    assert list(plan(tmp_path, "p")) == ["p/SER1", "p/SER2"]


def test_files_beside_dicom_are_scans_of_their_own(tmp_path, scan):
    series(scan, tmp_path / "p")
    write_stairs(tmp_path / "p/also.nii.gz", slices=2)
    shutil.copytree(tmp_path / "p", tmp_path / "p/below")
    assert list(plan(tmp_path, "p")) == ["p", "p/also.nii.gz"]  # what lies below is read with the folder


def test_dicom_files_named_by_their_uid_keep_their_stems(tmp_path, scan):
    series(scan, tmp_path / "p")
    for k, file in enumerate(sorted((tmp_path / "p").iterdir()), 1):
        file.rename(tmp_path / f"1.2.840.{k}")
    names = [j.labels.name for j in plan_jobs([tmp_path / "1.2.840.1", tmp_path / "1.2.840.2"], "out")]
    assert names == ["1.2.840.1_seg.nii.gz", "1.2.840.2_seg.nii.gz"]


def test_a_folder_that_can_not_be_written_to_is_found_before_the_work(tmp_path):
    touch(tmp_path, "a.nii.gz", "file")
    jobs = plan_jobs([tmp_path / "a.nii.gz"], tmp_path / "file" / "out")
    with pytest.raises(UsageError, match=r"file/out can't be written to: .*file: Not a directory"):
        check_writable(jobs)
    check_writable(plan_jobs([tmp_path / "a.nii.gz"], tmp_path / "new/deep"))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.nii.gz", "file"]
    (tmp_path / "locked").mkdir(mode=0o500)
    if os.geteuid() != 0:
        with pytest.raises(UsageError, match="locked"):
            check_writable(plan_jobs([tmp_path / "a.nii.gz"], tmp_path / "locked"))
