"""A run's card: what the run knows of itself, with what its maker adds."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from ... import __version__
from ...bundles.card import FORMAT, KEYS, check_card, check_name
from ...datasets import Split, open_dataset
from ...errors import CAFRNetError, InputError, UsageError, nearest
from ...labels import TABLE
from ..recipes import Recipe
from .origin import KEYS as DATA_KEYS
from .origin import Row, folders, inherited, merged
from .trained import read_config, run_recipe

#: What is true of every model of cafrnet.
ALWAYS = (
    "Not a medical device: no output is meant for diagnosis, treatment or any other clinical decision.",
    "Vertebrae L5 to T9 are vertebral bodies, not whole vertebrae; all posterior elements share one label.",
)
#: What only the run and the program can say.
FIXED = ("format", "split", "recipe", "not_trained", "label_table", "weights", "cafrnet")


def read_additions(path: Path) -> dict[str, Any]:
    """Read what the maker of a bundle adds to its card.

    Raises:
        UsageError: not a readable table, or a key that the card does not have or that is not to be added.
    """
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UsageError(f"{path} can't be read as YAML: {error}") from error
    if not isinstance(raw, dict):
        raise UsageError(f"{path}: a {type(raw).__name__} came, a table of keys and values was expected")
    free = [key for key in KEYS if key not in FIXED]
    for key in raw:
        if key in FIXED:
            raise UsageError(f"{path}: {key} is taken from the run and can't be added")
        if key not in free:
            raise UsageError(f"{path}: unknown key {key!r}{nearest(str(key), free)}")
    return raw


def describe_run(
    run: Path,
    additions: Mapping[str, Any],
    *,
    name: str | None,
    not_trained: list[str],
    weights: dict[str, Any],
) -> dict[str, Any]:
    """Return the card of a run, checked.

    Args:
        run: its folder.
        additions: see :func:`read_additions`. ``data`` may be left out while the run's dataset states its own
            licence and citation; what the weights that the run started from had learnt from comes on top.
            ``limits`` come on top of what is always true; ``metrics`` may be left out if nothing was
            measured.
        name: goes before the one in the additions.
        not_trained: structures that it never predicts.
        weights: see the card's key.

    Raises:
        UsageError: a name that can't be one, data without licence and citation, or anything else that a card
            needs is missing.
    """
    recipe, start = run_recipe(run), inherited(read_config(run))
    card = {
        "format": FORMAT,
        "name": check_name(str(name or additions.get("name") or "")),
        "version": additions.get("version", "1"),
        "title": additions.get("title", ""),
        "intended_use": additions.get("intended_use", ""),
        "limits": _limits(additions, not_trained),
        "licence": additions.get("licence", ""),
        "data": _data(run, recipe, additions, start),
        "split": _split(run),
        "recipe": without_paths(recipe.model_dump(mode="json")),
        "metrics": additions.get("metrics", []),
        "not_trained": not_trained,
        "label_table": TABLE.version,
        "weights": weights | _started_from(start),
        "cafrnet": __version__,
    }
    try:
        check_card(card, "the card")
    except InputError as error:
        raise UsageError(f"{error}; add it with --card FILE") from error
    return card


def _limits(additions: Mapping[str, Any], not_trained: list[str]) -> Any:
    """Return the limits; what came, where that is no list: the check of the card says so."""
    own = additions.get("limits", [])
    if not isinstance(own, list):
        return own
    never = [f"Never predicted, since no training case marks them: {', '.join(not_trained)}."]
    return [*ALWAYS, *(never if not_trained else []), *own]


def _data(run: Path, recipe: Recipe, additions: Mapping[str, Any], start: Mapping[str, Any] | None) -> Any:
    """Return name, licence and citation of all that the weights learnt from.

    A row of the maker's goes before one of the same name that the starting weights bring. What came, where
    that is no list of tables: the check of the card says so.
    """
    own = additions.get("data") or _own_data(run, recipe)
    if not isinstance(own, list) or not all(isinstance(row, dict) for row in own):
        return own
    rows = merged(own, start["data"] if start else [])
    if silent := [row["name"] for row in rows if row not in own and not (row["licence"] and row["citation"])]:
        raise UsageError(
            f"the weights that the run started from learnt from {', '.join(map(repr, silent))}, of which "
            "nobody stated licence and citation; add a row of that name to the key data of the card's "
            "additions"
        )
    return rows


def _own_data(run: Path, recipe: Recipe) -> list[Row]:
    """Return the rows of the run's datasets, as their own ``dataset.yaml`` has them."""
    rows = []
    for folder in folders(read_config(run), recipe):
        try:
            dataset = open_dataset(folder)
        except CAFRNetError as error:
            raise UsageError(f"{error}; or add the key data to the card's additions") from error
        if not (dataset.licence and dataset.citation):
            raise UsageError(
                f"{dataset.name} states no licence or no citation in its dataset.yaml; write them there, or "
                "add the key data (name, licence, citation) to the card's additions"
            )
        rows.append({key: getattr(dataset, key) for key in DATA_KEYS})
    return rows


def _started_from(start: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return what the card says of the weights that training began with: their hash, and of which bundle."""
    known = ("bundle", "sha256")
    return {"started_from": {key: start[key] for key in known if key in start}} if start else {}


def _split(run: Path) -> dict[str, Any]:
    """Return the hash of the run's split, which fold it was, and how many cases each part had."""
    split, fold = Split.load(run / "split.json"), read_config(run).get("fold")
    sizes = {part: len(ids) for part, ids in split.parts(fold).items()}
    return {"hash": split.hash, "dataset": split.dataset, "seed": split.seed, "fold": fold, "cases": sizes}


def without_paths(value: Any) -> Any:
    """Return plain values in which a path of this machine is only its last part."""
    if isinstance(value, dict):
        return {key: without_paths(v) for key, v in value.items()}
    if isinstance(value, list):
        return [without_paths(v) for v in value]
    if isinstance(value, str) and (Path(value).is_absolute() or "/" in value) and Path(value).exists():
        return Path(value).name
    return value
