"""The option that says what the values of label maps mean."""

from __future__ import annotations

import argparse

#: Names of :data:`cafrnet.labels.SCHEMES`; --help does without NumPy, which reading them takes.
NAMES = ("cafrnet", "spinemri", "spider", "verse", "tptbox", "totalspineseg")


def add_labels_option(parser: argparse.ArgumentParser, what: str, default: str | None = "cafrnet") -> None:
    """Add ``--labels SCHEME``.

    Args:
        parser: of a verb.
        what: it is the scheme of.
        default: None where something else decides, which ``what`` says then.
    """
    parser.add_argument(
        "--labels",
        default=default,
        metavar="SCHEME",
        help=f"scheme of {what}: {', '.join(NAMES)}" + (f" ({default})" if default else ""),
    )
