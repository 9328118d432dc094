"""``cafrnet reproduce``: the paper's experiments on labelled scans, by one command."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from ..errors import UsageError


def add_parser(subparsers: Any) -> None:
    """Add ``reproduce`` to the command line."""
    parser = subparsers.add_parser(
        "reproduce",
        help="the paper's experiments on labelled scans (needs the 'train' extra)",
        description="WHAT: one or more of table3 table4 sensitivity robustness learning-curve figures, or "
        "all. The same command goes on with an interrupted reproduction.",
        epilog="steps=N sets the optimiser steps; any other key=value is a change of the recipe for all rows "
        "alike, for example training.lr=5e-4.",
    )
    parser.add_argument("words", nargs="+", metavar="WHAT key=value", help="what, and changes for all rows")
    parser.add_argument("--data", required=True, metavar="DIR", help="labelled dataset")
    parser.add_argument("-o", "--output", required=True, metavar="DIR", help="folder of the reproduction")
    parser.add_argument("--budget", default="small", metavar="B", help="smoke, small (default) or full")
    parser.add_argument("--folds", metavar="0,1", help="folds that are tested (the budget's)")
    parser.add_argument("--seeds", metavar="0,1", help="seeds (the budget's)")
    parser.add_argument("--split", metavar="FILE", help="a split into folds; else one is made with seed 0")
    parser.add_argument("--rows", metavar="A,B", help="only these rows; a recipe's name or file adds a row")
    parser.add_argument(
        "--sizes", metavar="S", help="of TransUNet, Swin-Unet, UNETR++: published, paper, both"
    )
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="trainings at a time (1)")
    parser.add_argument("--time-limit", type=float, metavar="MIN", help="start nothing new after so long")
    parser.add_argument("--threads", type=int, default=2, metavar="N", help="for latency and memory (2)")
    parser.add_argument("--engine", default="local", metavar="E", help="local (default) or ray")
    parser.add_argument("--ray-address", metavar="HOST", help="of a Ray cluster; implies --engine ray")
    parser.add_argument("--external", action="append", default=[], metavar="DIR", help="test on these, too")
    parser.add_argument(
        "--predictions",
        action="append",
        default=[],
        metavar="NAME=DIR",
        help="label maps from elsewhere, scored as a row",
    )
    parser.add_argument(
        "--nnunet-python", metavar="FILE", help="of an environment with nnunetv2: the real nnU-Net as a row"
    )
    parser.add_argument(
        "--nnunet-trainer",
        default="nnUNetTrainer",
        metavar="T",
        help="nnUNetTrainer (1000 epochs, default), nnUNetTrainer_50epochs ...",
    )
    parser.add_argument(
        "--nnunet-config", default="2d", metavar="C", help="2d (default), 3d_fullres, 3d_lowres"
    )
    parser.add_argument("--nnunet-device", default="auto", metavar="D", help="auto (default), cpu, cuda, mps")
    parser.add_argument("--tables-only", action="store_true", help="train nothing, write from what is there")
    parser.add_argument("--json", action="store_true", help="print what became of each run as JSON")


def run(args: argparse.Namespace) -> int:
    """Run the command.

    Returns:
        0 everything is there, 1 some row failed or was not started.

    Raises:
        UsageError: nothing could start.
    """
    what, steps, changes = _words(args.words)
    from ..experiments.nnunet.settings import Settings
    from ..experiments.reproduce import Options, reproduce

    nnunet = None
    if args.nnunet_python:
        words = (args.nnunet_trainer, args.nnunet_config, args.nnunet_device)
        nnunet = Settings(Path(args.nnunet_python), *words)
    result = reproduce(
        what,
        args.data,
        args.output,
        budget_name=args.budget,
        options=Options(
            steps=steps,
            folds=_numbers("--folds", args.folds),
            seeds=_numbers("--seeds", args.seeds),
            changes=tuple(changes),
            sizes=args.sizes,
            rows=tuple(args.rows.split(",")) if args.rows else (),
            split=Path(args.split) if args.split else None,
            engine="ray" if args.ray_address else args.engine,
            workers=args.jobs,
            ray_address=args.ray_address,
            minutes=args.time_limit,
            threads=args.threads,
            external=tuple(map(Path, args.external)),
            predictions=dict(_named(word) for word in args.predictions),
            nnunet=nnunet,
            train=not args.tables_only,
        ),
        command=["cafrnet", *sys.argv[1:]],
        progress=None if args.quiet else _progress,
    )
    return _conclude(result, args.json)


def _conclude(result: Any, as_json: bool) -> int:
    """Print what is there and name what is not."""
    if as_json:
        rows = [
            {"run": o.job.run.name, "status": o.status, "message": o.message, "seconds": round(o.seconds, 1)}
            for o in result.outcomes
        ]
        print(json.dumps({"index": str(result.folder.index), "runs": rows}, indent=2))
    else:
        print(result.folder.index)
    missing = [o for o in result.outcomes if o.status in ("failed", "not started")]
    if missing:
        print(f"cafrnet: {len(missing)} of {len(result.outcomes)} runs are not there:", file=sys.stderr)
    for o in missing:
        print(f"  {o.job.run.name} {o.status}: {_short(o.message)}", file=sys.stderr)
    for problem in result.written.problems:
        print(f"cafrnet: {problem}", file=sys.stderr)
    return 0 if result.complete else 1


def _progress(number: int, count: int, outcome: Any) -> None:
    message = f": {_short(outcome.message)}" if outcome.message else ""
    line = f"[{number}/{count}] {outcome.job.run.name} {outcome.status} ({outcome.seconds:.0f} s){message}"
    print(line, file=sys.stderr, flush=True)


def _short(message: str) -> str:
    """Return both ends of a long message: what went wrong, and where its trace is."""
    return message if len(message) <= 400 else f"{message[:240]} ... {message[-150:]}"


def _words(words: list[str]) -> tuple[list[str], int | None, list[str]]:
    """Return what is asked for, the steps, and the other changes."""
    what = [word for word in words if "=" not in word]
    changes = [word for word in words if "=" in word]
    steps = [word.partition("=")[2] for word in changes if word.startswith("steps=")]
    if steps and not steps[-1].isdecimal():
        raise UsageError(f"steps={steps[-1]} came, a number of optimiser steps was expected")
    return what, int(steps[-1]) if steps else None, [w for w in changes if not w.startswith("steps=")]


def _numbers(option: str, text: str | None) -> tuple[int, ...] | None:
    if text is None:
        return None
    parts = text.split(",")
    if not all(part.strip().isdecimal() for part in parts):
        raise UsageError(f"{option} {text} came; numbers with commas, such as 0,1,2, were expected")
    return tuple(int(part) for part in parts)


def _named(word: str) -> tuple[str, Path]:
    name, equals, folder = word.partition("=")
    if not (name and equals and folder):
        raise UsageError(f"--predictions {word} came; NAME=DIR was expected")
    return name, Path(folder)
