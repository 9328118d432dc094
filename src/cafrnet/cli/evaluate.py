"""``cafrnet evaluate TRUTH PRED``: score label maps against truths."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from ..errors import UsageError
from ..words import counted, ranges
from .scheme_option import add_labels_option


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
    parser.add_argument(
        "-o", "--output", "--out", metavar="DIR", help="write cases.csv, summary.json and more here"
    )
    add_labels_option(parser, "the predictions' values")
    parser.add_argument("--common", choices=("body",), help="cut whole vertebrae to bodies before comparing")
    parser.add_argument("--split", metavar="FILE", help="score only the cases of one part of this split")
    parser.add_argument("--part", choices=("train", "val", "test"), help="which part of --split (test)")
    parser.add_argument("--fold", type=int, metavar="K", help="which fold is tested, for a split into folds")
    parser.add_argument("--regions", action="store_true", help="score regions too; needs the images")
    parser.add_argument("--no-slices", action="store_true", help="leave the score of each slice out")
    parser.add_argument("--seed", type=int, default=0, help="of the bootstrap interval (0)")
    parser.add_argument("--json", action="store_true", help="print the summary as JSON")
    parser.add_argument(
        "--fail-below", type=_share, metavar="DSC", help="exit with 1 below this mean DSC (0 to 1)"
    )
    return parser


def run(args: argparse.Namespace) -> int:
    """Run the command.

    Returns:
        0 all cases done, 1 some case failed, nothing was scored or the mean DSC is below ``--fail-below``.

    Raises:
        UsageError: nothing could start.
    """
    from ..evaluation import evaluate

    if args.part is not None and args.split is None:
        raise UsageError(f"--part {args.part} came without --split FILE, whose parts it names")
    found = evaluate(
        args.truth,
        args.pred,
        args.output,
        labels=args.labels,
        common=args.common,
        split=args.split,
        part=args.part or "test",
        fold=args.fold,
        slices=not args.no_slices,
        regions=args.regions,
        seed=args.seed,
    )
    print(json.dumps(found.summary, indent=2, allow_nan=False) if args.json else table(found.summary))
    reached = found.summary["headline"]["dsc"]["mean"]
    if reached is None:
        print("cafrnet: nothing was scored, so there is no mean DSC", file=sys.stderr)
        return 1
    if args.fail_below is not None and reached < args.fail_below:
        print(f"cafrnet: the mean DSC is {reached:.4f}, below {args.fail_below:g}", file=sys.stderr)
        return 1
    return 1 if found.failed else 0


def _share(word: str) -> float:
    """Read a Dice from 0 to 1."""
    try:
        value = float(word)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{word} came, a mean DSC from 0 to 1 was expected, such as 0.7")
    return value


def table(summary: dict[str, Any]) -> str:
    """Write a summary as a compact table: a line for each class, then the headline and what went wrong."""
    cases = summary["cases"]
    lines = [*_classes(summary["classes"]), "", _headline(summary)] if cases["scored"] else []
    if summary["levels"]["cases"]:
        lines.append(_levels(summary["levels"], summary["after_shift"]["headline"]["dsc"]))
    if summary["not_annotated"]:
        lines.append(f"not annotated, not scored: {', '.join(summary['not_annotated'])}")
    if nothing := cases["nothing_to_score"]:
        lines.append(
            f"nothing to score in {counted(len(nothing), 'case')}, where neither truth nor prediction holds "
            f"a scored structure: {', '.join(nothing)}"
        )
    if failed := cases["failed"]:
        lines.append(f"failed, in no mean: {len(failed)} of {cases['total']} cases: {', '.join(failed)}")
    return "\n".join(lines)


def _classes(classes: dict[str, Any]) -> list[str]:
    lines = [
        f"{'class':<20}{'DSC':>8}{'IoU':>8}{'HD mm':>9}{'HD95 mm':>9}"
        f"{'cases':>7}{'missed':>8}{'invented':>10}"
    ]
    for name, row in classes.items():
        lines.append(
            f"{name:<20}{_number(row['dsc'], 8, 4)}{_number(row['iou'], 8, 4)}{_number(row['hd_mm'], 9, 2)}"
            f"{_number(row['hd95_mm'], 9, 2)}{row['in_truth']:>7}{row['missed']:>8}{row['invented']:>10}"
        )
    return lines


def _headline(summary: dict[str, Any]) -> str:
    from ..labels import TABLE  # NumPy, which --help does without

    head, cases = summary["headline"], summary["cases"]
    ids = [i for i in head["ids"] if TABLE[i].name not in summary["not_annotated"]]
    return (
        f"{cases['scored']} of {cases['total']} cases, ids {ranges(ids)}: "
        f"DSC {_pm(head['dsc'], 4)}, IoU {_pm(head['iou'], 4)}, HD {_pm(head['hd_mm'], 2)} mm, "
        f"HD95 {_pm(head['hd95_mm'], 2)} mm (distances over structures found; "
        f"{head['missed']} missed, {head['invented']} invented; "
        f"with the penalty HD95 {_pm(head['hd95_penalised_mm'], 2)} mm)"
    )


def _levels(level: dict[str, Any], after_shift: dict[str, Any]) -> str:
    """Say what became of the levels, and which shift is meant where one mends them."""
    counts = level["structures"]
    rest = [f"{n} {status}" for status, n in counts.items() if status != "right"]
    of = f"{counts.get('right', 0)} of {counted(sum(counts.values()), 'structure')} right"
    text = (
        f"levels: all right in {level['cases_all_right']} of {counted(level['cases'], 'case')}; "
        f"{', '.join([of, *rest])}"
    )
    shifts = level["corrections"]
    if not shifts:
        return text
    named = [f"{identity} {by:+d}" for identity, by in shifts.items()]
    more = f" and {len(named) - 5} more" if len(named) > 5 else ""
    return (
        f"{text}\nDSC after the best whole-column shift {_pm(after_shift, 4)}: {', '.join(named[:5])}{more}; "
        "'cafrnet relabel --shift N' does that"
    )


def _number(found: dict[str, Any], width: int, digits: int) -> str:
    return f"{'-' if found['mean'] is None else format(found['mean'], f'.{digits}f'):>{width}}"


def _pm(found: dict[str, Any], digits: int) -> str:
    if found["mean"] is None:
        return "-"
    spread = "" if found["sd"] is None else f" +- {found['sd']:.{digits}f}"
    return f"{found['mean']:.{digits}f}{spread}"
