"""Engines tell in words of their own that memory ran out; everyone else waits for a MemoryError."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

#: What stands in such a message: C++'s exception, ONNX Runtime's CPU and CUDA allocators, OpenVINO's devices.
WORDS = ("bad_alloc", "failed to allocate", "cannot allocate", "out of memory", "out_of_host_memory")


def says_so(error: BaseException) -> bool:
    """Whether an engine's error means that it found no memory."""
    said = str(error).lower()
    return isinstance(error, MemoryError) or any(words in said for words in WORDS)


@contextmanager
def as_memory_error() -> Iterator[None]:
    """Turn an engine's own error into a MemoryError, where that is what it means.

    Raises:
        MemoryError: the engine found no memory for these slices.
    """
    try:
        yield
    except Exception as error:
        if says_so(error):
            raise MemoryError("for the network") from error
        raise
