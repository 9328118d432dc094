"""Processes that work for another, and how a command is asked to end.

Ctrl-C reaches a command and all its workers. SIGTERM (``kill``, ``docker stop``, a cluster's scheduler)
reaches the command alone: here it becomes the same interruption, and the workers are ended with it. Workers
end by themselves when their command is gone in any other way, out of memory or by SIGKILL.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing.connection import wait
from types import FrameType
from typing import Any


@contextmanager
def sigterm_interrupts() -> Iterator[None]:
    """Make SIGTERM raise KeyboardInterrupt within the block, as Ctrl-C does.

    Outside the main thread nothing changes: only there a handler can be set.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, _interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def new_pool(
    workers: int, context: Any = None, prepare: Callable[..., object] | None = None, *args: Any
) -> ProcessPoolExecutor:
    """Return a pool whose workers end when this process does.

    Args:
        workers: how many.
        context: of ``multiprocessing``; None for ``spawn``, which is safe beside threads.
        prepare: called with ``args`` in each worker when it starts.
    """
    return ProcessPoolExecutor(
        workers, context or multiprocessing.get_context("spawn"), initializer=_begin, initargs=(prepare, args)
    )


@contextmanager
def pool(workers: int) -> Iterator[ProcessPoolExecutor]:
    """Yield such a pool; an interruption ends its workers at once, any other error once they are done."""
    with new_pool(workers) as executor:
        try:
            yield executor
        except KeyboardInterrupt:
            end_workers()
            raise


def end_workers() -> None:
    """End all processes that this one started through ``multiprocessing``, whatever they are at.

    They are killed, not asked: Lightning answers SIGTERM by ending the training and no more, and its worker
    would wait for work for ever. What was not written whole is under a temporary name, see
    :mod:`cafrnet.files`.
    """
    for child in multiprocessing.active_children():
        child.kill()


def _begin(prepare: Callable[..., object] | None, args: tuple[Any, ...]) -> None:
    """Start a worker."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    if prepare is not None:
        prepare(*args)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)
