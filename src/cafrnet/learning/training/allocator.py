"""Freed memory stays with the process while it trains.

Every step allocates and frees the same large tensors. glibc by default fetches each from the system and gives
it back, and the system then clears the pages again: a third of a step's time on a CPU was spent there (two
cores, batch 16: U-Net 3.4 s per step, 2.0 s with this; ``cafr_net_plus`` 1.9 and 1.4 s; see ``LOG.md``).
"""

from __future__ import annotations

from ...inference.memory import set_allocator

#: Numbers of glibc's ``mallopt``: M_TRIM_THRESHOLD and M_MMAP_MAX.
TRIM_THRESHOLD, MMAP_MAX = -1, -4
#: Freed memory at the heap's end above this is given back (bytes); an int is the most that mallopt takes.
NEVER = 2**31 - 1


def keep_freed_memory() -> bool:
    """Let the C library keep what is freed, for the rest of this process.

    The peak stays what it was; between steps the process holds on to it.

    Returns:
        Whether it could be set: only glibc (Linux) has the switch. Elsewhere nothing changes.
    """
    return set_allocator((MMAP_MAX, 0), (TRIM_THRESHOLD, NEVER))
