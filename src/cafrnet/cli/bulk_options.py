"""Options of `segment` for many scans: how many at once, parts for job arrays, other machines."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..inference.bulk.ray_data import RayOptions


def add_bulk_options(parser: argparse.ArgumentParser) -> None:
    """Add them in groups of their own."""
    many = parser.add_argument_group("many scans")
    many.add_argument(
        "--at-once",
        type=int,
        metavar="N",
        help="most scans in memory (default: by cores; 1: one after the other)",
    )
    many.add_argument(
        "--num-parts", type=int, metavar="N", help="split the scans into N parts, for job arrays"
    )
    many.add_argument("--part", type=int, metavar="K", help="do part K only, from 0 to N - 1")
    ray = parser.add_argument_group("many machines (extra 'ray')")
    ray.add_argument("--ray", action="store_true", help="share the scans out with Ray Data on this machine")
    ray.add_argument(
        "--ray-address", metavar="auto|HOST", help="use a running cluster; it must see the same files"
    )
    ray.add_argument(
        "--ray-actors", type=int, metavar="N", help="models loaded at once (default: all that fit)"
    )
    ray.add_argument("--ray-cpus", type=float, metavar="X", help="cores of each (default: 1)")
    ray.add_argument("--ray-gpus", type=float, metavar="X", help="GPUs of each (default: 0)")


def ray_options(args: argparse.Namespace) -> RayOptions | None:
    """Return the options of Ray, or None where it was not asked for.

    Raises:
        UsageError: numbers that make no sense, or options of Ray without Ray.
    """
    from ..errors import UsageError

    given = {name: getattr(args, f"ray_{name}") for name in ("actors", "cpus", "gpus")}
    given = {name: value for name, value in given.items() if value is not None}
    if args.ray or args.ray_address:
        from ..inference.bulk.ray_data import RayOptions

        return RayOptions(address=args.ray_address, **given)
    if given:
        raise UsageError(f"--ray-{next(iter(given))} came without --ray or --ray-address HOST")
    return None
