"""From a file and ``key=value`` words to a checked recipe."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import resources
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from ...errors import UsageError, closest, nearest
from .schema import Recipe


def available() -> dict[str, str]:
    """Return the recipes that ship: name -> text of the file."""
    folder = resources.files(__package__)
    return {
        f.name.removesuffix(".yaml"): f.read_text(encoding="utf-8")
        for f in sorted(folder.iterdir(), key=lambda f: f.name)
        if f.name.endswith(".yaml")
    }


#: What a recipe that ``extends: init`` takes from the weights that it starts from: all but the schedule.
INHERITED = ("model", "num_classes", "model_args", "preprocessing", "augmentation", "sampling", "loss", "clr")


def load_recipe(name: str, changes: Iterable[str] = (), *, start: Recipe | None = None) -> Recipe:
    """Read a recipe that ships, or a file, and apply changes.

    Args:
        name: ``"cafr_net"`` or the path of a YAML file. Its key ``extends`` may name another recipe, shipped
            or a path, whose values hold where the file says nothing; another ``model`` drops that recipe's
            ``model_args`` here, too.
        changes: words like ``training.lr=3e-4``. A key may be shortened to its last part where only one
            section has it (``lr=3e-4``); ``clr=false`` means ``clr.enabled=false``. Naming another ``model``
            drops the recipe's own ``model_args``, which belong to the network that it named.
        start: recipe of the weights that training starts from; ``extends: init`` takes network, preprocessing
            and augmentation from it.

    Raises:
        UsageError: no such recipe, not YAML, an unknown key (the nearest is named), a value out of range,
            keys that contradict each other, or recipes that extend each other in a circle.
    """
    raw = _read(name, start=start)
    recipes_own = raw.get("model", "cafr_net")
    for word in sorted(changes, key=lambda w: not w.startswith("model=")):  # the network, then its arguments
        _set(raw, word)
        if word.startswith("model=") and raw["model"] != recipes_own:
            raw["model_args"] = {}
    return check(raw, name)


def _read(name: str, children: tuple[str, ...] = (), start: Recipe | None = None) -> dict[str, Any]:
    """Read one recipe as plain values, on top of the one that it extends."""
    if name in children:
        raise UsageError(f"recipes extend each other in a circle: {' -> '.join([*children, name])}")
    shipped = available()
    if Path(name).suffix in (".yaml", ".yml"):
        try:
            text = Path(name).read_text(encoding="utf-8")
        except OSError as error:
            raise UsageError(f"recipe {name} could not be read: {error.strerror}") from error
    elif name in shipped:
        text = shipped[name]
    else:
        hint = closest(name, shipped)
        raise UsageError(
            f"no recipe {name!r}{hint}{'' if hint else ';'} a .yaml file is given by its path; those that "
            f"ship are {', '.join(shipped)}"
        )
    try:
        raw = yaml.safe_load(text) or {}
    except yaml.YAMLError as error:
        raise UsageError(f"recipe {name} is not valid YAML: {error}") from error
    if not isinstance(raw, dict):
        raise UsageError(f"recipe {name} should be a table of keys and values")
    if "extends" not in raw:
        return raw
    parent = raw.pop("extends")
    if not isinstance(parent, str):
        raise UsageError(f"recipe {name}: extends is {parent!r}; the name of one recipe was expected")
    if parent == "init":
        return _merged(_inherited(name, start), raw)
    if Path(parent).suffix in (".yaml", ".yml"):
        parent = str((Path(name).parent / parent).resolve())
    base = _read(parent, (*children, name), start)
    if raw.get("model", base.get("model")) != base.get("model"):
        base.pop("model_args", None)
    return _merged(base, raw)


def _inherited(name: str, start: Recipe | None) -> dict[str, Any]:
    if start is None:
        raise UsageError(
            f"recipe {name} continues from trained weights; add init=default, or init= with a bundle or a run"
        )
    return start.model_dump(mode="json", include=set(INHERITED))


def _merged(base: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    """Lay a recipe's own values over another's; tables key by key, lists as a whole."""
    result = dict(base)
    for key, value in own.items():
        below = result.get(key)
        both = isinstance(value, dict) and isinstance(below, dict)
        result[key] = _merged(below, value) if both else value  # type: ignore[arg-type]
    return result


def check(raw: dict[str, Any], source: str) -> Recipe:
    """Turn plain values into a recipe.

    Raises:
        UsageError: what is wrong, key by key.
    """
    if not isinstance(raw, dict):
        raise UsageError(f"recipe {source} should be a table of keys and values")
    try:
        return Recipe.model_validate(raw)
    except ValidationError as error:
        wrong = []
        for e in error.errors():
            key = ".".join(str(k) for k in e["loc"])
            if e["type"] == "extra_forbidden":
                wrong.append(f"unknown key {key!r}{nearest(key, [*_keys(), 'extends'])}")
            else:
                message = e["msg"].removeprefix("Value error, ")
                wrong.append(f"{key}: {message} ({e['input']!r} came)" if key else message)
        raise UsageError(f"recipe {source}: " + "; ".join(wrong)) from error


def _keys() -> list[str]:
    keys = []
    for name, field in Recipe.model_fields.items():
        section = field.annotation
        if isinstance(section, type) and issubclass(section, BaseModel):
            keys += [f"{name}.{key}" for key in section.model_fields]
        else:
            keys.append(name)
    return keys


#: Arguments of the paper's network that may be given without ``model_args.``.
_MODEL_SHORT = ("lafr", "clr_source")


def _set(raw: dict[str, Any], word: str) -> None:
    key, equals, text = word.partition("=")
    if not equals:
        raise UsageError(f"{word!r} came, key=value was expected")
    value = yaml.safe_load(text)
    if isinstance(value, str):  # YAML 1.1 reads 1e-4 as a word
        try:
            value = float(value)
        except ValueError:
            pass
    known = _keys()
    if key == "clr" and isinstance(value, bool):
        key = "clr.enabled"
    elif key in _MODEL_SHORT:
        key = f"model_args.{key}"
    elif key not in known and not key.startswith("model_args."):
        matches = [k for k in known if k.rpartition(".")[2] == key]
        if len(matches) > 1:
            raise UsageError(f"key {key!r} could be {' or '.join(matches)}; give it in full")
        if not matches:
            short = [k.rpartition(".")[2] for k in known]
            hint = closest(key, [*known, *short, *_MODEL_SHORT, "clr"])
            everything = (
                f"; known are {', '.join(known)}, each by its last part too where only one section has it, "
                f"and {', '.join(_MODEL_SHORT)} and clr"
            )
            raise UsageError(f"unknown key {key!r}{hint or everything}")
        key = matches[0]
    *path, last = key.split(".")
    table = raw
    for part in path:
        table = table.setdefault(part, {})
    table[last] = value
