"""Progress of a batch on stderr: what became of each case, the rate, and the time left."""

from __future__ import annotations

import sys
import time
from collections import deque
from typing import Protocol

#: Cases whose rate is told.
RECENT = 100


class Outcome(Protocol):
    """What became of one case, in the words that progress is told in."""

    @property
    def status(self) -> str: ...  # noqa: D102


class Progress:
    """Prints one line for each case.

    The rate is that of the last :data:`RECENT` cases. Those that were finished before count for nothing in
    it: they take no time, and those that are left are taken for new ones. So the time left is an upper bound.

    Args:
        quiet: print nothing.
    """

    def __init__(self, quiet: bool = False) -> None:
        self._quiet = quiet
        self._ends: deque[float] = deque(maxlen=RECENT)

    def line(self, number: int, count: int, outcome: Outcome, what: str) -> None:
        """Print the line of the ``number``-th case to end, of ``count``.

        Args:
            number: from 1.
            count: of the batch.
            outcome: of the case.
            what: its result, or why there is none.
        """
        if outcome.status != "skipped":
            self._ends.append(time.monotonic())
        if not self._quiet:
            left = self._left(count - number)
            print(f"[{number}/{count}] {outcome.status}: {what}{left}", file=sys.stderr, flush=True)

    def _left(self, cases: int) -> str:
        if not cases or len(self._ends) < 2:
            return ""
        seconds = (self._ends[-1] - self._ends[0]) / (len(self._ends) - 1)
        rate = f"{seconds:.1f} s each" if seconds >= 1 else f"{1 / max(seconds, 1e-3):.1f} a second"
        return f" | {rate}, about {duration(seconds * cases)} left"


def duration(seconds: float) -> str:
    """Return a time as people say it: ``45 s``, ``7 min``, ``3 h 20 min``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"
