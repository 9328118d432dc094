"""Freed memory stays with the process."""

import subprocess
import sys

import pytest

from cafrnet.learning.training.allocator import keep_freed_memory

FAULTS = """
import resource, statistics, sys, torch
from cafrnet.learning.training.allocator import keep_freed_memory
if sys.argv[1] == "keep":
    assert keep_freed_memory()
seen = []
for k in range(12):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.ones(16_000_000)
    seen.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
# of one tensor: a machine that reclaims idle pages brings some of them back
print(int(statistics.median(seen[2:])))
"""


def faults(how):
    done = subprocess.run([sys.executable, "-c", FAULTS, how], capture_output=True, text=True, check=True)
    return int(done.stdout)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc alone has the switch")
def test_large_tensors_take_no_new_pages():
    assert faults("keep") < faults("leave") / 10


def test_elsewhere_it_says_no(monkeypatch):
    monkeypatch.setattr(sys, "platform", "win32")
    assert keep_freed_memory() is False
