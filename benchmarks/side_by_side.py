"""What the benchmarks share: taking turns, spread, the machine, tables."""

from __future__ import annotations

import os
import platform
import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

#: Words of the processor that decide how fast it multiplies.
FAST = ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "avx512_bf16", "amx_bf16", "amx_int8", "asimd", "i8mm")


def take_turns(
    work: Mapping[str, Callable[[], object]], rounds: int, warm_up: int = 2
) -> dict[str, list[float]]:
    """Return the seconds of each piece of work in each round.

    In every round each piece runs once, starting with another one each time, so that a machine which is slow
    for a while hits all of them, and each meets the caches as several others leave them.
    """
    names, seconds = list(work), {name: list[float]() for name in work}
    for k in range(warm_up + rounds):
        first = k % max(1, len(names))
        for name in [*names[first:], *names[:first]]:
            began = time.perf_counter()
            work[name]()
            if k >= warm_up:
                seconds[name].append(time.perf_counter() - began)
    return seconds


def summary(seconds: Sequence[float], per: float = 1.0) -> dict[str, float]:
    """Return median, spread (half the distance of the quartiles) and minimum in ms, divided by ``per``."""
    low, middle, high = np.percentile(seconds, [25, 50, 75])
    scale = 1e3 / per
    return {
        "median_ms": round(float(middle * scale), 3),
        "spread_ms": round(float((high - low) / 2 * scale), 3),
        "minimum_ms": round(float(min(seconds) * scale), 3),
    }


def ratio(first: Sequence[float], second: Sequence[float]) -> dict[str, float]:
    """Return the median of first over second, round by round, and the quartiles of that ratio."""
    low, middle, high = np.percentile(np.asarray(first) / np.asarray(second), [25, 50, 75])
    return {
        key: round(float(v), 3) for key, v in (("median", middle), ("quartile_1", low), ("quartile_3", high))
    }


def about(packages: Iterable[str], **more: Any) -> dict[str, Any]:
    """Return what was measured on: day, processor, versions, and ``more``."""
    return {
        "date": date.today().isoformat(),
        "processor": processor(),
        "instructions": [word for word in FAST if word in _flags()],
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "system": platform.system(),
        "load_average": round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else None,
        "versions": {"python": platform.python_version(), **{name: _version(name) for name in packages}},
        **more,
    }


def processor() -> str:
    """Return the processor's name."""
    found = re.search(r"^model name\s*:\s*(.+)$", _cpuinfo(), re.MULTILINE)
    return found[1] if found else platform.processor() or platform.machine()


def _flags() -> set[str]:
    found = re.search(r"^(?:flags|Features)\s*:\s*(.+)$", _cpuinfo(), re.MULTILINE)
    return set(found[1].split()) if found else set()


def _cpuinfo() -> str:
    try:
        return Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return ""


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a Markdown table; None becomes a dash."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(
        "| " + " | ".join("-" if cell is None else str(cell) for cell in r) + " |" for r in lines
    )
