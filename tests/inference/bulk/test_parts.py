"""Shares of a batch for job arrays: disjoint, complete, even, and the same wherever they are worked out."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cafrnet.errors import UsageError
from cafrnet.inference.bulk.parts import journal_name, share
from cafrnet.inference.inputs import Job


def jobs(names):
    return [
        Job(Path("in", n), *(Path("out", f"{n}{e}") for e in ("_seg", "_preview", ".json"))) for n in names
    ]


@given(st.sets(st.text("abc", min_size=1), max_size=30), st.integers(1, 40), st.randoms())
def test_every_job_is_in_exactly_one_part(names, parts, random):
    listed = jobs(sorted(names))
    shuffled = random.sample(listed, len(listed))
    shares = [share(shuffled, parts, k) for k in range(parts)]
    assert sorted(job.source for one in shares for job in one) == [job.source for job in listed]
    assert max(map(len, shares)) - min(map(len, shares)) <= 1
    assert shares == [share(listed, parts, k) for k in range(parts)]  # in whatever order they were named


def test_neighbours_go_to_different_parts():
    assert [job.source.name for job in share(jobs("abcdef"), 3, 1)] == ["b", "e"]


def test_without_parts_all_jobs_in_their_order():
    assert share(jobs("cab"), None, None) == jobs("cab")
    assert share(jobs("ab"), 1, 0) == jobs("ab")
    assert share([], 3, 2) == []


@pytest.mark.parametrize(
    ("num_parts", "part", "sentence"),
    [
        (None, 0, "--part came without --num-parts N"),
        (3, None, "--num-parts came without --part K"),
        (0, 0, "--num-parts 0 came"),
        (-2, 0, "--num-parts -2 came"),
        (3, 3, "it counts from 0 to 2"),
        (3, -1, "it counts from 0 to 2"),
    ],
)
def test_nonsense_is_refused(num_parts, part, sentence):
    with pytest.raises(UsageError, match=sentence):
        share(jobs("ab"), num_parts, part)


def test_each_part_has_a_journal_of_its_own():
    assert journal_name(None, None) == journal_name(1, 0) == "journal.jsonl"
    assert len({journal_name(n, k) for n in (2, 3) for k in range(n)} | {"journal.jsonl"}) == 6
