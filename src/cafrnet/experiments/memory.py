"""Peak memory of what is done within a block: of the process, and of the GPU where there is one."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_STATUS = Path("/proc/self/status")
_CLEAR = Path("/proc/self/clear_refs")


class Peak:
    """Filled in when the block ends.

    Attributes:
        process_mb: highest resident memory of this process in MB (10^6 bytes); None where the system doesn't
            tell (it is read from Linux's own account).
        gpu_mb: highest memory that torch held on the GPU; None without one.
    """

    process_mb: float | None = None
    gpu_mb: float | None = None


@contextmanager
def peak_memory() -> Iterator[Peak]:
    """Measure the peak of a block, not of what the process did before it."""
    import torch

    peak = Peak()
    _restart()
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    try:
        yield peak
    finally:
        peak.process_mb = process_peak_mb()
        if torch.cuda.is_available():
            peak.gpu_mb = round(torch.cuda.max_memory_allocated() / 1e6, 1)


def process_peak_mb() -> float | None:
    """Return the highest resident memory so far, in MB; None where the system doesn't tell."""
    try:
        found = re.search(r"^VmHWM:\s+(\d+) kB", _STATUS.read_text(), re.MULTILINE)
    except OSError:
        return None
    return round(int(found[1]) * 1024 / 1e6, 1) if found else None


def _restart() -> None:
    """Let the kernel count the peak anew (Linux, "5" in clear_refs); elsewhere nothing is measured."""
    try:
        _CLEAR.write_text("5")
    except OSError:
        pass
