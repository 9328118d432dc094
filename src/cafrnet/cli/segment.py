"""``cafrnet segment``: scans in, named label maps, previews and records out."""

from __future__ import annotations

import argparse
import json
import sys
import time
from typing import Any

from .outcomes import conclude


def add_parser(subparsers: Any) -> None:
    """Add ``segment`` to the command line."""
    parser = subparsers.add_parser(
        "segment",
        help="find and name the structures in scans",
        description="Writes OUT/<stem>_seg.nii.gz, <stem>_preview.png and <stem>.json for every scan.",
    )
    parser.add_argument("inputs", nargs="+", metavar="IN", help="file, folder, DICOM folder or glob")
    parser.add_argument(
        "-o", "--output", required=True, metavar="OUT", help="folder, or x.nii.gz for one scan"
    )
    parser.add_argument(
        "--model",
        metavar="RUN|BUNDLE",
        action="append",
        default=[],
        help="folder with model.onnx; several, or a folder of folds, answer together (mean probability)",
    )
    parser.add_argument(
        "--tta",
        action="store_true",
        help="test-time augmentation: mirrored front to back and scaled too; 4 times the time",
    )
    parser.add_argument("--series", default="auto", metavar="UID|auto", help="which series of a DICOM folder")
    parser.add_argument("--labels", default="cafrnet", metavar="SCHEME", help="scheme of the written values")
    parser.add_argument("--pixel-mm", type=float, metavar="MM", help="pixel size of PNG inputs")
    parser.add_argument(
        "--overwrite", action="store_true", help="do finished scans again; replace others' files"
    )
    parser.add_argument(
        "--threads", type=int, metavar="N", help="threads of one inference (default: all cores)"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object with every outcome")


def run(args: argparse.Namespace) -> int:
    """Segment and report; 1 if a scan failed, 2 if all of them lack an option."""
    from ..errors import InputError, UsageError
    from ..inference import segment_files
    from ..inference.batch import Outcome
    from ..inference.ensemble import load_models
    from ..inference.inputs import check_writable, plan_jobs
    from ..inference.views import with_views
    from ..labels import get_scheme

    get_scheme(args.labels)
    jobs = plan_jobs(args.inputs, args.output, png=args.pixel_mm is not None)
    try:
        model = load_models(args.model, threads=args.threads)
    except InputError as error:
        raise UsageError(str(error)) from error  # without a model nothing could start
    if args.tta:
        model = with_views(model)
    check_writable(jobs)
    began = time.perf_counter()

    def progress(number: int, count: int, outcome: Outcome) -> None:
        if args.quiet or (count == 1 and outcome.status == "failed"):
            return
        rate = (time.perf_counter() - began) / number
        left = f", about {rate * (count - number):.0f} s left" if count > number else ""
        text = outcome.message if outcome.status == "failed" else str(outcome.job.labels)
        print(f"[{number}/{count}] {outcome.status}: {text}{left}", file=sys.stderr)

    outcomes = segment_files(
        jobs,
        model,
        series=args.series,
        pixel_mm=args.pixel_mm,
        labels=args.labels,
        overwrite=args.overwrite,
        progress=progress,
    )
    failed = sum(o.status == "failed" for o in outcomes)
    if args.json:
        rows = [
            {
                "input": str(o.job.source),
                "status": o.status,
                "labels": str(o.job.labels) if o.status != "failed" else None,
                "message": o.message,
            }
            for o in outcomes
        ]
        print(json.dumps({"cases": rows, "failed": failed}, indent=2))
    else:
        for o in outcomes:
            if o.status != "failed":
                print(o.job.labels)
    return conclude(outcomes, "scans")
