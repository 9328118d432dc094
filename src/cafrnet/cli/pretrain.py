"""``cafrnet pretrain``: scans without labels in, weights to start training from out."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from ..errors import UsageError


def add_parser(subparsers: Any) -> None:
    """Add ``pretrain`` to the command line."""
    parser = subparsers.add_parser(
        "pretrain",
        help="pretrain a recipe's encoder on scans without labels (needs the 'train' extra)",
        description="cafrnet pretrain RECIPE [key=value...] scans=DIR -o RUN, or: data=DIR split=FILE for "
        "the training part of a dataset. Then: cafrnet train RECIPE init=RUN ...",
        epilog="Keys are those of the recipe: method=mask (masked autoencoding) or method=view (contrast of "
        "two views), mask_share=0.6, cells=32; epochs, steps_per_epoch, batch, lr, seed are those of the "
        "pretraining here. docs/pretraining.md says what it was measured to bring.",
    )
    parser.add_argument(
        "words", nargs="*", metavar="RECIPE key=value", help="recipe name or .yaml, and changes"
    )
    parser.add_argument("-o", "--output", metavar="RUN", help="folder to write, new or empty")


def run(args: argparse.Namespace) -> int:
    """Pretrain."""
    places: dict[str, list[str]] = {"data": [], "split": [], "fold": [], "scans": []}
    changes: list[str] = []
    names: list[str] = []
    for word in args.words:
        key, equals, value = word.partition("=")
        if equals and key in places:
            places[key].append(value)
        else:
            (changes if equals else names).append(word)
    if len(names) != 1:
        raise UsageError(
            f"one recipe was expected, {len(names)} came: {' '.join(names) or 'none'}; "
            "changes are written key=value, without blanks"
        )
    if not args.output:
        raise UsageError("-o RUN is missing: where the weights go")
    data, split, fold = (places[key][-1] if places[key] else None for key in ("data", "split", "fold"))
    if fold and not fold.isdecimal():
        raise UsageError(f"fold={fold} came, a number from 0 was expected")
    from ..learning.pretraining import pretrain
    from ..learning.recipes import load_recipe

    done = pretrain(
        load_recipe(names[0], changes),
        args.output,
        data=data,
        split=split,
        fold=int(fold) if fold else None,
        scans=places["scans"],
        report=None if args.quiet else _tell,
    )
    print(done)
    return 0


def _tell(step: int, steps: int, loss: float) -> None:
    end = "\n" if step == steps else "\r"
    print(f"step {step} of {steps}, loss {loss:.4f}", end=end, file=sys.stderr, flush=True)
