"""``cafrnet export``: a trained model in another form or precision, checked against its source."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any


def add_parser(subparsers: Any) -> None:
    """Add ``export`` to the command line."""
    parser = subparsers.add_parser(
        "export",
        help="write a trained model as ONNX or OpenVINO, fp32, fp16 or int8 (needs the 'train' extra)",
        description="Writes a folder that `segment --model` takes. It is there only if it agrees with the "
        "run: on seeded phantoms, and on labelled scans after --fixtures.",
    )
    parser.add_argument("run", metavar="RUN|BUNDLE", help="folder written by `cafrnet train`, or a bundle")
    parser.add_argument("-o", "--output", required=True, metavar="OUT", help="folder, new or empty")
    parser.add_argument("--to", default="onnx", metavar="FORM", help="onnx (default) or openvino")
    parser.add_argument(
        "--precision", default="fp32", metavar="P", help="fp32 (default), fp16 (weights stored so) or int8"
    )
    parser.add_argument(
        "--calibrate", metavar="DIR", help="labelled scans for the ranges of int8 (default: phantoms)"
    )
    parser.add_argument(
        "--fixtures", metavar="DIR", help="labelled scans that the export is tried on as well"
    )
    parser.add_argument("--json", action="store_true", help="print the record")


def run(args: argparse.Namespace) -> int:
    """Export and report."""
    from ..learning.export.export import export

    record = export(
        args.run,
        args.output,
        to=args.to,
        precision=args.precision,
        calibrate=args.calibrate,
        fixtures=args.fixtures,
    )
    if args.json:
        print(json.dumps(record, indent=2))
        return 0
    if not args.quiet:
        for name, found in record["agreement"].items():
            print(f"{name}: {_sentence(found)}", file=sys.stderr)
    print(args.output)
    return 0


def _sentence(found: dict[str, Any]) -> str:
    truth = found["dice_against_truth"]
    low = found["lowest"]
    lowest = "nothing to compare" if low is None else f"Dice with the source {low:.4f} at least"
    if truth["source"] is None:
        return lowest
    return (
        f"{lowest}; Dice with the truth {100 * truth['source']:.2f} % before, "
        f"{100 * truth['export']:.2f} % after"
    )
