"""``cafrnet evaluate TRUTH PRED``: score label maps against truths."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any


def add_parser(subparsers: Any) -> argparse.ArgumentParser:
    """Add the command to a command line."""
    parser = subparsers.add_parser(
        "evaluate",
        help="score label maps against truths",
        description=(
            "Score predicted label maps against truths, case by case in 3D. Pairs by file name, whatever its "
            "case, without a leading mask_ or seg_ and a trailing _seg or _msk."
        ),
    )
    parser.add_argument("truth", metavar="TRUTH", help="a dataset's folder, a folder of label maps, or one")
    parser.add_argument("pred", metavar="PRED", help="a folder of label maps, or one")
    parser.add_argument("-o", "--out", metavar="DIR", help="write cases.csv, summary.json and more here")
    parser.add_argument(
        "--labels", metavar="SCHEME", default="cafrnet", help="what the predictions' values mean"
    )
    parser.add_argument("--common", choices=("body",), help="cut whole vertebrae to bodies before comparing")
    parser.add_argument("--split", metavar="FILE", help="score only the cases of one part of this split")
    parser.add_argument("--part", choices=("train", "val", "test"), default="test", help="which part (test)")
    parser.add_argument("--fold", type=int, metavar="K", help="which fold is tested, for a split into folds")
    parser.add_argument("--regions", action="store_true", help="score regions too; needs the images")
    parser.add_argument("--no-slices", action="store_true", help="leave the score of each slice out")
    parser.add_argument("--seed", type=int, default=0, help="of the bootstrap interval (0)")
    parser.add_argument("--json", action="store_true", help="print the summary as JSON")
    parser.add_argument(
        "--fail-below", type=float, metavar="DSC", help="exit with 1 below this mean DSC (0 to 1)"
    )
    return parser


def run(args: argparse.Namespace) -> int:
    """Run the command.

    Returns:
        0 all cases done, 1 some case failed or the mean DSC is below ``--fail-below``.

    Raises:
        UsageError: nothing could start.
    """
    from ..evaluation import evaluate

    found = evaluate(
        args.truth,
        args.pred,
        args.out,
        labels=args.labels,
        common=args.common,
        split=args.split,
        part=args.part,
        fold=args.fold,
        slices=not args.no_slices,
        regions=args.regions,
        seed=args.seed,
    )
    print(json.dumps(found.summary, indent=2, allow_nan=False) if args.json else table(found.summary))
    reached = found.summary["headline"]["dsc"]["mean"]
    if args.fail_below is not None and (reached is None or reached < args.fail_below):
        print(f"the mean DSC is {reached}, below {args.fail_below}", file=sys.stderr)
        return 1
    return 1 if found.failed else 0


def table(summary: dict[str, Any]) -> str:
    """Write a summary as a compact table: a line for each class, then the headline and what went wrong."""
    lines = [
        f"{'class':<20}{'DSC':>8}{'IoU':>8}{'HD mm':>9}{'HD95 mm':>9}"
        f"{'cases':>7}{'missed':>8}{'invented':>10}"
    ]
    for name, row in summary["classes"].items():
        lines.append(
            f"{name:<20}{_number(row['dsc'], 8, 4)}{_number(row['iou'], 8, 4)}{_number(row['hd_mm'], 9, 2)}"
            f"{_number(row['hd95_mm'], 9, 2)}{row['in_truth']:>7}{row['missed']:>8}{row['invented']:>10}"
        )
    head, cases, level = summary["headline"], summary["cases"], summary["levels"]
    lines += [
        "",
        f"{cases['scored']} of {cases['total']} cases, ids 1-19: "
        f"DSC {_pm(head['dsc'], 4)}, IoU {_pm(head['iou'], 4)}, HD {_pm(head['hd_mm'], 2)} mm, "
        f"HD95 {_pm(head['hd95_mm'], 2)} mm (distances over structures found; "
        f"{head['missed']} missed, {head['invented']} invented; "
        f"with the penalty HD95 {_pm(head['hd95_penalised_mm'], 2)} mm)",
        f"levels: all right in {level['cases_all_right']} of {level['cases']} cases; "
        f"DSC after the best whole-column shift {_pm(summary['after_shift']['headline']['dsc'], 4)}",
    ]
    lines += [f"not annotated, not scored: {', '.join(summary['not_annotated'])}"] * bool(
        summary["not_annotated"]
    )
    lines += [f"failed: {identity}: {why}" for identity, why in cases["failed"].items()]
    return "\n".join(lines)


def _number(found: dict[str, Any], width: int, digits: int) -> str:
    return f"{'-' if found['mean'] is None else format(found['mean'], f'.{digits}f'):>{width}}"


def _pm(found: dict[str, Any], digits: int) -> str:
    if found["mean"] is None:
        return "-"
    spread = "" if found["sd"] is None else f" +- {found['sd']:.{digits}f}"
    return f"{found['mean']:.{digits}f}{spread}"
