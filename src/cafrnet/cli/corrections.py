"""``cafrnet data add-corrections``: label maps that a person corrected become training data."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any

from .outcomes import conclude
from .scheme_option import add_labels_option

if TYPE_CHECKING:
    from ..datasets.corrections import Added


def add_parser(verbs: Any) -> None:
    """Add ``add-corrections`` to the verbs of ``data``."""
    parser = verbs.add_parser(
        "add-corrections",
        help="scans and their corrected label maps become cases of a dataset",
        description="Pairs by name: scan.nii.gz with scan_seg.nii.gz or Slicer's scan.seg.nrrd. DIR may be "
        "new or begun before. Each case is examined by the data doctor first.",
    )
    parser.add_argument("scans", metavar="SCANS", help="folder of scans: files or DICOM folders")
    parser.add_argument("corrected", metavar="CORRECTED", help="folder of label maps; may be the same")
    parser.add_argument("-o", "--output", metavar="DIR", required=True, help="the dataset's folder")
    add_labels_option(parser, "the maps' values")
    parser.add_argument(
        "--unmarked",
        default="",
        metavar="NAMES",
        help="structures that nobody marked though they are visible, such as 'S,spinal canal'",
    )
    parser.add_argument(
        "--patients", metavar="FILE", help="CSV with case,patient, if a patient has several scans"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace label maps of cases already there")
    parser.add_argument("--force", action="store_true", help="add cases in which the doctor finds an error")
    parser.set_defaults(data_run=run)


def run(args: argparse.Namespace) -> int:
    """Add the cases, examine the whole dataset, and return the exit code."""
    from ..datasets import open_dataset
    from ..datasets.corrections import add_corrections
    from ..datasets.doctor import check

    outcomes = add_corrections(
        args.scans,
        args.corrected,
        args.output,
        labels=args.labels,
        unmarked=[name.strip() for name in args.unmarked.split(",") if name.strip()],
        patients=args.patients,
        overwrite=args.overwrite,
        force=args.force,
        progress=None if args.quiet else _progress,
    )
    code = conclude(outcomes, "label maps")
    if any(o.status in ("added", "replaced") for o in outcomes):
        report = check(open_dataset(args.output))
        if not args.quiet:
            print(report.to_text(), file=sys.stderr)
        print(args.output)
        return code or int(not report.ok and not args.force)
    return code


def _progress(number: int, count: int, outcome: Added) -> None:
    if count == 1 and outcome.status == "failed":
        return
    text = outcome.message if outcome.status == "failed" else f"{outcome.name} is {outcome.case}"
    print(f"[{number}/{count}] {outcome.status}: {text}", file=sys.stderr)
