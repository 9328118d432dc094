"""What of a row's training is its own: a recipe that asks for another protocol is no equal comparison."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..learning.recipes import Recipe
from .job import essence
from .rows import REFERENCE, TABLE4, Row, table3

#: What a row is about, and what the budget or ``pretrain`` alone reads: no difference of the training.
NOT_COMPARED = ("model", "model_args", "pretraining")


def own_training(row: Row, recipes: Mapping[str, Recipe]) -> tuple[str, ...]:
    """Return what of a row's training is not that of the protocol, in the words of recipes.

    The recipe of another file is held against the reference's under the same budget and changes, without the
    network and without the switch of CLR. A row that changes the reference itself (Table 4, the sensitivity
    study) says so by its name.

    Args:
        row: to look at.
        recipes: row -> recipe of a reproduction; with none of the protocol's own rows nothing is compared.
    """
    own_rows = [REFERENCE, *(other.name for other in (*table3("both"), *TABLE4))]
    protocol = next((recipes[name] for name in own_rows if name in recipes), None)
    if protocol is None or row.recipe == REFERENCE:
        return ()
    return differences(recipes[row.name], protocol)


def differences(one: Recipe, other: Recipe) -> tuple[str, ...]:
    """Return the sections in which two recipes differ, and of the schedule each key."""
    a, b = essence(one), essence(other)
    if not (a["clr"]["enabled"] and b["clr"]["enabled"]):
        for raw in (a, b):
            raw.pop("clr")
            raw["loss"].pop("clr")
    found = [key for key in a if key != "training" and key not in NOT_COMPARED and a.get(key) != b.get(key)]
    found += _keys(a["training"], b["training"])
    return tuple("classes" if key == "num_classes" else key.replace("_", " ") for key in found)


def _keys(a: Mapping[str, Any], b: Mapping[str, Any]) -> list[str]:
    return [key for key in a if a[key] != b[key]]
