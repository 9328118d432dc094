"""Many scans, one model: done, skipped or failed; and what lies on the disk afterwards."""

import errno
import json
import logging
import shutil
from dataclasses import replace

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from cafrnet.errors import UsageError
from cafrnet.files import sha256
from cafrnet.inference import load_model, segment_files, stages
from cafrnet.inference.inputs import plan_jobs
from cafrnet.labels import get_scheme
from cafrnet.scan import Scan
from cafrnet.scan.dicom_writer import write_series
from handmade import stairs, write_grey_model, write_stairs


@pytest.fixture
def inputs(tmp_path):
    for name in "abc":
        write_stairs(tmp_path / f"in/{name}.nii.gz", slices=3)
    return tmp_path / "in"


def run(inputs, out, model, **options):
    """Return name -> status, and the outcomes."""
    outcomes = segment_files(plan_jobs([inputs], out), model, **options)
    return {o.job.labels.name.split("_")[0]: o.status for o in outcomes}, outcomes


def listing(folder):
    return sorted(p.name for p in folder.rglob("*") if p.is_file()) if folder.exists() else []


def test_done_then_skipped_then_done_again_on_request(inputs, tmp_path, model):
    out = tmp_path / "out"
    seen = []
    report = lambda number, count, outcome: seen.append((number, count, outcome.status))  # noqa: E731
    assert run(inputs, out, model, progress=report)[0] == dict.fromkeys("abc", "done")
    assert seen == [(1, 3, "done"), (2, 3, "done"), (3, 3, "done")]
    assert listing(out) == sorted(f"{n}{e}" for n in "abc" for e in (".json", "_preview.png", "_seg.nii.gz"))
    before = {p: p.stat().st_mtime_ns for p in out.iterdir()}
    assert run(inputs, out, model)[0] == dict.fromkeys("abc", "skipped")
    assert {p: p.stat().st_mtime_ns for p in out.iterdir()} == before
    assert run(inputs, out, model, overwrite=True)[0] == dict.fromkeys("abc", "done")


def test_a_changed_input_option_or_model_is_done_again(inputs, tmp_path, model):
    out = tmp_path / "out"
    run(inputs, out, model)
    image, _, affine = stairs(slices=3)
    nib.save(nib.Nifti1Image(image[:, ::-1], affine), inputs / "b.nii.gz")
    assert run(inputs, out, model)[0] == {"a": "skipped", "b": "done", "c": "skipped"}
    assert set(run(inputs, out, model, labels="totalspineseg")[0].values()) == {"done"}
    other = load_model(write_grey_model(tmp_path / "other", trained=[0, 1, 2]), threads=1)
    assert set(run(inputs, out, other, labels="totalspineseg")[0].values()) == {"done"}
    moved = replace(other, path=shutil.copytree(tmp_path / "other", tmp_path / "moved"))
    assert set(run(inputs, out, moved, labels="totalspineseg")[0].values()) == {"skipped"}  # the hash counts


@pytest.mark.parametrize("missing", ["a_seg.nii.gz", "a_preview.png", "a.json"])
def test_an_incomplete_result_is_done_again(inputs, tmp_path, model, missing):
    out = tmp_path / "out"
    run(inputs, out, model)
    (out / missing).unlink()
    assert run(inputs, out, model)[0] == {"a": "done", "b": "skipped", "c": "skipped"}


def test_a_record_cut_short_is_no_record(inputs, tmp_path, model):
    out = tmp_path / "out"
    run(inputs, out, model)
    (out / "a.json").write_text((out / "a.json").read_text()[:50])
    assert run(inputs, out, model, overwrite=True)[0]["a"] == "done"


def test_a_bad_case_never_stops_the_rest(inputs, tmp_path, model):
    (inputs / "b.nii.gz").write_bytes((inputs / "b.nii.gz").read_bytes()[:200])
    (inputs / "ba.nii.gz").write_text("not an image")
    statuses, outcomes = run(inputs, tmp_path / "out", model)
    assert statuses == {"a": "done", "b": "failed", "ba": "failed", "c": "done"}
    assert "b.nii.gz is damaged or cut short" in outcomes[1].message
    assert "ba.nii.gz is not a gzip file" in outcomes[2].message
    assert not any(n.startswith("b") for n in listing(tmp_path / "out"))


def test_an_unexpected_exception_fails_one_case_in_one_line(inputs, tmp_path, model, monkeypatch):
    real = stages.segment_scan

    def sometimes(scan, model):
        if scan.source.endswith("b.nii.gz"):
            raise ZeroDivisionError("two\nlines")
        return real(scan, model)

    monkeypatch.setattr(stages, "segment_scan", sometimes)
    statuses, outcomes = run(inputs, tmp_path / "out", model)
    assert statuses == {"a": "done", "b": "failed", "c": "done"}
    assert outcomes[1].message == f"{inputs / 'b.nii.gz'}: unexpected ZeroDivisionError: two lines"
    assert not outcomes[1].usage


def test_the_record(inputs, tmp_path, model):
    out = tmp_path / "out"
    run(inputs, out, model, labels="spider")
    record = json.loads((out / "a.json").read_text())
    assert record["input"] == {"path": str(inputs / "a.nii.gz"), "sha256": sha256(inputs / "a.nii.gz")}
    assert record["model"] == {"path": str(model.path), "engine": "onnxruntime", "sha256": model.hashes}
    assert record["options"] == {"series": "auto", "pixel_mm": None, "labels": "spider"}
    assert record["outputs"] == {"labels": "a_seg.nii.gz", "preview": "a_preview.png"}
    steps = {"read", "preprocess", "model", "to_native_grid", "write", "total"}
    assert set(record["timings_s"]) >= steps
    assert all(seconds >= 0 for seconds in record["timings_s"].values())
    assert record["geometry"] == {"shape": [32, 48, 3], "spacing_mm": [2.0, 2.0, 4.0]}
    assert record["structures"][:3] == ["S", "L5", "L4"]
    assert (record["label_table"], record["not_trained"]) == (1, [])


def test_the_record_is_written_last(inputs, tmp_path, model, monkeypatch):
    order = []
    for name in ("write_labels", "write_preview", "write_json"):
        real = getattr(stages, name)
        monkeypatch.setattr(
            stages, name, lambda *a, name=name, real=real, **k: (order.append(name), real(*a, **k))
        )
    run(inputs / "a.nii.gz", tmp_path / "out", model)
    assert order == ["write_labels", "write_preview", "write_json"]


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()])
@pytest.mark.parametrize("step", ["write_preview", "write_json"])
def test_a_failure_between_the_files_leaves_nothing(inputs, tmp_path, model, monkeypatch, step, error):
    def fail(*args):
        raise error

    monkeypatch.setattr(stages, step, fail)
    jobs = plan_jobs([inputs / "a.nii.gz"], tmp_path / "out")
    if isinstance(error, KeyboardInterrupt):
        with pytest.raises(KeyboardInterrupt):
            segment_files(jobs, model)
    else:
        (outcome,) = segment_files(jobs, model)
        assert "No space left on device" in outcome.message
    assert listing(tmp_path / "out") == []


def test_a_full_disk_keeps_the_old_label_map(inputs, tmp_path, model, monkeypatch):
    out = tmp_path / "out"
    run(inputs / "a.nii.gz", out, model)
    old = (out / "a_seg.nii.gz").read_bytes()

    def full(image, path):
        path.write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(nib, "save", full)
    statuses, outcomes = run(inputs / "a.nii.gz", out, model, labels="spider")
    assert statuses == {"a": "failed"}
    assert "a_seg.nii.gz could not be written: No space left on device" in outcomes[0].message
    assert (out / "a_seg.nii.gz").read_bytes() == old
    assert listing(out) == ["a_preview.png", "a_seg.nii.gz"]  # and no record: it is done again


def test_geometry_is_the_inputs_own(tmp_path, model):
    image, labels, affine = stairs(slices=3)
    turn = np.eye(4)
    turn[:3, :3] = [[0.995, -0.1, 0.0], [0.1, 0.995, 0.0], [0.0, 0.0, 1.0]]
    source = nib.Nifti1Image((image[..., None] * 2.0).astype(">f4"), turn @ affine)
    source.set_sform(turn @ affine, code=4)
    source.set_qform(turn @ affine, code=2)
    source.header.set_xyzt_units("mm", "sec")
    source.header.set_slope_inter(0.5, 3)
    (tmp_path / "in").mkdir()
    nib.save(source, tmp_path / "in/a.nii.gz")
    source = nib.load(tmp_path / "in/a.nii.gz")
    run(tmp_path / "in", tmp_path / "out", model)
    made = nib.load(tmp_path / "out/a_seg.nii.gz")
    assert made.get_data_dtype() == np.uint8
    assert made.shape == (32, 48, 3, 1)
    assert np.array_equal(np.asarray(made.dataobj)[..., 0], labels)
    assert (made.dataobj.slope, made.dataobj.inter) == (1, 0)
    assert np.array_equal(made.affine, source.affine)
    fields = ["pixdim", "xyzt_units", "sform_code", "srow_x", "srow_y", "srow_z", "qform_code"]
    fields += [f"quatern_{axis}" for axis in "bcd"] + [f"qoffset_{axis}" for axis in "xyz"]
    for field in fields:
        assert np.array_equal(made.header[field], source.header[field]), field


def test_labels_in_another_scheme_and_what_it_can_not_say(inputs, tmp_path, model, caplog):
    caplog.set_level(logging.WARNING, "cafrnet")  # whatever a command before this test was told
    run(inputs / "a.nii.gz", tmp_path / "out", model, labels="spider")
    written = np.asarray(nib.load(tmp_path / "out/a_seg.nii.gz").dataobj)
    _, labels, _ = stairs(slices=3)
    assert np.array_equal(written, get_scheme("spider").encode(labels)[0])
    assert set(np.unique(written)) == {0, 1, 2, 3, 4, 5, 100, 201, 202, 203, 204, 205}
    assert "the scheme spider has no value for ['S', 'posterior elements']; written as 0" in caplog.text


def test_nobody_elses_file_is_replaced_unasked(inputs, tmp_path, model):
    (inputs / "a.json").write_text('{"EchoTime": 0.1}')  # BIDS sidecar
    shutil.copy(inputs / "c.nii.gz", tmp_path / "drawn.nii.gz")
    (tmp_path / "out").mkdir()
    shutil.copy(inputs / "c.nii.gz", tmp_path / "out/b_seg.nii.gz")  # drawn by hand
    statuses, outcomes = run(inputs, inputs, model)
    assert statuses == {"a": "failed", "b": "done", "c": "done"}
    assert "a.json is there already and was not written by cafrnet" in outcomes[0].message
    assert (inputs / "a.json").read_text() == '{"EchoTime": 0.1}'
    statuses, outcomes = run(inputs / "b.nii.gz", tmp_path / "out", model)
    assert statuses == {"b": "failed"}
    assert "b_seg.nii.gz is there already" in outcomes[0].message
    assert run(inputs / "b.nii.gz", tmp_path / "out", model, overwrite=True)[0] == {"b": "done"}


def test_an_option_that_is_missing_is_told_apart(tmp_path, model):
    Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8)).save(tmp_path / "p.png")
    image, _, affine = stairs(slices=6)
    for name in "xy":
        write_series(Scan(image, affine), tmp_path / "d" / name, description="T2 SAG", seed_uid=name)
    outcomes = segment_files(plan_jobs([tmp_path / "p.png", tmp_path / "d"], tmp_path / "out"), model)
    assert [(o.status, o.usage) for o in outcomes] == [("failed", True), ("failed", True)]
    assert "--pixel-mm" in outcomes[0].message
    assert "2 series fit equally well; choose one with --series UID" in outcomes[1].message
    with pytest.raises(UsageError, match="no label scheme"):
        segment_files([], model, labels="nope")


def test_png_in_png_out(tmp_path, model):
    image, labels, _ = stairs()
    flat = image[:, ::-1, 3].T.astype(np.uint8)  # rows caudally, columns posteriorly
    flat[0, 0] = 0
    Image.fromarray(flat).save(tmp_path / "p.png")
    (outcome,) = segment_files(plan_jobs([tmp_path / "p.png"], tmp_path), model, pixel_mm=2.0)
    assert outcome.status == "done", outcome.message
    with Image.open(tmp_path / "p_seg.png") as made:
        assert made.mode == "L"
        assert np.array_equal(np.asarray(made), labels[:, ::-1, 3].T)
    assert len(plan_jobs([tmp_path], tmp_path / "o", png=True)) == 1


def test_a_dicom_folder_is_finished_whatever_else_lies_in_it(tmp_path, model):
    image, labels, affine = stairs(slices=6)
    for number, (name, echo) in enumerate((("T2", 100.0), ("T1", 10.0)), 1):
        write_series(
            Scan(image, affine), tmp_path / "anna" / name, description=f"SAG {name}", seed_uid=name,
            echo_time_ms=echo, repetition_time_ms=3000.0 if name == "T2" else 500.0, series_number=number,
        )  # fmt: skip
    assert run(tmp_path / "anna", tmp_path / "anna", model)[0] == {"anna": "done"}
    made = nib.load(tmp_path / "anna/anna_seg.nii.gz")
    world = nib.affines.apply_affine(made.affine, np.argwhere(np.asarray(made.dataobj) == 2))
    wanted = nib.affines.apply_affine(affine, np.argwhere(labels == 2))
    assert np.allclose(sorted(world.tolist()), sorted(wanted.tolist()), atol=1e-3)
    (tmp_path / "anna/notes.txt").write_text("a note changes nothing")
    assert run(tmp_path / "anna", tmp_path / "anna", model)[0] == {"anna": "skipped"}
    next((tmp_path / "anna/T1").iterdir()).unlink()
    assert run(tmp_path / "anna", tmp_path / "anna", model)[0] == {"anna": "done"}
