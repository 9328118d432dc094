"""A limit of memory that holds: how many slices go through the network at once follows from what is free.

Everything is read from Linux's ``/proc``: what the process holds now, and its peak. MB are 10^6 bytes.
"""

from __future__ import annotations

import ctypes
import os
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import InputError, UsageError
from .engines import Engine

MB = 10**6
STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")
#: What is always kept free, for all that is too small to be counted.
RESERVE_BYTES = 24 * MB
#: A measured peak of a few slices may be this much larger next time.
MARGIN = 1.2
#: Slices that the measurement runs: one alone hides what grows with the number.
TRIED = 2
#: How many times a slice's logits are held on the way from the network to kinds and sums, at most.
COPIES = 8
#: Bytes that one voxel of a scan needs from reading to writing, besides the voxel itself, at most; measured
#: with uint8 to float64 scans on the whole command (docs/speed.md).
BYTES_PER_VOXEL = 8
#: What :func:`keep_freed` sets, by the numbers of glibc's ``mallopt``: blocks of this many bytes come from
#: the system and go back to it (M_MMAP_THRESHOLD), and so does what is free at the heap's end
#: (M_TRIM_THRESHOLD).
KEEP = ((-3, 64 << 20), (-1, 256 << 20))


@dataclass(frozen=True)
class MemoryLimit:
    """How much the process may hold.

    Attributes:
        limit_bytes: of the whole process: program, model, scan and results.
        slice_bytes: that one slice needs on its way through the network and behind it, measured.
    """

    limit_bytes: int
    slice_bytes: int

    def slices(self) -> int:
        """Return how many slices may go through the network together now.

        Raises:
            InputError: not even one.
        """
        _give_back()
        free = self.limit_bytes - RESERVE_BYTES - resident_bytes()
        if free < self.slice_bytes:
            raise InputError(
                f"one slice needs {self.slice_bytes / MB:.0f} MB on its way through the network and "
                f"{max(0, free) / MB:.0f} MB are free below --max-memory {self.limit_bytes / MB:.0f}; "
                "allow more"
            )
        return free // self.slice_bytes

    def admit(self, source: str, voxels: int, itemsize: int) -> None:
        """Say no to a scan that is too large, before it is read.

        Args:
            source: named in the message.
            voxels: how many the scan has.
            itemsize: bytes of each in memory.

        Raises:
            InputError: it would not fit below the limit.
        """
        _give_back()
        scan = voxels * (itemsize + BYTES_PER_VOXEL)
        needed = resident_bytes() + scan + self.slice_bytes + RESERVE_BYTES
        if needed > self.limit_bytes:
            raise InputError(
                f"{source}: its {voxels / 1e6:.1f} million voxels need about {needed / MB:.0f} MB in all, "
                f"--max-memory allows {self.limit_bytes / MB:.0f}; allow more, or cut the scan"
            )


class BoundedEngine:
    """An engine that takes as many slices at once as memory allows.

    Args:
        engine: runs the network.
        limit: see :class:`MemoryLimit`.
    """

    def __init__(self, engine: Engine, limit: MemoryLimit) -> None:
        self._engine, self._limit = engine, limit
        self.name, self.metadata = engine.name, engine.metadata
        self.image_shape, self.logits_shape = engine.image_shape, engine.logits_shape

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Return logits [n, classes, y, x] of images [n, 1, y, x].

        Raises:
            InputError: not even one slice fits below the limit.
        """
        parts: list[np.ndarray] = []
        first = 0
        while first < len(images):
            last = first + self._limit.slices()
            parts.append(self._engine(images[first:last]))
            first = last
        return parts[0] if len(parts) == 1 else np.concatenate(parts)


def bound(engine: Engine, max_memory_mb: float, size: int) -> tuple[BoundedEngine, MemoryLimit]:
    """Measure what a slice needs in an engine, and hold the engine to a limit.

    Args:
        engine: just loaded.
        max_memory_mb: of the whole process, in MB.
        size: edge of the model grid.

    Raises:
        UsageError: not on Linux, or the program and the model alone need more.
    """
    if not max_memory_mb > 0:
        raise UsageError(f"--max-memory {max_memory_mb:g} came, a positive number of MB was expected")
    if not STATUS.exists():
        raise UsageError("--max-memory works on Linux only: elsewhere a process can't see what it holds")
    loading = peak_bytes()
    limit = MemoryLimit(int(max_memory_mb * MB), _slice_bytes(engine, size))
    least = max(loading, peak_bytes()) + RESERVE_BYTES
    if least > limit.limit_bytes:
        raise UsageError(
            f"the program and this model alone need {least / MB:.0f} MB, --max-memory allows "
            f"{max_memory_mb:g}; allow more, or export the model with --precision fp16 or int8"
        )
    return BoundedEngine(engine, limit), limit


def _slice_bytes(engine: Engine, size: int) -> int:
    """Return the bytes that one slice adds to the peak of the process, in the network or behind it."""
    images = np.random.default_rng(0).random((TRIED, 1, size, size), np.float32)
    _give_back()
    before = resident_bytes()
    with suppress(OSError):  # where the peak can't be reset it is that of loading: the estimate is too large
        CLEAR.write_text("5")
    logits = engine(images)
    grown = max(0, peak_bytes() - before)
    return int(max(grown * MARGIN, logits.nbytes * COPIES) / TRIED)


def resident_bytes() -> int:
    """Return what the process holds in memory now."""
    return _status("VmRSS")


def peak_bytes() -> int:
    """Return the most that it has held."""
    return _status("VmHWM")


def _status(key: str) -> int:
    for line in STATUS.read_text().splitlines():
        if line.startswith(key + ":"):
            return int(line.split()[1]) * 1024
    raise UsageError(f"--max-memory does not work here: {STATUS} does not tell {key}")


def keep_freed() -> bool:
    """Let the C library keep freed memory of middling blocks for the next slices and scans of this process.

    By default glibc fetches every tensor from the system and gives it back, and the system clears its pages
    each time: 17 % of a slice's time on two cores (docs/speed.md). Larger blocks, whole scans, still go back.

    Returns:
        Whether it could be set: only glibc (Linux) has the switch. Elsewhere nothing changes.
    """
    return set_allocator(*KEEP)


def set_allocator(*settings: tuple[int, int]) -> bool:
    """Set switches of glibc's ``mallopt``, (number, value) each; return whether all of them could be set."""
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return mallopt is not None and all(mallopt(*each) for each in settings)


def _give_back() -> None:
    """Return freed memory to the system, where the C library can: otherwise it counts as held."""
    if os.name == "posix":
        with suppress(OSError, AttributeError):
            ctypes.CDLL(None).malloc_trim(0)
