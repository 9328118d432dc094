"""``cafrnet models``: the networks that can be named, with their cost."""

from __future__ import annotations

import argparse
import json
from typing import Any


def add_parser(subparsers: Any) -> None:
    """Add ``models`` to the command line."""
    parser = subparsers.add_parser("models", help="list networks with parameters and GMACs (needs 'train')")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    """Count and print."""
    from ..learning.models import list_models

    rows = list_models()
    if args.json:
        print(json.dumps(rows, indent=2))
        return 0
    print(f"{'name':<20}{'parameters':>14}{'GMACs':>10}   at 256 x 256 x 1, 20 outputs")
    for row in rows:
        print(f"{row['name']:<20}{row['params']:>14,}{row['gmacs']:>10.3f}   {row['source']}")
    return 0
