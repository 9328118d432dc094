"""Which cases a run may be tested on, and whether several runs may be compared."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from ...datasets import Split
from ...errors import UsageError
from ..layout import RunFolder


def test_cases(run: RunFolder) -> tuple[str, ...]:
    """Return the test part of a run's own split and fold: cases that it never saw.

    Raises:
        UsageError: not a run folder, or a fold that its split doesn't have. InputError: a damaged split.
    """
    return tuple(Split.load(run.split).parts(read_config(run.path).get("fold"))["test"])


def training_cases(run: RunFolder) -> int:
    """Return how many cases a run was trained on."""
    return len(Split.load(run.split).parts(read_config(run.path).get("fold"))["train"])


def need_one_split(runs: Sequence[RunFolder]) -> None:
    """Raise UsageError unless there are runs, all trained on one split.

    With two splits, a test case of one model could be a training case of the other.
    """
    if not runs:
        raise UsageError("no trained runs came; train the rows first, with 'cafrnet reproduce table3'")
    hashes = {run.path: Split.load(run.split).hash for run in runs}
    first = runs[0].path
    if other := next((path for path, found in hashes.items() if found != hashes[first]), None):
        raise UsageError(
            f"{first} and {other} were trained on different splits ({hashes[first][:8]} and "
            f"{hashes[other][:8]}); only runs of one split can be compared"
        )


def read_config(run: Path) -> dict[str, Any]:
    """Read ``config.yaml`` of a run.

    Raises:
        UsageError: not a run folder.
    """
    path = run / "config.yaml"
    try:
        config = yaml.safe_load(path.read_text(encoding="utf-8"))
        _ = config["recipe"]["model"]
    except (OSError, KeyError, TypeError, yaml.YAMLError) as error:
        raise UsageError(f"{run} is not a run folder ({path.name}: {error}); name one of 'train'") from error
    return config
