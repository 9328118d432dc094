"""The benchmark of a corrupt scan among many: it tells what came, and does not pass when that is wrong."""

from argparse import Namespace

import bulk
import pytest


@pytest.mark.slow
def test_a_corrupt_scan_among_twelve():
    figures, lines = bulk.corrupt(Namespace(count=12))
    assert figures["corrupt"] == "000006"
    told = {n: tuple(r[k] for k in ("code", "done", "skipped", "failed")) for n, r in figures["runs"].items()}
    assert told == {
        "first run": (1, 11, 0, 1),
        "the same again": (1, 0, 11, 1),
        "the scan mended": (0, 1, 11, 0),
    }
    assert lines[-1].startswith("| the scan mended | 0 | 1 | 11 | 0 |")


@pytest.mark.slow
def test_it_does_not_pass_where_the_corrupt_scan_is_taken_for_a_whole_one(monkeypatch):
    whole = bulk.tiny_scan

    class Unbreakable(type(bulk.Path())):
        def write_bytes(self, data):
            return len(data)

    monkeypatch.setattr(bulk, "tiny_scan", lambda path, seed: whole(Unbreakable(path), seed))
    monkeypatch.setattr(bulk, "Path", Unbreakable)
    with pytest.raises(SystemExit, match=r"first run: .* was expected"):
        bulk.corrupt(Namespace(count=4))
