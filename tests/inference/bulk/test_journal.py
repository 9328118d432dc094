"""A journal: whole lines, each on the disk, whatever a killed process or a full disk did before."""

import json
import logging
import os

import pytest

from cafrnet.inference.bulk import journal as module
from cafrnet.inference.bulk.journal import Journal, read_journal


def test_one_line_for_each_entry_with_its_time(tmp_path):
    path = tmp_path / "out/journal.jsonl"
    journal = Journal(path)
    assert not path.exists()  # nothing happened yet
    journal.append({"input": "Wirbelsäule\n.nii", "status": "done"})
    journal.append({"input": "b", "status": "failed"})
    lines = path.read_text().splitlines()
    assert [json.loads(line)["input"] for line in lines] == ["Wirbelsäule\n.nii", "b"]
    assert read_journal(path)[0]["time"].endswith("+00:00")


@pytest.mark.parametrize("torn", [b'{"input": "b", "sta', b"\x00\x00\x00", b"{"])
def test_a_torn_last_line_stays_alone_and_is_left_out(tmp_path, torn, caplog):
    caplog.set_level(logging.WARNING, "cafrnet")  # a command with -q may have run before
    path = tmp_path / "journal.jsonl"
    Journal(path).append({"input": "a"})
    with open(path, "ab") as file:
        file.write(torn)
    Journal(path).append({"input": "c"})
    assert [entry["input"] for entry in read_journal(path)] == ["a", "c"]
    assert "1 torn line(s) left out" in caplog.text


def test_every_line_is_synced_before_it_counts(tmp_path, monkeypatch):
    path, sizes = tmp_path / "journal.jsonl", []
    monkeypatch.setattr(module.os, "fsync", lambda fd: sizes.append(os.fstat(fd).st_size))
    journal = Journal(path)
    for name in "abc":
        journal.append({"input": name})
    assert len(sizes) == 3
    assert sizes[-1] == path.stat().st_size
    assert sizes == sorted(set(sizes))


def test_a_disk_that_takes_no_line_is_named_once_and_stops_nothing(tmp_path, caplog):
    (tmp_path / "file").write_text("")
    journal = Journal(tmp_path / "file/journal.jsonl")
    journal.append({"input": "a"})
    journal.append({"input": "b"})
    assert len(caplog.records) == 1
    assert "results are not affected" in caplog.text


def test_on_a_full_disk_the_lines_before_stay_readable(small_disk, caplog):
    journal = Journal(small_disk / "journal.jsonl")
    for _ in range(40):
        journal.append({"input": "x" * 1000})
    kept = read_journal(small_disk / "journal.jsonl")
    assert 0 < len(kept) < 40
    assert "No space left on device" in caplog.text
