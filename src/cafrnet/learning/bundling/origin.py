"""What a run's weights learnt from, the weights that it started from included: licences stay with weights."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ...bundles import find, open_bundle
from ...bundles.layout import is_bundle
from ...datasets import open_dataset
from ...errors import CAFRNetError
from ..recipes import Recipe
from .trained import Trained, read_config, run_recipe, same_trained

#: What the card of a bundle says of each dataset.
KEYS = ("name", "licence", "citation")
#: The row of what `cafrnet pretrain` saw: scans from anywhere, of which it knows no licence.
PRETRAINING = {"name": "unlabelled scans of the pretraining", "licence": "", "citation": ""}
Row = dict[str, Any]


def origin(start: Trained) -> dict[str, Any]:
    """Return what a new run's ``config.yaml`` says of the weights that it starts from.

    The data that they learnt from are written down now: later the bundle may have been replaced.
    """
    folder = find(start.source)
    if not is_bundle(folder):
        return {**start.record(), "data": learnt_from(folder)}
    bundle = open_bundle(folder)
    rows = [dict(row) for row in bundle.card.raw["data"]]
    return {**start.record(), "bundle": f"{bundle.name} {bundle.card.version}", "data": rows}


def inherited(config: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the same of a finished run, from its ``config.yaml``; None for a run that started from chance.

    Raises:
        UsageError, InputError: a run of a version that did not write the data down, and the weights that it
            started from are no longer there, or are others now.
    """
    init = config.get("init")
    return init if not init or "data" in init else origin(same_trained(init))


def learnt_from(run: Path) -> list[Row]:
    """Return name, licence and citation of all that a run's weights learnt from, as far as they are stated.

    What is not stated is an empty text, which no card accepts: who makes a bundle is asked for it then.
    """
    config = read_config(run)
    if "pretrained_on" in config:
        return [dict(PRETRAINING)]
    own = [_stated(folder) for folder in folders(config, run_recipe(run))]
    return merged(own, (inherited(config) or {}).get("data", []))


def folders(config: Mapping[str, Any], recipe: Recipe) -> list[str]:
    """Return the folders of a run's dataset and of the one that is mixed in."""
    both = (config.get("data"), recipe.mix.data if recipe.mix.share else "")
    return [str(folder) for folder in both if folder]


def merged(*groups: Iterable[Row]) -> list[Row]:
    """Return all rows in their order, each name once: the first that has it counts."""
    found: dict[str, Row] = {}
    for row in (row for group in groups for row in group):
        found.setdefault(str(row.get("name")), row)
    return list(found.values())


def _stated(folder: str) -> Row:
    try:
        dataset = open_dataset(folder)
    except CAFRNetError:
        return {"name": Path(folder).name, "licence": "", "citation": ""}
    return {key: getattr(dataset, key) for key in KEYS}
