"""Scans in several stages at once: the same results as one after the other, and what faults leave behind."""

import errno
import json
import time
import weakref
from dataclasses import replace

import nibabel as nib
import numpy as np
import pytest

from cafrnet.errors import InputError, Interrupted, UsageError
from cafrnet.inference import segment_files, stages
from cafrnet.inference.batch import Workers
from cafrnet.inference.bulk import outcomes as bookkeeping
from cafrnet.inference.bulk.journal import read_journal
from cafrnet.inference.inputs import plan_jobs
from handmade import stairs, write_stairs

#: More scans under way than there are in most tests, so that they meet in every stage.
MANY = Workers(read=2, infer=3, write=2, at_once=7)
ENDINGS = ("_seg.nii.gz", "_preview.png", ".json")


@pytest.fixture
def inputs(tmp_path):
    """Six scans of other lengths and matrices."""
    for k, name in enumerate("abcdef"):
        write_stairs(tmp_path / f"in/{name}.nii.gz", slices=2 + k % 3, rows=48 + 2 * k)
    return tmp_path / "in"


def run(inputs, out, model, **options):
    outcomes = segment_files(plan_jobs([inputs], out), model, **{"workers": MANY, **options})
    return {o.job.source.name.split(".")[0]: o.status for o in outcomes}, outcomes


def names(folder):
    return sorted(p.name for p in folder.rglob("*") if p.is_file())


def whole(*cases):
    return sorted(name + ending for name in cases for ending in ENDINGS)


class Noting:
    """An engine that notes the length of every batch."""

    def __init__(self, engine):
        self._engine, self.batches = engine, []
        self.name, self.metadata = engine.name, engine.metadata
        self.image_shape, self.logits_shape = engine.image_shape, engine.logits_shape

    def __call__(self, images):
        self.batches.append(len(images))
        return self._engine(images)


def test_the_same_files_as_one_after_the_other(inputs, tmp_path, model):
    together, _ = run(inputs, tmp_path / "together", model)
    in_turn, _ = run(inputs, tmp_path / "in turn", model, workers=Workers(at_once=1))
    assert together == in_turn == dict.fromkeys("abcdef", "done")
    assert names(tmp_path / "together") == names(tmp_path / "in turn") == whole(*"abcdef")
    for name in "abcdef":
        one, other = ({e: (tmp_path / w / f"{name}{e}") for e in ENDINGS} for w in ("together", "in turn"))
        for ending in ("_seg.nii.gz", "_preview.png"):
            assert one[ending].read_bytes() == other[ending].read_bytes()
        told = [json.loads(files[".json"].read_text()) for files in (one, other)]
        assert {k: v for k, v in told[0].items() if k != "timings_s"} == {
            k: v for k, v in told[1].items() if k != "timings_s"
        }
    assert set(run(inputs, tmp_path / "together", model)[0].values()) == {"skipped"}


def test_outcomes_stay_in_the_order_of_the_inputs_progress_in_that_of_the_ends(inputs, tmp_path, model):
    seen = []
    _, outcomes = run(inputs, tmp_path / "o", model, progress=lambda *told: seen.append(told))
    assert [o.job.source.name[0] for o in outcomes] == list("abcdef")
    assert [(number, count) for number, count, _ in seen] == [(n, 6) for n in range(1, 7)]
    assert {o.job.source.name[0] for _, _, o in seen} == set("abcdef")


def test_slices_of_several_scans_go_through_the_network_together(tmp_path, model):
    for k in range(8):
        write_stairs(tmp_path / f"in/{k}.nii.gz", slices=1 + k % 2, rows=48 + k)

    class Slow(Noting):
        def __call__(self, images):  # long enough for others to wait behind it, on a busy machine too
            time.sleep(0.25 if self.batches else 1.0)
            return super().__call__(images)

    engine = Slow(model.engine)
    statuses, _ = run(tmp_path / "in", tmp_path / "o", replace(model, engine=engine))
    assert set(statuses.values()) == {"done"}
    assert sum(engine.batches) == 12 + 8  # and of each scan one slice once more, upside down
    assert max(engine.batches) > 2  # more than any single scan has
    assert len(engine.batches) < 8 + 8


def test_a_corrupt_scan_and_one_too_large_in_the_middle(inputs, tmp_path, model, monkeypatch):
    (inputs / "b.nii.gz").write_bytes((inputs / "b.nii.gz").read_bytes()[:200])
    real = stages.segment_scan

    def hungry(scan, model):
        if "d.nii" in scan.source:
            raise MemoryError
        return real(scan, model)

    monkeypatch.setattr(stages, "segment_scan", hungry)
    statuses, outcomes = run(inputs, tmp_path / "o", model)
    assert statuses == {**dict.fromkeys("acef", "done"), "b": "failed", "d": "failed"}
    assert "b.nii.gz is damaged or cut short" in outcomes[1].message
    assert "d.nii.gz: not enough memory; give more, or fewer scans at once" in outcomes[3].message
    assert names(tmp_path / "o") == whole(*"acef")


def test_an_engine_that_fails_for_one_scan_fails_no_other_of_its_batch(inputs, tmp_path, model):
    image, _, affine = stairs(slices=3)
    bright = np.where(image > 0, 220, 0).astype(np.int16)
    bright[:, :2] = 10
    nib.save(nib.Nifti1Image(bright, affine), inputs / "c.nii.gz")

    class Failing(Noting):
        def __call__(self, images):
            if (images.mean(axis=(1, 2, 3)) > 0.3).any():
                raise RuntimeError("Failed to allocate memory")
            return super().__call__(images)

    statuses, outcomes = run(inputs, tmp_path / "o", replace(model, engine=Failing(model.engine)))
    assert statuses == {**dict.fromkeys("abdef", "done"), "c": "failed"}
    assert "Failed to allocate memory" in outcomes[2].message
    assert names(tmp_path / "o") == whole(*"abdef")


def test_the_journal_has_one_line_for_each_outcome(inputs, tmp_path, model):
    (inputs / "b.nii.gz").write_text("text")
    path = tmp_path / "o/journal.jsonl"
    run(inputs, tmp_path / "o", model, journal=path)
    first = read_journal(path)
    assert {e["input"][-8]: e["status"] for e in first} == {**dict.fromkeys("acdef", "done"), "b": "failed"}
    assert "not a gzip file" in next(e["message"] for e in first if e["status"] == "failed")
    run(inputs, tmp_path / "o", model, journal=path)
    assert [e["status"] for e in read_journal(path)[6:]].count("skipped") == 5


def test_a_full_disk_stops_what_has_not_begun(small_disk, tmp_path, model):
    for k in range(30):
        write_stairs(tmp_path / f"in/{k:02}.nii.gz", slices=2)
    (small_disk / "ballast").write_bytes(b"x" * 2_000)
    _, outcomes = run(tmp_path / "in", small_disk / "out", model, workers=Workers(1, 1, 1, 3))
    failed = [o for o in outcomes if o.status == "failed"]
    left = [o for o in outcomes if o.status == "left"]
    done = [o for o in outcomes if o.status == "done"]
    assert 1 <= len(failed) <= 3  # those under way
    assert len(left) >= 26
    assert all("No space left on device" in o.message for o in failed + left)
    finished = [o.job.source.name.split(".")[0] for o in done]
    assert names(small_disk) == sorted(["ballast", *whole(*finished)])


def test_one_that_does_not_fit_does_not_stop_those_that_do(inputs, tmp_path, model, monkeypatch):
    real = stages.write_labels

    def refuse(labels, scan, path, **more):
        if path.name.startswith("c"):
            raise InputError("no room") from OSError(errno.ENOSPC, "No space left on device")
        real(labels, scan, path, **more)

    monkeypatch.setattr(stages, "write_labels", refuse)
    statuses, _ = run(inputs, tmp_path / "o", model)
    assert statuses == {**dict.fromkeys("abdef", "done"), "c": "failed"}
    monkeypatch.setattr(bookkeeping, "has_room", lambda folder: False)
    statuses, _ = run(inputs, tmp_path / "other", model, workers=Workers(at_once=1))
    assert statuses == {"a": "done", "b": "done", "c": "failed", **dict.fromkeys("def", "left")}


@pytest.mark.parametrize("workers", [MANY, Workers(1, 1, 1, 2), Workers(at_once=1)])
def test_ctrl_c_leaves_whole_results_and_says_how_many(tmp_path, model, workers):
    for k in range(20):
        write_stairs(tmp_path / f"in/{k:02}.nii.gz", slices=1)
    told = []

    def stop_at_the_third(number, count, outcome):
        told.append(outcome)
        if number == 3:
            raise KeyboardInterrupt

    path = tmp_path / "o/journal.jsonl"
    with pytest.raises(Interrupted) as stop:
        run(tmp_path / "in", tmp_path / "o", model, workers=workers, progress=stop_at_the_third, journal=path)
    finished = [p.stem for p in (tmp_path / "o").glob("*.json")]
    assert str(stop.value).startswith(f"{len(finished)} of 20 scans are finished")
    assert 3 <= len(finished) <= 3 + workers.at_once
    assert names(tmp_path / "o") == sorted(["journal.jsonl", *whole(*finished)])
    assert {e["input"][-9:-7] for e in read_journal(path)} == set(finished)
    statuses, _ = run(tmp_path / "in", tmp_path / "o", model)
    assert sorted(name for name, status in statuses.items() if status == "skipped") == sorted(finished)


def test_what_a_killed_process_left_under_temporary_names_is_swept(inputs, tmp_path, model):
    out = tmp_path / "o"
    out.mkdir()
    (out / ".999999999-a_seg.nii.gz").write_bytes(b"half")
    (out / ".999999999-notes.txt").write_bytes(b"not ours")
    run(inputs, out, model)
    assert names(out) == sorted([".999999999-notes.txt", *whole(*"abcdef")])


def test_no_scan_at_once_is_refused():
    with pytest.raises(UsageError, match="0 scans at once came"):
        Workers.default(0)
    with pytest.raises(UsageError, match="-1 threads to write came"):
        Workers(write=-1)


def test_workers_suit_the_machine(monkeypatch):
    for cores, expected in ((1, (1, 2, 1)), (2, (1, 2, 1)), (16, (2, 4, 4)), (64, (8, 16, 16))):
        monkeypatch.setattr("os.sched_getaffinity", lambda _, n=cores: set(range(n)), raising=False)
        workers = Workers.default()
        assert (workers.read, workers.infer, workers.write) == expected
        assert workers.at_once == {1: 2, 2: 2, 16: 10, 64: 40}[cores]
        assert Workers.default(3).at_once == 3


def test_memory_holds_a_few_scans_however_many_there_are(tmp_path, model, monkeypatch):
    """Count the scans that are alive at once, over many more than may be."""
    for k in range(30):
        write_stairs(tmp_path / f"in/{k:02}.nii.gz", slices=1)
    alive, most = weakref.WeakSet(), [0]
    real = stages.read_scan

    def counted(*args, **options):
        scan = real(*args, **options)
        alive.add(scan)
        most[0] = max(most[0], len(alive))
        return scan

    monkeypatch.setattr(stages, "read_scan", counted)
    run(tmp_path / "in", tmp_path / "o", model, workers=Workers(1, 2, 1, 4))
    assert 1 <= most[0] <= 4
