"""The command line: a table of contents. Printing and exiting live only in this folder."""

from __future__ import annotations

import argparse
import importlib
import logging
import sys
from collections.abc import Sequence

from .. import __version__
from ..errors import CAFRNetError, UsageError

#: Verbs, in the order of the data's way; each is one module with ``add_parser`` and ``run``.
VERBS = ("segment", "evaluate", "train", "models", "data")


def parser() -> argparse.ArgumentParser:
    """Return the parser of all verbs."""
    root = argparse.ArgumentParser(
        prog="cafrnet", description="Find and name every vertebra and disc in a sagittal spine MRI."
    )
    root.add_argument("--version", action="version", version=f"cafrnet {__version__}")
    verbs = root.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for verb in VERBS:
        importlib.import_module(f".{verb}", __package__).add_parser(verbs)
    for one in _leaves(root):
        one.add_argument("-q", "--quiet", action="store_true", help="errors only")
        one.add_argument("-v", "--verbose", action="count", default=0, help="say more; twice for everything")
    return root


def _leaves(root: argparse.ArgumentParser) -> list[argparse.ArgumentParser]:
    """Return the parsers of the verbs that have no verbs of their own."""
    below = [a for a in root._actions if isinstance(a, argparse._SubParsersAction)]
    return [leaf for action in below for child in action.choices.values() for leaf in _leaves(child)] or [root]


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 0 all done, 1 some case failed, 2 nothing could start."""
    args = parser().parse_args(argv)
    level = logging.ERROR if args.quiet else (logging.WARNING, logging.INFO, logging.DEBUG)[min(args.verbose, 2)]
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
    logging.getLogger("cafrnet").setLevel(level)
    try:
        return int(importlib.import_module(f".{args.command}", __package__).run(args))
    except UsageError as error:
        print(f"cafrnet: {error}", file=sys.stderr)
        return 2
    except CAFRNetError as error:
        print(f"cafrnet: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        return 1
    except KeyboardInterrupt:
        print("cafrnet: interrupted", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
