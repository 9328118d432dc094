"""``cafrnet segment`` over many scans from outside: parts, journal, how it ends."""

import json

import pytest

from cafrnet.cli.main import main
from cafrnet.cli.progress import Progress, duration
from cafrnet.inference.bulk.journal import read_journal
from handmade import write_stairs


@pytest.fixture
def run(grey_model, tmp_path, capsys):
    """Return a function: words -> (exit code, lines on stdout, lines on stderr)."""

    def call(*words, out=tmp_path / "out"):
        words = [tmp_path / "in", "-o", out, "--model", grey_model, "--threads", "1", *words]
        code = main(["segment", *map(str, words)])
        output = capsys.readouterr()
        return code, output.out.splitlines(), output.err.splitlines()

    return call


@pytest.fixture
def seven(tmp_path):
    for k in range(7):
        write_stairs(tmp_path / f"in/{k}.nii.gz", slices=1)


def test_parts_together_are_the_whole(run, seven, tmp_path):
    printed = []
    for part in range(3):
        code, lines, _ = run("--num-parts", "3", "--part", str(part), "-q")
        assert code == 0
        printed += lines
        assert len(read_journal(tmp_path / f"out/journal-{part}-of-3.jsonl")) == len(lines)
    assert sorted(printed) == [str(tmp_path / f"out/{k}_seg.nii.gz") for k in range(7)]
    code, lines, progress = run()
    assert (code, len(lines)) == (0, 7)
    assert all("skipped" in line for line in progress)


def test_a_part_without_scans_is_done(run, seven, tmp_path):
    code, printed, errors = run("--num-parts", "20", "--part", "19")
    assert (code, printed) == (0, [])
    assert errors == ["cafrnet: part 19 of 20 has no scans (there are 7)"]
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--part", "0"], "--part came without --num-parts"),
        (["--num-parts", "3"], "--num-parts came without --part"),
        (["--num-parts", "3", "--part", "3"], "it counts from 0 to 2"),
        (["--at-once", "0"], "0 scans at once came"),
        (["--ray-actors", "2"], "--ray-actors came without --ray"),
        (["--ray-gpus", "1"], "--ray-gpus came without --ray"),
        (["--ray", "--ray-cpus", "0"], "0 cores for each Ray actor came"),
        (["--ray", "--at-once", "0"], "0 scans at once came"),
    ],
)
def test_nonsense_is_wrong_use_before_any_work(run, seven, tmp_path, words, sentence):
    code, printed, errors = run(*words)
    assert (code, printed, len(errors)) == (2, [], 1), errors
    assert sentence in errors[0]
    assert not (tmp_path / "out").exists()


def test_a_single_scan_has_no_journal(run, tmp_path):
    write_stairs(tmp_path / "in/a.nii.gz", slices=1)
    assert run()[0] == 0
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["a.json", "a_preview.png", "a_seg.nii.gz"]


def test_a_disk_that_fills_is_named_at_the_end(run, tmp_path, small_disk):
    for k in range(20):
        write_stairs(tmp_path / f"in/{k:02}.nii.gz", slices=1)
    (small_disk / "ballast").write_bytes(b"x" * 8_000)
    code, _, errors = run("--at-once", "1", "-q", out=small_disk / "out")
    assert code == 1
    assert any("No space left on device" in line for line in errors)
    assert "scans were not started, since nothing can be written any more" in errors[-1]
    assert errors[-1].endswith("make room, and the same command goes on with them")
    names = sorted(p.name for p in (small_disk / "out").iterdir() if p.name != "journal.jsonl")
    assert len(names) % 3 == 0  # whole results only
    (small_disk / "ballast").write_bytes(b"")
    code, printed, _ = run("--at-once", "1", "--json", "-q", out=small_disk / "out")
    told = json.loads("\n".join(printed))
    assert (code, told["left"]) == (1, sum(case["status"] == "left" for case in told["cases"]))
    assert all(case["labels"] is None for case in told["cases"] if case["status"] == "left")


class Fake:
    def __init__(self, status):
        self.status = status


def test_rate_and_time_left(monkeypatch, capsys):
    now = iter([10.0, 12.0, 16.0, 16.1])
    monkeypatch.setattr("cafrnet.cli.progress.time.monotonic", lambda: next(now))
    progress = Progress()
    for number, status in enumerate(["skipped", "done", "failed", "skipped", "done", "done"], 1):
        progress.line(number, 6 if number == 6 else 100, Fake(status), "x")
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        "[1/100] skipped: x",
        "[2/100] done: x",  # one end is no rate
        "[3/100] failed: x | 2.0 s each, about 3 min left",  # 97 cases of 2 s
        "[4/100] skipped: x | 2.0 s each, about 3 min left",
        "[5/100] done: x | 3.0 s each, about 5 min left",  # 95 cases of 3 s
        "[6/6] done: x",
    ]


def test_durations():
    assert [duration(s) for s in (0.4, 89, 91, 3600, 5400, 12_000)] == [
        "0 s", "89 s", "2 min", "60 min", "1 h 30 min", "3 h 20 min",
    ]  # fmt: skip
