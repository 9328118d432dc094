"""The command line: a table of contents. Printing and exiting live only in this folder."""

from __future__ import annotations

import argparse
import importlib
import logging
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from .. import __version__
from ..errors import CAFRNetError, MissingExtraError, UsageError, closest

#: Verbs, in the order of the data's way; each is one module with ``add_parser`` and ``run``.
VERBS = (
    "segment",
    "relabel",
    "evaluate",
    "pretrain",
    "train",
    "calibrate",
    "models",
    "reproduce",
    "bundle",
    "export",
    "data",
)


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line that names the help, as all errors here are."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong and exit with 2."""
        self.exit(2, f"{self.prog}: error: {message}; see '{self.prog} --help'\n")


def parser() -> argparse.ArgumentParser:
    """Return the parser of all verbs."""
    root = Parser(
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
    return [leaf for action in below for child in action.choices.values() for leaf in _leaves(child)] or [
        root
    ]


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Parse; what argparse leaves over behind an option (``IN -o OUT IN``) joins the words before it."""
    root = parser()
    args, left = root.parse_known_args(argv)
    words: list[str] | None = next((vars(args)[n] for n in ("inputs", "words") if n in args), None)
    wrong = [word for word in left if words is None or word.startswith("-")]
    if wrong:
        verb = _chosen(root, args)
        options = [option for action in verb._actions for option in action.option_strings]
        hint = closest(wrong[0].partition("=")[0], options) if wrong[0].startswith("-") else ""
        verb.error(f"unrecognized arguments: {' '.join(wrong)}{hint}")
    if words is not None:
        words.extend(left)
    return args


def _chosen(root: argparse.ArgumentParser, args: argparse.Namespace) -> argparse.ArgumentParser:
    """Return the parser of the verb that came."""
    for action in root._actions:
        if isinstance(action, argparse._SubParsersAction):
            return _chosen(action.choices[getattr(args, action.dest)], args)
    return root


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 0 all done, 1 some case failed, 2 nothing could start,
    130 interrupted, by Ctrl-C or by SIGTERM.
    """
    args = _parse(argv)
    level = (
        logging.ERROR if args.quiet else (logging.WARNING, logging.INFO, logging.DEBUG)[min(args.verbose, 2)]
    )
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
    logging.getLogger("cafrnet").setLevel(level)
    from ..processes import sigterm_interrupts  # multiprocessing, which --help does without

    try:
        with sigterm_interrupts():
            code = int(importlib.import_module(f".{args.command}", __package__).run(args))
        sys.stdout.flush()  # a closed pipe shows here, not when Python exits
        return code
    except MissingExtraError as error:
        print(f"{_chosen(parser(), args).prog}: {error}", file=sys.stderr)
        return 2
    except UsageError as error:
        print(f"cafrnet: {error}", file=sys.stderr)
        return 2
    except CAFRNetError as error:
        print(f"cafrnet: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what is left to print goes nowhere, without a word
        return 1
    except OSError as error:
        named = f"{error.filename}: " if error.filename else ""
        print(f"cafrnet: {named}{error.strerror or error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt as stop:
        print(f"cafrnet: interrupted{f'; {stop}' if str(stop) else ''}", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
