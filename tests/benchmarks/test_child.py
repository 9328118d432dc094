"""A command as a child: its exit code, its words, and a peak that is its own."""

import sys

import numpy as np
import pytest
from child import entry_point

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")

STANDS_IN = """
import os, sys
def small():
    print(" ".join(sys.argv), os.environ.get("COLOUR"), file=sys.stderr)
def large():
    held = bytearray(300_000_000)
    held[::4096] = b"x" * len(held[::4096])
    return 3
"""


@pytest.fixture
def run(tmp_path, monkeypatch):
    (tmp_path / "stands_in.py").write_text(STANDS_IN)
    variables = {"PYTHONPATH": str(tmp_path), "COLOUR": "green"}
    return lambda entry, words=(): entry_point(sys.executable, f"stands_in:{entry}", list(words), variables)


def test_words_variables_and_exit_code_are_the_commands(run):
    done = run("small", ["a", 2])
    assert (done.code, done.said.split()) == (0, ["small", "a", "2", "green"])
    assert run("large").code == 3


def test_the_peak_is_the_childs_own_and_not_that_of_who_started_it(run):
    held = np.ones(50_000_000)  # 400 MB here
    assert run("small").peak_mb < 100
    assert 300 < run("large").peak_mb < 400
    del held
