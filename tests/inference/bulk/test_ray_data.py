"""Ray Data on a local cluster: workers that die midway, cases that kill them, and everything in between."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from functools import partial
from importlib import import_module
from pathlib import Path

import pytest

from cafrnet.errors import MissingExtraError, UsageError
from cafrnet.inference import load_model
from cafrnet.inference.bulk import ray_data
from cafrnet.inference.bulk.journal import read_journal
from cafrnet.inference.bulk.ray_data import SILENCE, TRIES, RayOptions, segment_on_ray
from cafrnet.inference.inputs import plan_jobs
from handmade import write_stairs

ENDINGS = ("_seg.nii.gz", "_preview.png", ".json")


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"actors": 0}, "0 Ray actors came"),
        ({"cpus": 0}, "0 cores for each Ray actor came"),
        ({"cpus": float("nan")}, "nan cores"),
        ({"gpus": -1}, "-1 GPUs for each Ray actor came"),
    ],
)
def test_numbers_that_make_no_sense(values, sentence):
    with pytest.raises(UsageError, match=sentence):
        RayOptions(**values)


def test_threads_follow_the_cores():
    assert [RayOptions(cpus=c).threads for c in (0.5, 1, 3.5, 8)] == [1, 1, 3, 8]


def test_without_ray_the_extra_is_named(monkeypatch):
    monkeypatch.setattr(ray_data, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"cafrnet\[ray\]"):
        segment_on_ray([], lambda: None, RayOptions())


@pytest.fixture(scope="module")
def cluster():
    """A cluster of two cores that all tests of this file use."""
    for name, value in SILENCE.items():
        os.environ.setdefault(name, value)
    pytest.importorskip("pyarrow", reason="the 'ray' extra is not installed")
    ray = pytest.importorskip("ray", reason="the 'ray' extra is not installed")
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, object_store_memory=100 << 20)
    yield
    ray.shutdown()


def watched(folder: Path, path: Path, deadly=(), seconds=0.0):
    """Return a function that loads a model whose engine notes process and slices of every call in ``folder``.

    It takes its time, and dies (as if killed for want of memory) where the number of slices in a call
    shares a bit with one in ``deadly``: slices of several scans may come in one call.
    """

    def load():
        import_module("cafrnet.inference.answers").SLICES_AT_ONCE = 8  # a scan is one call
        import_module("cafrnet.inference.segment").upside_down_flags = lambda *_: ()  # without a second look
        model = load_model(path, threads=1)
        engine = model.engine

        class Watched:
            name, metadata = engine.name, engine.metadata
            image_shape, logits_shape = engine.image_shape, engine.logits_shape

            def __call__(self, images):
                (folder / f"{time.monotonic_ns()}-{os.getpid()}-{len(images)}").touch()
                time.sleep(seconds)
                if any(len(images) & bits for bits in deadly):
                    os.kill(os.getpid(), signal.SIGKILL)
                return engine(images)

        return replace(model, engine=Watched())

    return load


def calls(folder):
    """Return (process, slices) of every call, in order of time."""
    return [tuple(map(int, p.name.split("-")[1:])) for p in sorted(folder.iterdir())]


def names(folder):
    return sorted(p.name for p in folder.rglob("*") if p.is_file())


@pytest.fixture
def notes(tmp_path):
    folder = tmp_path / "notes"
    folder.mkdir()
    return folder


@pytest.fixture
def few_slices(tmp_path):
    """Four scans of 1 to 4 slices: one call of the engine each."""
    for k in range(1, 5):
        write_stairs(tmp_path / f"in/{k}.nii.gz", slices=k)
    return tmp_path / "in"


@pytest.mark.slow
def test_a_worker_killed_midway_costs_only_the_case_in_flight(
    cluster, few_slices, notes, grey_model, tmp_path
):
    """One worker; it is killed while it infers the third case that it got."""
    out, path = tmp_path / "o", tmp_path / "o/journal.jsonl"
    stamps, victim = {}, {}

    def kill_after_two(number, count, outcome):
        stamps[outcome.job.record.stem] = outcome.job.record.stat().st_mtime_ns
        if number == 2:
            while len(calls(notes)) < 3:  # the third case is in the network
                time.sleep(0.01)
            victim["process"], victim["slices"] = calls(notes)[2]
            os.kill(victim["process"], signal.SIGKILL)

    outcomes = segment_on_ray(
        plan_jobs([few_slices], out),
        watched(notes, grey_model, seconds=1.0),
        RayOptions(actors=1),
        journal=path,
        progress=kill_after_two,
    )
    assert [o.status for o in outcomes] == ["done"] * 4
    assert names(out) == sorted(["journal.jsonl", *(f"{k}{e}" for k in range(1, 5) for e in ENDINGS)])
    inferred = [slices for _, slices in calls(notes)]
    assert sorted(inferred) == sorted([1, 2, 3, 4, victim["slices"]])  # the one in flight twice, no other
    assert len({process for process, _ in calls(notes)}) == 2  # in a new process, loaded once
    for stem, stamp in stamps.items():
        assert (out / f"{stem}.json").stat().st_mtime_ns == stamp
    told = [entry["labels"] for entry in read_journal(path)]
    assert len(told) == len(set(told)) == 4


@pytest.mark.slow
@pytest.mark.parametrize("at_once", [1, 3])
def test_a_case_that_kills_its_worker_is_failed_and_takes_no_other_with_it(
    cluster, notes, grey_model, tmp_path, at_once
):
    for k in (1, 2, 4):  # bits: the sum of any calls that were joined tells which scans were in it
        write_stairs(tmp_path / f"in/{k}.nii.gz", slices=k)
    out = tmp_path / "o"
    outcomes = segment_on_ray(
        plan_jobs([tmp_path / "in"], out),
        watched(notes, grey_model, deadly=(2,), seconds=0.1),
        RayOptions(actors=2),
        at_once=at_once,
    )
    assert [o.status for o in outcomes] == ["done", "failed", "done"]
    assert f"2.nii.gz: its worker died {TRIES} times" in outcomes[1].message
    assert sum(bool(slices & 2) for _, slices in calls(notes)) == TRIES
    assert names(out) == sorted(f"{k}{e}" for k in (1, 4) for e in ENDINGS)


@pytest.mark.slow
def test_outcomes_and_warnings_are_those_of_one_machine(cluster, few_slices, grey_model, tmp_path, caplog):
    (few_slices / "3.nii.gz").write_text("text")
    jobs, load = plan_jobs([few_slices], tmp_path / "o"), partial(load_model, grey_model, threads=1)
    told, one = [], RayOptions(actors=1)
    outcomes = segment_on_ray(
        jobs, load, one, at_once=2, labels="spider", progress=lambda *t: told.append(t[:2])
    )
    assert [o.status for o in outcomes] == ["done", "done", "failed", "done"]
    assert "3.nii.gz is not a gzip file" in outcomes[2].message
    assert told == [(n, 4) for n in range(1, 5)]
    assert "1.nii.gz: the scheme spider has no value for" in caplog.text
    record = json.loads((tmp_path / "o/1.json").read_text())
    assert record["options"]["labels"] == "spider"
    again = segment_on_ray(jobs, load, one, labels="spider")
    assert [o.status for o in again] == ["skipped", "skipped", "failed", "skipped"]


@pytest.mark.slow
def test_a_full_disk_ends_it(cluster, grey_model, tmp_path, small_disk):
    for k in range(30):
        write_stairs(tmp_path / f"in/{k:02}.nii.gz", slices=1)
    (small_disk / "ballast").write_bytes(b"x" * 14_000)
    load = partial(load_model, grey_model, threads=1)
    outcomes = segment_on_ray(plan_jobs([tmp_path / "in"], small_disk / "out"), load, RayOptions(actors=1))
    statuses = [o.status for o in outcomes]
    assert "failed" in statuses
    assert "left" in statuses
    assert all("No space left" in o.message for o in outcomes if o.status != "done")
    assert len(names(small_disk)) == 1 + 3 * statuses.count("done")


@pytest.mark.slow
def test_what_can_not_start_is_wrong_use(cluster, few_slices, grey_model, tmp_path):
    jobs = plan_jobs([few_slices], tmp_path / "o")
    load = partial(load_model, grey_model, threads=1)
    with pytest.raises(UsageError, match=r"has 0 GPU in all, an actor was to have 1"):
        segment_on_ray(jobs, load, RayOptions(gpus=1))
    with pytest.raises(UsageError, match=r"has 2 CPU in all, an actor was to have 64"):
        segment_on_ray(jobs, load, RayOptions(cpus=64))
    with pytest.raises(UsageError, match=r"Ray could not go on.*does not exist"):
        segment_on_ray(jobs, partial(load_model, tmp_path / "gone"), RayOptions(actors=1))
    assert not (tmp_path / "o").exists()


@pytest.mark.slow
def test_the_command(few_slices, grey_model, tmp_path):
    pytest.importorskip("ray", reason="the 'ray' extra is not installed")
    words = ["segment", few_slices, "-o", tmp_path / "o", "--model", grey_model, "--ray", "--ray-actors", "1"]
    environment = {k: v for k, v in os.environ.items() if not k.startswith("RAY_")}
    done = subprocess.run(
        [sys.executable, "-m", "cafrnet.cli.main", *map(str, words)],
        capture_output=True,
        text=True,
        env=environment,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [str(tmp_path / f"o/{k}_seg.nii.gz") for k in range(1, 5)]
    assert [line for line in done.stderr.splitlines() if line.startswith("[4/4] done")]
    assert len(read_journal(tmp_path / "o/journal.jsonl")) == 4
