"""``cafrnet bundle``: make, list, check and add trained models with their cards."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..bundles import Bundle


def add_parser(subparsers: Any) -> None:
    """Add ``bundle`` and its subcommands to the command line."""
    parser = subparsers.add_parser("bundle", help="make, list, check or add trained models with their cards")
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)

    make = verbs.add_parser("make", help="turn a finished run into a bundle (needs the 'train' extra)")
    make.add_argument("run", metavar="RUN", help="folder that `cafrnet train` wrote")
    make.add_argument("-o", "--output", metavar="DIR", required=True, help="the bundle, a new folder")
    make.add_argument("--card", metavar="FILE", required=True, help="YAML: what the card says besides")
    make.add_argument("--name", metavar="NAME", help="instead of the name in FILE")
    make.add_argument("--most-mb", type=float, metavar="MB", help="refuse a larger bundle (default: 40)")
    make.add_argument("--fixtures", metavar="DIR", help="labelled scans to agree on, besides phantoms")
    make.set_defaults(bundle_run=_make, most_mb=40.0)

    listing = verbs.add_parser("list", help="the default bundle, and those that were added")
    listing.add_argument("--json", action="store_true", help="print them as JSON, cards included")
    listing.set_defaults(bundle_run=_list)

    check = verbs.add_parser("check", help="compare every file with its hash; read the card; load the model")
    check.add_argument("bundle", metavar="PATH|NAME", help="a bundle's folder, or its name in `bundle list`")
    check.add_argument("--json", action="store_true", help="print what was found as JSON")
    check.set_defaults(bundle_run=_check)

    add = verbs.add_parser("add", help="install a bundle for this user: a folder, zip, tar.gz or address")
    add.add_argument(
        "source", metavar="PATH|URL", help="folder, zip or tar.gz, or an http(s) address of these"
    )
    add.add_argument(
        "--sha256",
        metavar="HASH",
        required=True,
        help="of the archive, as its maker states it; of SHA256SUMS for a folder",
    )
    add.add_argument("--overwrite", action="store_true", help="replace another bundle of this name")
    add.set_defaults(bundle_run=_add)


def run(args: argparse.Namespace) -> int:
    """Run the chosen subcommand and return the exit code."""
    return int(args.bundle_run(args))


def _make(args: argparse.Namespace) -> int:
    from ..bundles.layout import SUMS
    from ..errors import UsageError

    if not 0 < args.most_mb < float("inf"):
        raise UsageError(f"--most-mb {args.most_mb:g} came, a number above 0 was expected")
    from ..learning.bundling.describe import read_additions
    from ..learning.bundling.make import make_bundle

    made = make_bundle(
        args.run,
        args.output,
        read_additions(Path(args.card)),
        name=args.name,
        most_bytes=int(args.most_mb * 1e6),
        fixtures=args.fixtures,
    )
    for where, found in made.card.raw["weights"]["agreement"].items():
        if found["lowest"] is not None:
            print(f"agrees with {args.run} on {where}: Dice {found['lowest']:.4f} or more", file=sys.stderr)
    print(f"SHA-256 of {SUMS}, for `bundle add`: {made.sha256}", file=sys.stderr)
    print(made.path)
    return 0


def _list(args: argparse.Namespace) -> int:
    from ..bundles import installed, open_bundle
    from ..errors import CAFRNetError

    rows: list[dict[str, Any]] = []
    for name, folder in installed().items():
        row: dict[str, Any] = {"name": name, "path": str(folder)}
        try:
            bundle = open_bundle(folder)
        except CAFRNetError as error:
            row |= {"state": "damaged", "reason": str(error)}
        else:
            row |= {"state": "whole", "sha256": bundle.sha256, "card": dict(bundle.card.raw)}
        rows.append(row)
    if args.json:
        print(json.dumps({"bundles": rows}, indent=2))
    elif not rows:
        print("no bundle: none ships with this version, and none was added", file=sys.stderr)
    for row in () if args.json else rows:
        about = (
            f"{row['card']['version']}  {row['card']['title']}"
            if "card" in row
            else f"DAMAGED: {row['reason']}"
        )
        own = row.get("card", {}).get("name", row["name"])
        named = row["name"] if own == row["name"] else f"{row['name']} ({own})"
        print(f"{named}  {about}")
    return 0


def _check(args: argparse.Namespace) -> int:
    from ..bundles import find, open_bundle, problems
    from ..bundles.layout import is_bundle
    from ..errors import CAFRNetError, UsageError

    folder = find(args.bundle)
    if not is_bundle(folder):
        raise UsageError(f"{folder} is no bundle: it has neither a card nor hashes; `bundle make` makes one")
    found = problems(folder)
    if not found:
        found = _loading(folder)
    if args.json:
        print(json.dumps({"path": str(folder), "ok": not found, "problems": found}, indent=2))
    elif not found:
        print(_summary(open_bundle(folder)))
    if found and not args.json:
        raise CAFRNetError(f"{folder} is damaged: " + "; ".join(found))
    return 1 if found else 0


def _loading(folder: Path) -> list[str]:
    from ..bundles.label_file import labels_differ
    from ..bundles.layout import LABELS
    from ..errors import CAFRNetError
    from ..inference import load_model

    try:
        model = load_model(folder)
    except CAFRNetError as error:
        return [str(error)]
    found = []
    stated = set(model.bundle.card.not_trained) if model.bundle else set()
    if stated != set(model.not_trained):
        found.append(
            f"its card says that {sorted(stated)} were not trained, the model {sorted(model.not_trained)}"
        )
    if labels_differ(folder / LABELS, model.num_classes, model.not_trained):
        found.append(
            f"its {LABELS} lists other outputs, or other trained ones, than the {model.num_classes} of its "
            "model"
        )
    return found


def _summary(bundle: Bundle) -> str:
    """Say in a few lines what the card says."""
    card = bundle.card.raw
    lines = [
        f"{bundle.name} {bundle.card.version}: {card['title']}",
        f"all files as hashed; SHA256SUMS has {bundle.sha256}",
        f"for: {card['intended_use']}",
        *(f"limit: {text}" for text in card["limits"]),
        *(f"data: {row['name']}, {row['licence']}" for row in card["data"]),
        *(
            f"measured: {m['name']} {m['value']:g} ({m['low']:g} to {m['high']:g}) on {m['data']}"
            for m in card["metrics"]
        ),
    ]
    return "\n".join([*lines, *([] if card["metrics"] else ["measured: nothing"])])


def _add(args: argparse.Namespace) -> int:
    from ..bundles import add_bundle
    from ..inference import load_model

    def progress(name: str, done: int, total: int) -> None:
        if sys.stderr.isatty() and not args.quiet:
            end = "\n" if done == total else ""
            text = f"{name}: {done / 2**20:.1f} of {total / 2**20:.1f} MiB"
            print(f"\r{text}\x1b[K", end=end, file=sys.stderr, flush=True)

    added = add_bundle(
        args.source, args.sha256, overwrite=args.overwrite, progress=progress, try_out=load_model
    )
    print(f"{added.name} {added.card.version}: use it with --model {added.name}", file=sys.stderr)
    print(added.path)
    return 0
