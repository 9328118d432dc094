"""Everything cafrnet raises on purpose, under one root.

A message says what came, what was expected, and what to do. The command line turns these into one line
on stderr and an exit code; it is the only place that prints or exits.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class CAFRNetError(Exception):
    """Root of all errors that cafrnet raises on purpose."""


class InputError(CAFRNetError):
    """A file or an array can't be used. It fails one case and never stops a batch (exit code 1)."""


class UsageError(CAFRNetError):
    """Options, recipe or paths are wrong: nothing could start (exit code 2)."""


class Interrupted(KeyboardInterrupt):
    """Ctrl-C in the middle of many cases; the message says what is finished. Not a CAFRNetError: nothing that
    handles errors of one case may hold it up.
    """


class MissingExtraError(UsageError):
    """A feature needs an optional part of the installation.

    Args:
        feature: what the user asked for, for example ``"training"``.
        extra: the extra that holds it, for example ``"train"``.
    """

    def __init__(self, feature: str, extra: str) -> None:
        super().__init__(
            f"{feature} needs the '{extra}' extra, which is not installed: pip install 'cafrnet[{extra}]'"
        )


def closest(word: str, known: Iterable[str]) -> str:
    """Return ``"; did you mean 'x'?"`` for the known word nearest to ``word``, or nothing if none is near."""
    close = difflib.get_close_matches(str(word), [str(k) for k in known], n=1, cutoff=0.5)
    return f"; did you mean '{close[0]}'?" if close else ""


def nearest(word: str, known: Iterable[str]) -> str:
    """Return ``"; did you mean 'x'?"`` for the known word nearest to ``word``, or the list of known words."""
    known = [str(k) for k in known]
    return closest(word, known) or f"; known are {', '.join(known)}"
