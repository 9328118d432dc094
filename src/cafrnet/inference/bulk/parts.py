"""A share of a batch, for job arrays: `--num-parts N --part K`."""

from __future__ import annotations

import os
from collections.abc import Sequence

from ...errors import UsageError
from ..inputs import Job


def share(jobs: Sequence[Job], num_parts: int | None, part: int | None) -> list[Job]:
    """Return one of ``num_parts`` shares of a batch.

    Every job is in exactly one share, whatever the order in which the inputs were named; shares differ by
    one job at most. Neighbours in order of their names go to different shares, since scans of one patient
    are often alike in size.

    Args:
        jobs: all of them, the same list for every part.
        num_parts: how many shares; None is one.
        part: which of them, from 0.

    Raises:
        UsageError: one without the other, or a part that there is not.
    """
    if num_parts is None and part is None:
        return list(jobs)
    if num_parts is None or part is None:
        came, missing = ("--part", "--num-parts N") if num_parts is None else ("--num-parts", "--part K")
        raise UsageError(f"{came} came without {missing}; both are needed, with K from 0 to N - 1")
    if num_parts < 1:
        raise UsageError(f"--num-parts {num_parts} came, at least 1 was expected")
    if not 0 <= part < num_parts:
        raise UsageError(
            f"--part {part} came; with --num-parts {num_parts} it counts from 0 to {num_parts - 1}"
        )
    return sorted(jobs, key=lambda job: os.fspath(job.record))[part::num_parts]


def journal_name(num_parts: int | None, part: int | None) -> str:
    """Return the name of a part's journal; each part has its own, so that no two machines share a file."""
    return "journal.jsonl" if num_parts in (None, 1) else f"journal-{part}-of-{num_parts}.jsonl"
