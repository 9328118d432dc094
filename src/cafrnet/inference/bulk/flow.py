"""Items through stages, each stage with threads of its own, and never more than a few items at once.

Threads, not processes: reading and decompressing, resampling, the network and compressing all leave Python's
lock (see docs/bulk.md for what was measured), and a scan need not be copied from one process to another.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ...errors import UsageError


@dataclass(frozen=True)
class Stage:
    """One step on an item's way.

    Attributes:
        work: gets the item (first stage) or what the stage before returned.
        threads: how many items are in it at once.
    """

    work: Callable[[Any], Any]
    threads: int = 1


class Flow:
    """Runs items through stages that work at the same time.

    The bound is on the items under way, in work and waiting together: a new one starts only when one has
    ended. So memory depends on that number and on the largest items, never on how many there are.

    Args:
        stages: in the order of the way. A stage that raises ends its item.
        at_once: most items under way.
        ends: a value of this type, returned by any stage, is the item's end.

    Raises:
        UsageError: no item may be under way.
    """

    def __init__(self, stages: Sequence[Stage], at_once: int, ends: type) -> None:
        if at_once < 1:
            raise UsageError(f"{at_once} cases at once came, at least 1 was expected")
        self._ends, self._at_once = ends, at_once
        self._stop = threading.Event()
        self._queues: list[queue.SimpleQueue] = [queue.SimpleQueue() for _ in range(len(stages) + 1)]
        self._threads = [
            threading.Thread(target=self._work, args=(number, stage.work), daemon=True)
            for number, stage in enumerate(stages)
            for _ in range(min(stage.threads, at_once))
        ]

    def run(self, items: Iterable[Any]) -> Generator[tuple[int, Any], None, None]:
        """Yield (index, result) of every item as they end, in whatever order.

        A result is a value of the type ``ends``, or the exception that a stage raised. Items are taken from
        ``items`` one by one, as there is room. However it ends, by an exception or by being closed too, no
        thread is left; what was in work then has ended, what was waiting has not, see :meth:`stopped`.
        """
        for thread in self._threads:
            thread.start()
        try:
            numbered, under_way = enumerate(items), 0
            while True:
                while under_way < self._at_once and (taken := next(numbered, None)) is not None:
                    self._queues[0].put(taken)
                    under_way += 1
                    del taken
                if not under_way:
                    return
                yield self._queues[-1].get()
                under_way -= 1
        finally:
            self._stop.set()
            for waiting in self._queues[:-1]:
                for _ in self._threads:
                    waiting.put(None)
            for thread in self._threads:
                thread.join()

    def stopped(self) -> Iterator[tuple[int, Any]]:
        """Yield what had ended, but was not yet handed out, when :meth:`run` was cut short."""
        while not self._queues[-1].empty():
            yield self._queues[-1].get()

    def _work(self, number: int, work: Callable[[Any], Any]) -> None:
        while (came := self._queues[number].get()) is not None and not self._stop.is_set():
            index, value = came
            del came
            try:
                value = work(value)
                at_end = isinstance(value, self._ends)
            except BaseException as error:  # reported by whoever reads the results
                value, at_end = error, True
            self._queues[-1 if at_end else number + 1].put((index, value))
            del value
