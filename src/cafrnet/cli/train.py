"""``cafrnet train``: a recipe and data in, a run folder out."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from ..errors import UsageError


def add_parser(subparsers: Any) -> None:
    """Add ``train`` to the command line."""
    parser = subparsers.add_parser(
        "train",
        help="train a recipe on labelled scans (needs the 'train' extra)",
        description="cafrnet train RECIPE [key=value...] data=DIR split=FILE -o RUN, or: train --resume RUN",
        epilog="Keys are those of the recipe, for example epochs=100 lr=3e-4 lafr=false clr=false "
        "clr.temperature=0.1 preprocessing.contrast=none model=monai.networks.nets.BasicUNetPlusPlus. "
        "data=, split= and fold= name the data; init=default, a bundle or a run names weights to start from; "
        f"--show prints the recipe that results. Recipes that ship: {', '.join(_shipped())}.",
    )
    parser.add_argument(
        "words", nargs="*", metavar="RECIPE key=value", help="recipe name or .yaml, and changes"
    )
    parser.add_argument("-o", "--output", metavar="RUN", help="run folder, new or empty")
    parser.add_argument("--resume", metavar="RUN", help="go on with an interrupted run")
    parser.add_argument("--show", action="store_true", help="print the recipe and stop")


def _shipped() -> list[str]:
    """Return the names of the recipes that ship; reading them takes the extra, --help does not."""
    folder = Path(__file__).parents[1] / "learning" / "recipes"
    return sorted(file.stem for file in folder.glob("*.yaml"))


def run(args: argparse.Namespace) -> int:
    """Train or resume."""
    places = {"data": "", "split": "", "fold": "", "init": ""}
    changes: list[str] = []
    names: list[str] = []
    for word in args.words:
        key, equals, value = word.partition("=")
        if word.endswith((".yaml", ".yml")) and Path(word).is_file():
            names.append(word)  # a path may have an = in it
        elif equals and key in places:
            places[key] = value
        elif equals:
            changes.append(word)
        else:
            names.append(word)
    if args.resume:
        if names or changes or args.output or places["split"] or places["fold"] or places["init"]:
            raise UsageError(
                "--resume takes recipe and split from the run; only data=DIR may stand beside it"
            )
        from ..learning.training import run as engine

        done = engine.resume(args.resume, data=places["data"] or None, progress=not args.quiet)
        if engine.is_first():
            print(done)
        return 0
    if len(names) != 1:
        raise UsageError(
            f"one recipe was expected, {len(names)} came: {' '.join(names) or 'none'}; "
            "changes are written key=value, without blanks"
        )
    from ..learning.recipes import load_recipe

    start = None
    if places["init"]:
        from ..learning.bundling.trained import read_trained

        start = read_trained(places["init"]).recipe
    recipe = load_recipe(names[0], changes, start=start)
    if args.show:
        import yaml

        print(yaml.safe_dump(recipe.model_dump(mode="json"), sort_keys=False), end="")
        return 0
    for key in ("data", "split"):
        if not places[key]:
            raise UsageError(f"{key}= is missing: cafrnet train {names[0]} data=DIR split=FILE -o RUN")
    if not args.output:
        raise UsageError("-o RUN is missing: where the run folder goes")
    fold = places["fold"]
    if fold and not fold.isdecimal():
        raise UsageError(f"fold={fold} came, a number from 0 was expected")
    from ..learning.training import run as engine

    done = engine.train(
        recipe,
        places["data"],
        places["split"],
        args.output,
        fold=int(fold) if fold else None,
        init=places["init"] or None,
        progress=not args.quiet,
    )
    if engine.is_first():
        print(done)
    return 0
