"""Options of `segment` for many scans: how many at once, parts for job arrays, other machines."""

from __future__ import annotations

import argparse
from typing import Any


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
    ray.add_argument("--ray-cpus", type=float, default=1.0, metavar="X", help="cores of each (default: 1)")
    ray.add_argument("--ray-gpus", type=float, default=0.0, metavar="X", help="GPUs of each (default: 0)")


def ray_options(args: argparse.Namespace) -> Any:
    """Return the options of Ray, or None where it was not asked for.

    Raises:
        UsageError: numbers that make no sense.
    """
    if not (args.ray or args.ray_address):
        return None
    from ..inference.bulk.ray_data import RayOptions

    return RayOptions(
        address=args.ray_address, actors=args.ray_actors, cpus=args.ray_cpus, gpus=args.ray_gpus
    )
