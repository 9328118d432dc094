"""``cafrnet relabel``: rename the levels of label maps together, without new inference."""

from __future__ import annotations

import argparse
import json
import sys
from typing import TYPE_CHECKING, Any

from ..errors import UsageError
from .outcomes import conclude
from .scheme_option import add_labels_option

if TYPE_CHECKING:
    from ..inference.relabel import Anchor, Relabelled


def add_parser(subparsers: Any) -> None:
    """Add ``relabel`` to the command line."""
    parser = subparsers.add_parser(
        "relabel",
        help="correct level names: all one higher, or by one structure's right name",
        description=(
            "Renames all vertebrae and discs together. The sacrum, the canal and posterior elements stay; "
            "what leaves the label table becomes 255 and is listed."
        ),
    )
    parser.add_argument("inputs", nargs="+", metavar="SEG", help="label map, or a glob of label maps")
    parser.add_argument(
        "-o", "--output", required=True, metavar="OUT", help="folder, or x.nii.gz for one label map"
    )
    how = parser.add_mutually_exclusive_group(required=True)
    how.add_argument(
        "--shift", type=int, metavar="N", help="+1: one level higher, L5 becomes L4; -1: one lower"
    )
    how.add_argument(
        "--anchor",
        action="append",
        default=[],
        metavar="NAME=X,Y,Z",
        help="what lies at this point (world mm in RAS) is NAME, for example L5=-3.5,20,-41; may be repeated",
    )
    parser.add_argument("--voxel", action="store_true", help="the point of --anchor is array indices, from 0")
    add_labels_option(parser, "the values (default: what the record says, or cafrnet)", default=None)
    parser.add_argument("--overwrite", action="store_true", help="replace files, the input itself too")
    parser.add_argument("--json", action="store_true", help="print one JSON object with every outcome")


def run(args: argparse.Namespace) -> int:
    """Rename and report; 1 if a label map failed, 2 if all of them lack an option."""
    from ..inference.inputs import check_writable
    from ..inference.relabel import relabel_files
    from ..inference.relabel_jobs import plan_relabelling

    if args.voxel and not args.anchor:
        raise UsageError("--voxel came without --anchor, whose point it is about")
    anchors = [_anchor(word, args.voxel) for word in args.anchor]
    jobs = plan_relabelling(args.inputs, args.output)
    check_writable(jobs)

    def progress(number: int, count: int, done: Relabelled) -> None:
        if args.quiet or (count == 1 and done.status == "failed"):
            return
        text = done.message if done.status == "failed" else _said(done)
        print(f"[{number}/{count}] {done.status}: {text}", file=sys.stderr)

    outcomes = relabel_files(
        jobs,
        shift=args.shift,
        anchors=anchors,
        labels=args.labels,
        overwrite=args.overwrite,
        progress=progress,
    )
    failed = sum(o.status == "failed" for o in outcomes)
    if args.json:
        print(json.dumps({"cases": [_row(o) for o in outcomes], "failed": failed}, indent=2))
    else:
        for o in outcomes:
            if o.status != "failed":
                print(o.job.labels)
    return conclude(outcomes, "label maps")


def _anchor(word: str, voxel: bool) -> Anchor:
    """Read ``L5=-3.5,20,-41``.

    Raises:
        UsageError: another form.
    """
    from ..inference.relabel import Anchor

    name, equals, point = word.partition("=")
    try:
        x, y, z = (float(part) for part in point.split(","))
    except ValueError:
        x = y = z = float("nan")
    if not (name and equals) or x + y + z != x + y + z:
        raise UsageError(f"--anchor {word!r} came, NAME=X,Y,Z was expected, for example L5=-3.5,20,-41")
    return Anchor(name, (x, y, z), voxel)


def _said(done: Relabelled) -> str:
    """Say in one line what was renamed, and what a person should look at."""
    words = [
        f"{done.job.labels}, shifted by {done.shift:+d}" if done.shift else f"{done.job.labels}, no change"
    ]
    if done.lost:
        words.append(f"now 255: {', '.join(done.lost)}")
    return "; ".join([*words, *(f"look: {note}" for note in done.notes)])


def _row(o: Relabelled) -> dict[str, Any]:
    return {
        "input": str(o.job.source),
        "status": o.status,
        "labels": str(o.job.labels) if o.status != "failed" else None,
        "shift": o.shift,
        "lost": list(o.lost),
        "notes": list(o.notes),
        "message": o.message,
    }
