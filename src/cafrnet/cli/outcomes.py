"""How a batch ends on the command line: failures named on stderr, and the exit code of the contract."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Protocol


class Outcome(Protocol):
    """What became of one file: ``status`` is ``"failed"`` or not, ``usage`` whether an option was missing."""

    @property
    def status(self) -> str: ...  # noqa: D102
    @property
    def message(self) -> str: ...  # noqa: D102
    @property
    def usage(self) -> bool: ...  # noqa: D102


def conclude(outcomes: Sequence[Outcome], what: str) -> int:
    """Name the failures on stderr, and how many were left.

    Args:
        outcomes: one for each file.
        what: the files in the plural, for example ``"scans"``.

    Returns:
        0 all done, 1 some failed or were left, 2 all failed for want of an option: nothing could start.
    """
    failed = [o for o in outcomes if o.status == "failed"]
    left = [o for o in outcomes if o.status == "left"]
    if len(outcomes) == 1 and failed:
        print(f"cafrnet: {failed[0].message}", file=sys.stderr)
    elif failed:
        print(f"cafrnet: {len(failed)} of {len(outcomes)} {what} failed:", file=sys.stderr)
        for o in failed:
            print(f"  {o.message}", file=sys.stderr)
    if left:
        print(
            f"cafrnet: {len(left)} of {len(outcomes)} {what} were not started, since nothing can be written "
            f"any more ({left[0].message}); make room, and the same command goes on with them",
            file=sys.stderr,
        )
    if not failed and not left:
        return 0
    return 2 if len(failed) == len(outcomes) and all(o.usage for o in failed) else 1
