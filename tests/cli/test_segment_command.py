"""``cafrnet segment`` from outside: exit codes, what stands on stdout and stderr, every kind of bad input."""

import gzip
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from cafrnet.cli.main import main
from cafrnet.scan import Scan
from cafrnet.scan.dicom_writer import write_series
from handmade import stairs, write_stairs


@pytest.fixture
def run(grey_model, tmp_path, capsys):
    """Return a function: words -> (exit code, lines on stdout, lines on stderr)."""

    def call(*words, model=grey_model, out=tmp_path / "out"):
        more = [] if model is None else ["--model", str(model)]
        more += [] if "--threads" in words else ["--threads", "1"]
        code = main(["segment", *map(str, words), "-o", str(out), *more])
        output = capsys.readouterr()
        return code, output.out.splitlines(), output.err.splitlines()

    return call


def save(path, array, affine=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(array, stairs()[2] if affine is None else affine), path)
    return path


def test_results_on_stdout_progress_on_stderr(run, tmp_path):
    for name in "ab":
        write_stairs(tmp_path / f"in/{name}.nii.gz", slices=2)
    out = tmp_path / "out"
    code, printed, progress = run(tmp_path / "in")
    assert (code, printed) == (0, [str(out / "a_seg.nii.gz"), str(out / "b_seg.nii.gz")])
    told = [
        line.split(",")[0].split(" (")[0].split(maxsplit=1) for line in progress
    ]  # in the order in which they end
    assert [number for number, _ in told] == ["[1/2]", "[2/2]"]
    assert sorted(what for _, what in told) == [f"done: {out / f'{n}_seg.nii.gz'}" for n in "ab"]
    assert run(tmp_path / "in", "-q") == (0, printed, [])  # skipped, and silent about it
    code, printed, _ = run(tmp_path / "in", "--json")
    told = json.loads("\n".join(printed))
    assert [case["status"] for case in told["cases"]] == ["skipped", "skipped"]
    assert told["failed"] == 0


def test_some_failed_is_1_and_they_are_listed_at_the_end(run, tmp_path):
    write_stairs(tmp_path / "in/a.nii.gz", slices=2)
    (tmp_path / "in/b.nii.gz").write_text("text")
    (tmp_path / "in/c.nii.gz").write_text("text")
    code, printed, errors = run(tmp_path / "in", "-q")
    assert (code, len(printed)) == (1, 1)
    assert errors[0] == "cafrnet: 2 of 3 scans failed:"
    assert [line.split()[0] for line in errors[1:]] == [str(tmp_path / f"in/{n}.nii.gz") for n in "bc"]
    code, printed, _ = run(tmp_path / "in", "--json", "-q")
    told = json.loads("\n".join(printed))
    assert (code, told["failed"]) == (1, 2)
    assert told["cases"][1]["labels"] is None
    assert "not a gzip file" in told["cases"][1]["message"]


def nothing(path):
    pass


def cut(path):
    whole = write_stairs(path.with_name("whole.nii.gz"))
    path.write_bytes(whole.read_bytes()[:300])
    whole.unlink()


def header_changed(offset, values):
    """Return a maker of a file whose header holds these float32 values at a place of NIfTI-1."""

    def make(path):
        save(path, stairs()[0])
        raw = bytearray(gzip.decompress(path.read_bytes()))
        new = np.array(values, np.float32).tobytes()
        raw[offset : offset + len(new)] = new
        path.write_bytes(gzip.compress(bytes(raw)))

    return make


def with_nan(path):
    image = stairs()[0].astype(np.float32)
    image[3, 4, 1] = np.nan
    save(path, image)


#: What lies at x.nii.gz, and the sentence about it.
BAD = {
    "missing": (nothing, "no such file"),
    "cut short": (cut, "is damaged or cut short"),
    "text": (lambda p: p.write_text("hello"), "is not a gzip file"),
    "empty": (lambda p: p.write_bytes(b""), "is empty (0 bytes)"),
    "4D": (
        lambda p: save(p, np.stack([stairs()[0]] * 2, -1)),
        "a single three-dimensional volume was expected",
    ),
    "NaN": (with_nan, "1 voxels are NaN or infinite"),
    "all zero": (lambda p: save(p, np.zeros((8, 8, 3), np.int16)), "every voxel has the value 0"),
    "axial": (lambda p: save(p, stairs()[0], np.diag([1.0, 1.0, 5.0, 1.0])), "a scan in axial slices came"),
    "singular": (header_changed(280, [0, 0, 0, 0, -2, 0, 0, 60, 0, 2, 4, -64]), "its affine is singular"),
    "no finite affine": (header_changed(284, [np.nan]), "its affine is not a finite 4 x 4 matrix"),
    "zero spacing": (header_changed(80, [0]), "spacing of 0 x 2 x 4 mm; it must be positive"),
    "negative spacing": (header_changed(88, [-4]), "spacing of 2 x 2 x -4 mm; it must be positive"),
    "colour": (lambda p: save(p, np.zeros((4, 4, 4), [("R", "u1"), ("G", "u1"), ("B", "u1")])), "colour"),
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_input_gets_one_clear_line_and_leaves_nothing(run, tmp_path, kind):
    make, sentence = BAD[kind]
    make(tmp_path / "x.nii.gz")
    code, printed, errors = run(tmp_path / "x.nii.gz")
    assert (code, printed) == (1, [])
    assert len(errors) == 1
    assert errors[0].startswith("cafrnet: ")
    assert sentence in errors[0]
    assert "x.nii.gz" in errors[0]
    assert "unexpected" not in errors[0]
    assert not (tmp_path / "out").exists()


def test_dicom_that_can_not_be_one_volume(run, tmp_path):
    image, _, affine = stairs(slices=6)
    for name in ("gap", "several/A", "several/B"):
        write_series(Scan(image, affine), tmp_path / name, description="T2 SAG", seed_uid=name)
    (tmp_path / "gap/0003.dcm").unlink()
    code, _, errors = run(tmp_path / "gap")
    assert (code, len(errors)) == (1, 1)
    assert "1 slice(s) missing between slices 2 and 3" in errors[0]
    code, _, errors = run(tmp_path / "several")
    assert code == 2  # nothing could start without --series
    assert "2 series fit equally well; choose one with --series UID" in errors[0]
    uid = errors[1].split()[0]
    assert run(tmp_path / "several", "--series", uid)[0] == 0
    assert run(tmp_path / "several", "--series", "1.2.3")[0] == 2


def usage_errors(root, grey_model):
    root.mkdir(exist_ok=True)
    scan, other = write_stairs(root / "a.nii.gz"), write_stairs(root / "b/a.nii.gz")
    (root / "empty").mkdir()
    (root / "file").write_text("x")
    (root / "no_model").mkdir()
    broken = shutil.copytree(grey_model, root / "broken")
    (broken / "model.onnx").write_bytes((broken / "model.onnx").read_bytes()[:100])
    return {
        "empty folder": ([root / "empty"], {}, "no scan found in"),
        "glob": ([root / "z*.nii"], {}, "matches nothing"),
        "same names": ([scan, other], {}, "same output name"),
        "several, one name": ([root], {"out": root / "x.nii.gz"}, "scans came and one output name"),
        "over the input": ([scan], {"out": scan}, "would be overwritten"),
        "-o a file": ([scan], {"out": root / "file"}, "is a file; a folder"),
        "-o below a file": ([scan], {"out": root / "file/out"}, "can't be written to"),
        "scheme": ([scan, "--labels", "spidr"], {}, "did you mean 'spider'"),
        "no model named": ([scan], {"model": None}, "name one with --model RUN"),
        "no such model": ([scan], {"model": root / "gone"}, "does not exist"),
        "series without DICOM": ([scan, "--series", "1.2.3"], {}, "no input is DICOM"),
        "pixel without PNG": ([scan, "--pixel-mm", "1"], {}, "no input is a PNG"),
        "empty model folder": ([scan], {"model": root / "no_model"}, "model.onnx: no such model file"),
        "broken model": ([scan], {"model": broken}, "model.onnx"),
        "threads": ([scan, "--threads", "0"], {}, "0 threads came"),
    }


def test_wrong_use_is_2_in_one_line_before_any_work(run, tmp_path, grey_model, monkeypatch):
    monkeypatch.setattr("cafrnet.bundles.places.DEFAULT", tmp_path / "none")
    for name, (words, options, sentence) in usage_errors(tmp_path / "u", grey_model).items():
        before = sorted((tmp_path / "u").rglob("*"))
        code, printed, errors = run(*words, **options)
        assert (code, printed, len(errors)) == (2, [], 1), (name, errors)
        assert errors[0].startswith("cafrnet: "), name
        assert sentence in errors[0], name
        assert sorted((tmp_path / "u").rglob("*")) == before, name
        assert not (tmp_path / "out").exists(), name


def test_a_png_without_its_pixel_size_is_wrong_use(run, tmp_path):
    Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8)).save(tmp_path / "p.png")
    code, _, errors = run(tmp_path / "p.png")
    assert (code, len(errors)) == (2, 1)
    assert "--pixel-mm" in errors[0]
    assert run(tmp_path / "p.png", "--pixel-mm", "2")[0] == 0
    assert run(tmp_path / "p.png", "--pixel-mm", "-1", "--overwrite")[0] == 2
    write_stairs(tmp_path / "a.nii.gz")  # beside one that works it is one failed case
    assert run(tmp_path / "p.png", tmp_path / "a.nii.gz")[0] == 1


def test_words_may_stand_behind_an_option(grey_model, tmp_path, capsys):
    a, b = (write_stairs(tmp_path / f"{n}.nii.gz", slices=2) for n in "ab")
    words = ["segment", a, "-o", tmp_path / "out", b, "--model", grey_model]
    assert main([str(word) for word in words]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 2
    with pytest.raises(SystemExit) as stop:
        main([str(word) for word in [*words, "--bogus"]])
    assert stop.value.code == 2
    assert "unrecognized arguments: --bogus" in capsys.readouterr().err


def test_odd_names_work_end_to_end(run, tmp_path):
    names = ["with blank.nii.gz", "Wirbelsäule.NII.GZ", "a[1].nii.gz", "dots.in.it.nii"]
    for name in names:
        write_stairs(tmp_path / "in [x]" / name.lower(), slices=2).rename(tmp_path / "in [x]" / name)
    (tmp_path / "in [x]/link.nii.gz").symlink_to(tmp_path / "in [x]/a[1].nii.gz")
    code, printed, _ = run(tmp_path / "in [x]")
    assert (code, len(printed)) == (0, 5)
    assert all(os.path.exists(path) for path in printed)
    stems = {"with blank", "Wirbelsäule", "a[1]", "dots.in.it", "link"}
    assert {p.name for p in (tmp_path / "out").glob("*.json")} == {f"{stem}.json" for stem in stems}


def test_a_full_disk(run, tmp_path, small_disk):
    write_stairs(tmp_path / "a.nii.gz")
    (small_disk / "ballast").write_bytes(b"x" * 10_000)
    code, _, errors = run(tmp_path / "a.nii.gz", out=small_disk / "out")
    assert code == 1
    assert "could not be written: No space left on device" in errors[0]
    assert [p.name for p in small_disk.rglob("*") if p.is_file()] == ["ballast"]


def test_a_read_only_disk(run, tmp_path, small_disk):
    write_stairs(tmp_path / "a.nii.gz")
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    code, _, errors = run(tmp_path / "a.nii.gz", out=small_disk / "out")
    assert (code, len(errors)) == (2, 1)
    assert "can't be written to" in errors[0]
    assert "Read-only file system" in errors[0]


@pytest.fixture
def started(grey_model, tmp_path):
    """A process that segments many scans and has finished its first; and the folder of its results."""
    for k in range(40):
        write_stairs(tmp_path / f"in/{k:02}.nii.gz", slices=2)
    out = tmp_path / "out"
    words = [tmp_path / "in", "-o", out, "--model", grey_model, "--threads", "1", "-q"]
    process = subprocess.Popen(
        [sys.executable, "-m", "cafrnet.cli.main", "segment", *map(str, words)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    while not list(out.glob("*.json")) and process.poll() is None:
        time.sleep(0.01)
    yield process, out
    process.kill()
    process.communicate()


def test_killed_in_the_middle_nothing_is_half_written(started):
    process, out = started
    process.kill()
    assert process.wait() == -signal.SIGKILL
    finished = sorted(out.glob("*.json"))
    assert 1 <= len(finished) < 40
    for record in finished:
        assert json.loads(record.read_text())["structures"]
        assert np.asarray(nib.load(out / f"{record.stem}_seg.nii.gz").dataobj).shape == (32, 48, 2)
        Image.open(out / f"{record.stem}_preview.png").load()


def test_ctrl_c_ends_in_one_line_and_leaves_whole_results(started):
    process, out = started
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    finished = len(list(out.glob("*.json")))
    said = r"cafrnet: interrupted; (\d+) of 40 scans are finished; the same command goes on with the others\n"
    found = re.fullmatch(said, errors)
    assert found, errors
    assert finished - 4 <= int(found[1]) <= finished  # what was being written then may still end well
    assert len(list(out.glob("*.json"))) == len(list(out.glob("*_seg.nii.gz"))) < 40
    assert not [p for p in out.iterdir() if p.name.startswith(".")]


def test_the_verdict_stands_in_the_record_on_stderr_and_in_the_json(grey_model, tmp_path, capsys):
    scan, out = write_stairs(tmp_path / "a.nii.gz"), tmp_path / "out"
    words = ["segment", str(scan), "-o", str(out), "--model", str(grey_model), "--json"]
    for again in range(2):
        assert main(words) == 0
        shown = capsys.readouterr()
        (row,) = json.loads(shown.out)["cases"]
        record = json.loads((out / "a.json").read_text())
        assert row["status"] == ("skipped" if again else "done")
        assert row["triage"] == record["triage"] == "review"  # a model that was never calibrated
        assert row["reasons"] == record["reasons"]
        assert f"(review: {row['reasons'][0]})" in shown.err
