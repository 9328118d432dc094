import importlib.util
from pathlib import Path

import pytest

pytest.importorskip("torch")

from cafrnet.errors import UsageError
from cafrnet.experiments.engines import Clock, run_jobs
from cafrnet.experiments.job import Job
from cafrnet.experiments.layout import Folder
from cafrnet.learning.recipes import load_recipe

from .stages import STAGES


def jobs(root: Path, *rows: str) -> list[Job]:
    folder = Folder(root)
    recipe = load_recipe("demo")
    return [
        Job(folder.run(row, 0, 0), recipe, root, "d", root / "s", "s", 0, folder.thresholds) for row in rows
    ]


ROWS = ("a", "fail", "b", "c")


def files(root: Path) -> set[str]:
    return {str(p.relative_to(root)) for p in root.rglob("*") if p.is_file() and p.suffix != ".txt"}


@pytest.fixture(scope="module")
def sequential(tmp_path_factory):
    root = tmp_path_factory.mktemp("sequential")
    seen = []
    outcomes = run_jobs(jobs(root, *ROWS), stages=STAGES, progress=lambda *one: seen.append(one))
    assert [(number, count) for number, count, _ in seen] == [(k, 4) for k in (1, 2, 3, 4)]
    assert [o.status for o in outcomes] == ["done", "failed", "done", "done"]
    return root


def test_a_failure_says_what_and_where(sequential):
    (outcome,) = run_jobs(jobs(sequential, "fail"), stages=STAGES)
    assert outcome.message.startswith("ValueError: no gradient anywhere (trace in ")
    assert "Traceback" in (sequential / "runs/fail/fold0/seed0.error.txt").read_text()


def test_finished_jobs_are_skipped(sequential):
    outcomes = run_jobs(jobs(sequential, "a", "b"), stages=STAGES)
    assert [o.status for o in outcomes] == ["skipped", "skipped"]


@pytest.mark.slow
def test_processes_leave_the_same_files_and_find_the_job_that_kills(sequential, tmp_path):
    """``die`` takes its pool with it; the others, whatever they ran beside, are done all the same."""
    outcomes = run_jobs(jobs(tmp_path, "a", "die", "fail", "b", "c"), workers=2, stages=STAGES)
    assert [o.status for o in outcomes] == ["done", "failed", "failed", "done", "done"]
    assert "its process died" in outcomes[1].message
    there = {name for name in files(tmp_path) if not name.startswith("runs/die")}
    assert there == files(sequential)
    late = run_jobs(jobs(tmp_path, "later", "a"), workers=2, clock=Clock(0.0), stages=STAGES)
    assert [o.status for o in late] == ["not started", "not started"]


def test_after_the_deadline_nothing_new_is_started(tmp_path):
    outcomes = run_jobs(jobs(tmp_path, *ROWS), clock=Clock(0.0), stages=STAGES)
    assert {o.status for o in outcomes} == {"not started"}
    assert not (tmp_path / "runs").exists()
    assert Clock.after(None).over is False
    assert Clock.after(0).over is True


def test_wrong_engines(tmp_path):
    with pytest.raises(UsageError, match="did you mean 'local'"):
        run_jobs(jobs(tmp_path, "a"), engine="locl")
    with pytest.raises(UsageError, match="at least 1"):
        run_jobs(jobs(tmp_path, "a"), workers=0)
    assert run_jobs([], workers=2) == []


def test_ray_is_an_extra(tmp_path, monkeypatch):
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "ray" else found(name))
    with pytest.raises(UsageError, match=r"pip install 'cafrnet\[sweep\]'"):
        run_jobs(jobs(tmp_path, "a"), engine="ray", stages=STAGES)


@pytest.mark.slow
def test_ray_leaves_the_same_files(sequential, tmp_path, monkeypatch):
    pytest.importorskip("ray.tune")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[1]))  # where Ray's processes find the stages
    seen = []
    outcomes = run_jobs(
        jobs(tmp_path, *ROWS, "die"),
        engine="ray",
        workers=2,
        stages=STAGES,
        progress=lambda *one: seen.append(one),
    )
    assert [o.status for o in outcomes] == ["done", "failed", "done", "done", "failed"]
    assert "its process died" in outcomes[4].message
    assert sorted(o.job.run.row for *_, o in seen) == sorted([*ROWS, "die"])
    assert len((tmp_path / "runs/die/fold0/seed0/tries").read_text().split()) == 2
    there = {name for name in files(tmp_path) if not name.startswith("runs/die")}
    assert there == files(sequential)
