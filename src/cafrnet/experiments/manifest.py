"""What was run, in one file from which anyone can run it again."""

from __future__ import annotations

import hashlib
import os
import platform
import shlex
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from .. import __version__
from ..datasets import Dataset
from ..errors import UsageError
from ..files import sha256, write_json
from .engines import Outcome
from .job import Plan, essence
from .layout import Folder, RunFolder, read_json
from .protocol import Budget
from .rows import Row

#: Packages whose versions decide results.
PACKAGES = ("numpy", "scipy", "torch", "lightning", "monai", "onnx", "onnxscript", "onnxruntime", "nibabel")


def hash_dataset(dataset: Dataset) -> str:
    """Return 64 hexadecimal digits over all images, masks and what the mask values stand for.

    A DICOM folder counts with the names and contents of its files.
    """
    digest = hashlib.sha256(repr(sorted(dataset.sets.values.items())).encode())
    for case in dataset:
        digest.update(case.id.encode())
        for path in (case.image, case.labels):
            for file in _files(path):
                digest.update(file.name.encode() + bytes.fromhex(sha256(file)))
    return digest.hexdigest()


def _files(path: Path | None) -> list[Path]:
    if path is None:
        return []
    return sorted(f for f in path.rglob("*") if f.is_file()) if path.is_dir() else [path]


def need_same(folder: Folder, identity: dict[str, Any]) -> None:
    """Raise UsageError if the folder holds runs under another budget, on other data or of another split.

    Runs that were begun count: one that goes on from a checkpoint would learn from two datasets.
    """
    if not folder.manifest.is_file() or not folder.begun:
        return
    old = read_json(folder.manifest).get("identity", {})
    for key, value in identity.items():
        if old.get(key) != value:
            raise UsageError(
                f"{folder.root} was made with {key} {_short(old.get(key))}, now {_short(value)} came: rows "
                "of different protocols can't stand in one table; choose another folder with -o"
            )


def _short(value: Any) -> str:
    return value[:12] if isinstance(value, str) else str(value)


def identity(budget: Budget, changes: Sequence[str], data_hash: str, split_hash: str) -> dict[str, Any]:
    """Return what all rows of one folder must share."""
    return {
        "data": data_hash,
        "split": split_hash,
        "steps": budget.steps,
        "batch": budget.batch,
        "patience": budget.patience,
        "changes": list(changes),
    }


def write_manifest(
    folder: Folder,
    *,
    command: Sequence[str],
    what: Sequence[str],
    budget: Budget,
    same: dict[str, Any],
    dataset: Dataset,
    data: Path,
    jobs: Plan,
    options: dict[str, Any],
) -> None:
    """Write ``manifest.json`` before anything is trained, so that a stopped reproduction has one, too.

    Rows that an earlier command ran in this folder stay in it; the history of commands grows.
    """
    old = read_json(folder.manifest) if folder.manifest.is_file() else {}
    line = shlex.join(command)
    manifest = {
        "cafrnet": __version__,
        "commit": _commit(),
        "commands": [*old.get("commands", []), {"at": time.strftime("%Y-%m-%dT%H:%M:%S%z"), "command": line}],
        "what": sorted({*old.get("what", []), *what}),
        "identity": same,
        "budget": asdict(budget),
        "options": options,
        "data": {
            "name": dataset.name,
            "path": str(data),
            "hash": same["data"],
            "cases": len(dataset),
            "licence": dataset.licence,
            "citation": dataset.citation,
        },
        "machine": machine(),
        "versions": {"python": platform.python_version(), **_versions()},
        "rows": {**old.get("rows", {}), **{row.name: _row(row, jobs) for row in jobs.rows.values()}},
        "runs": old.get("runs", {}),
    }
    write_json(folder.manifest, manifest)


def note_runs(folder: Folder, outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """Add to ``manifest.json`` what became of runs, and return what it holds.

    Finished runs are those that lie in the folder, whichever command made them; a command that was
    interrupted tells nothing of them.
    """
    manifest = read_json(folder.manifest)
    manifest["runs"] |= {o.job.run.name: _unfinished(o) for o in outcomes if not o.job.run.finished}
    manifest["runs"] |= {run.name: _finished(run) for run in folder.runs()}
    write_json(folder.manifest, manifest)
    return manifest


def _row(row: Row, jobs: Plan) -> dict[str, Any]:
    return {
        "label": row.label,
        "recipe": row.recipe,
        "changes": list(row.changes),
        "train_cases": row.train_cases,
        "folder": jobs.folder_of[row.name],
        "resolved": essence(jobs.recipes[row.name]),
    }


def _unfinished(outcome: Outcome) -> dict[str, Any]:
    return {"hash": outcome.job.hash, "status": outcome.status, "message": outcome.message}


def _finished(run: RunFolder) -> dict[str, Any]:
    fit, score = read_json(run.fit), read_json(run.score)
    return {
        "hash": score.get("hash"),
        "status": "done",
        "message": "",
        "minutes": {"training": fit.get("minutes"), "scoring": score.get("minutes")},
    }


def machine() -> dict[str, Any]:
    """Return what the numbers of time and memory were measured on; nothing that names a person or a host."""
    import torch

    return {
        "processor": platform.machine(),
        "system": f"{platform.system()} {platform.release().split('-')[0]}",
        "cores": os.cpu_count(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
    }


def _versions() -> dict[str, str]:
    found = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _commit() -> str | None:
    """Return the commit of a source checkout, with a mark if files were changed; None elsewhere."""
    here = Path(__file__).parent
    try:
        words = ["git", "-C", str(here), "describe", "--always", "--dirty", "--abbrev=12"]
        done = subprocess.run(words, capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None if done.returncode == 0 else None


def command_line() -> list[str]:
    """Return the command of this process as a user would type it."""
    return ["cafrnet", *sys.argv[1:]]
