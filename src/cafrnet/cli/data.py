"""``cafrnet data``: check, split, count, fetch and make datasets."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import UsageError
from ..words import counted
from . import corrections

if TYPE_CHECKING:
    from ..datasets import Case, Split


def add_parser(subparsers: Any) -> None:
    """Add ``data`` and its subcommands to the command line."""
    parser = subparsers.add_parser("data", help="check, split, count, download or make datasets")
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)

    check = verbs.add_parser("check", help="the data doctor: what is wrong with a dataset, and what to do")
    check.add_argument(
        "dataset", metavar="DIR", help="the folder that holds train/ (or another known layout)"
    )
    check.add_argument("--split", metavar="FILE", help="also look for leaks between the parts of this split")
    check.add_argument("--json", action="store_true", help="print the report as JSON")
    check.set_defaults(data_run=_check)

    split = verbs.add_parser("split", help="train, val and test (70/15/15) or folds, by patient")
    split.add_argument("dataset", metavar="DIR", help="the dataset's folder")
    split.add_argument("-o", "--output", metavar="FILE", required=True, help="the split, such as split.json")
    split.add_argument("--folds", type=int, metavar="K", help="K folds instead of 70/15/15")
    split.add_argument("--seed", type=int, default=0, metavar="S", help="another one splits otherwise (0)")
    split.add_argument("--overwrite", action="store_true", help="replace another split in FILE")
    split.add_argument("--json", action="store_true", help="print the split as JSON")
    split.set_defaults(data_run=_split)

    stats = verbs.add_parser("stats", help="cases, slices, voxels and volume per class; CSV and a picture")
    stats.add_argument("dataset", metavar="DIR", help="the dataset's folder")
    stats.add_argument(
        "-o",
        "--output",
        metavar="DIR",
        required=True,
        help="folder for classes.csv, geometry.csv and, with the 'plots' extra, classes.png",
    )
    stats.set_defaults(data_run=_stats)

    corrections.add_parser(verbs)

    download = verbs.add_parser("download", help="fetch a public dataset")
    download.add_argument("name", metavar="NAME", help="spinemri or spider")
    download.add_argument(
        "-o", "--output", metavar="DIR", required=True, help="the dataset's folder, which appears when whole"
    )
    download.add_argument(
        "--accept-licence", action="store_true", help="you have read the terms and accept them"
    )
    download.add_argument(
        "--zip", action="append", default=[], metavar="FILE", help="a zip already at hand; may be repeated"
    )
    download.add_argument("--api-url", metavar="URL", help="address of the record, for a mirror")
    download.set_defaults(data_run=_download)

    phantom = verbs.add_parser("phantom", help="make synthetic scans with a known truth")
    phantom.add_argument(
        "-o", "--output", metavar="DIR", required=True, help="the dataset's folder, new or empty"
    )
    phantom.add_argument("--cases", type=int, default=10, metavar="N", help="how many (10)")
    phantom.add_argument("--seed", type=int, default=0, metavar="S", help="the same one draws the same (0)")
    phantom.add_argument("--format", choices=("nifti", "dicom"), default="nifti", help="of the scans (nifti)")
    phantom.add_argument(
        "--contrast",
        choices=("t2", "t1", "stir", "random", "any"),
        default="random",
        help="random (default): T2, T1 or STIR, 70, 20 and 10 %% of the cases; any: in half of the cases "
        "every tissue of its own grey value, as no sequence gives it, for training only",
    )
    phantom.add_argument(
        "--fov",
        choices=("random", "full"),
        default="random",
        help="field of view: random (default), which is clinical and ends somewhere at the top; full, with "
        "all levels from S to T9",
    )
    phantom.add_argument("--small", action="store_true", help="256 x 256 pixels of 1.17 mm: quick to make")
    phantom.add_argument(
        "--endplate-gap",
        type=float,
        default=0.0,
        metavar="MM",
        help="unlabelled strip between body and disc, as annotators leave it (0; 1.4 is usual in SPIDER)",
    )
    phantom.add_argument("--jobs", type=int, default=1, metavar="N", help="processes that draw (1)")
    phantom.set_defaults(data_run=_phantom)


def run(args: argparse.Namespace) -> int:
    """Run the chosen subcommand and return the exit code."""
    return args.data_run(args)


def _check(args: argparse.Namespace) -> int:
    from ..datasets import Split, open_dataset
    from ..datasets.doctor import check

    dataset = open_dataset(args.dataset)
    split = Split.load(args.split) if args.split else None
    report = check(dataset, split=split, track=_track("checked"))
    print(json.dumps(report.to_json(), indent=2) if args.json else report.to_text())
    return 0 if report.ok else 1


def _split(args: argparse.Namespace) -> int:
    from ..datasets import Split, make_split, open_dataset

    target = Path(args.output)
    split = make_split(open_dataset(args.dataset), seed=args.seed, folds=args.folds, track=_track("read"))
    if target.exists() and not args.overwrite and Split.load(target).hash != split.hash:
        raise UsageError(f"{target} holds another split; name another file, or add --overwrite")
    split.save(target)
    print(target.read_text() if args.json else _table(split))
    return 0


def _table(split: Split) -> str:
    """Lay out the number of cases per part and class."""
    parts = split.labels_per_part
    sizes = {part: sum(p == part for p in split.part_of.values()) for part in parts}
    rows = [["", *parts], ["cases", *(str(n) for n in sizes.values())]]
    rows += [[name, *(str(parts[p][name]) for p in parts)] for name in next(iter(parts.values()))]
    widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
    lines = [
        "  ".join(
            c.ljust(w) if k == 0 else c.rjust(w) for k, (c, w) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]
    return "\n".join([*lines, f"{split.dataset}, seed {split.seed}, hash {split.hash}"])


def _stats(args: argparse.Namespace) -> int:
    from ..datasets import open_dataset
    from ..datasets.statistics import statistics

    found = statistics(open_dataset(args.dataset), track=_track("counted"))
    for path in found.save(args.output):
        print(path)
    for case, reason in found.failed.items():
        print(f"{case} is in no count: {reason}", file=sys.stderr)
    return 1 if found.failed else 0


def _download(args: argparse.Namespace) -> int:
    from ..datasets.download import download, get_source

    source = get_source(args.name)
    print(f"{source.title}\n{source.terms}", file=sys.stderr)
    dataset = download(
        args.name,
        args.output,
        accept_licence=args.accept_licence,
        zips=args.zip,
        record_url=args.api_url,
        progress=_progress,
    )
    print(
        f"{dataset.root}: {counted(len(dataset), 'case')}; 'cafrnet data check {dataset.root}' examines them"
    )
    return 0


def _phantom(args: argparse.Namespace) -> int:
    from dataclasses import replace

    from ..phantom import SMALL, PhantomOptions, write_dataset

    options = replace(
        SMALL if args.small else PhantomOptions(),
        contrast=args.contrast,
        fov=args.fov,
        endplate_gap_mm=args.endplate_gap,
    )
    made = write_dataset(
        args.output,
        args.cases,
        args.seed,
        format=args.format,
        options=options,
        jobs=args.jobs,
        progress=lambda done, total: _line(f"made {done} of {total} cases", last=done == total),
    )
    print(made)
    return 0


def _track(done: str) -> Callable[[Sequence[Case]], Iterable[Case]]:
    """Return a wrapper that shows on stderr, if a person looks at it, how many cases are done."""

    def wrap(cases: Sequence[Case]) -> Iterator[Case]:
        for n, case in enumerate(cases, 1):
            yield case
            _line(f"{done} {n} of {len(cases)} cases", last=n == len(cases))

    return wrap


def _progress(name: str, done: int, total: int) -> None:
    _line(f"{name}: {done / 2**20:.1f} of {total / 2**20:.1f} MiB", last=done == total)


def _line(text: str, *, last: bool) -> None:
    """Write one line over the one before; nothing when stderr is not a terminal."""
    if sys.stderr.isatty():
        print(f"\r{text}\x1b[K", end="\n" if last else "", file=sys.stderr, flush=True)
