"""``card.yaml``: what a bundle says of itself, and the check that nothing of it is missing.

Plain Python: the runtime reads cards, and pydantic belongs to the extra ``train``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from ..errors import InputError, UsageError, nearest
from ..labels import TABLE
from .layout import read_yaml

FORMAT = 1
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
#: Names that mean something else.
RESERVED = ("default",)


@dataclass(frozen=True)
class Card:
    """A checked card.

    Attributes:
        raw: all of it, as plain values; the keys are those of :data:`KEYS`.
    """

    raw: Mapping[str, Any]

    @property
    def name(self) -> str:
        """Short name, by which ``--model`` finds an added bundle."""
        return str(self.raw["name"])

    @property
    def version(self) -> str:
        """Version of the bundle."""
        return str(self.raw["version"])

    @property
    def recipe(self) -> dict[str, Any]:
        """The recipe that it was trained with, network and arguments included."""
        return dict(self.raw["recipe"])

    @property
    def not_trained(self) -> tuple[str, ...]:
        """Names of the structures that it can never predict."""
        return tuple(self.raw["not_trained"])


def read_card(path: Path) -> Card:
    """Read ``card.yaml``.

    Raises:
        InputError: missing, not YAML, or what :func:`check_card` finds.
    """
    try:
        raw = read_yaml(path)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError(f"{path} can't be read as YAML ({error}); get the bundle again") from error
    return check_card(raw, str(path))


def check_card(raw: Any, source: str) -> Card:
    """Check plain values against :data:`KEYS`, all at once.

    Raises:
        InputError: the form of another version; else every missing or unknown key and every value that is
            not what it should be.
    """
    if not isinstance(raw, dict):
        raise InputError(f"{source}: a {type(raw).__name__} came, a table of keys and values was expected")
    if (form := raw.get("format", FORMAT)) != FORMAT:
        raise InputError(
            f"{source} has the form {_shown(form)}, this cafrnet reads form {FORMAT}; use the version that "
            f"made the bundle, cafrnet {_shown(raw.get('cafrnet', 'unknown'))}, or a bundle for this one"
        )
    wrong = [f"{key} is missing ({KEYS[key][1]})" for key in KEYS if key not in raw]
    wrong += [f"unknown key {key!r}{nearest(str(key), KEYS)}" for key in raw if key not in KEYS]
    for key, (check, wanted) in KEYS.items():
        if key in raw and not check(raw[key]):
            wrong.append(f"{key} should be {wanted}, {_shown(raw[key])} came")
    if wrong:
        raise InputError(f"{source}: " + "; ".join(wrong))
    return Card(raw)


def check_name(name: str) -> str:
    """Return a bundle's name.

    Raises:
        UsageError: it could not stand as a folder's name everywhere, or is taken.
    """
    if not _name(name):
        raise UsageError(
            f"bundle name {name!r} came; lower-case letters, digits, '.', '_' and '-' were expected, 64 at "
            f"most, and not {' or '.join(map(repr, RESERVED))}"
        )
    return name


def _name(value: Any) -> bool:
    return isinstance(value, str) and bool(_NAME.fullmatch(value)) and value not in RESERVED


def _text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _texts(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(map(_text, value))


def _number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _hash(value: Any) -> bool:
    return isinstance(value, str) and bool(re.fullmatch(r"[0-9a-f]{64}", value))


def _data(value: Any) -> bool:
    keys = ("name", "licence", "citation")
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(row, dict) and all(_text(row.get(k)) for k in keys) for row in value)
    )


def _split(value: Any) -> bool:
    return isinstance(value, dict) and _hash(value.get("hash"))


def _recipe(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and _text(value.get("model"))
        and isinstance(value.get("model_args", {}), dict)
    )


def _metric(row: Any) -> bool:
    """Whether a row has name, value, the interval around it, and where it comes from."""
    return (
        isinstance(row, dict)
        and all(_text(row.get(k)) for k in ("name", "data", "command"))
        and all(_number(row.get(k)) for k in ("value", "low", "high"))
        and row["low"] <= row["value"] <= row["high"]
    )


def _metrics(value: Any) -> bool:
    return isinstance(value, list) and all(map(_metric, value))


def _structures(value: Any) -> bool:
    return isinstance(value, list) and all(name in TABLE.names for name in value)


def _weights(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and _text(value.get("storage"))
        and type(value.get("parameters")) is int
        and _hash(value.get("source_sha256"))
        and isinstance(value.get("left_out"), list)
        and isinstance(value.get("agreement"), dict)
    )


#: Key -> its check, and in words what is expected.
KEYS: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    "format": (lambda v: v == FORMAT, f"{FORMAT}, the form of this card"),
    "name": (_name, "a short name: lower-case letters, digits, '.', '_', '-'"),
    "version": (_text, "a version in quotation marks"),
    "title": (_text, "one line that says what it is"),
    "intended_use": (_text, "a text: on what scans, for what"),
    "limits": (_texts, "a list of sentences: what it can't do and was never shown"),
    "licence": (_text, "the licence of the weights"),
    "data": (_data, "a list with name, licence and citation of each dataset that it learnt from"),
    "split": (_split, "a table with the split's hash (64 hexadecimal digits)"),
    "recipe": (_recipe, "the recipe, with model and model_args"),
    "metrics": (
        _metrics,
        "a list with name, value, low and high (the interval), data and command of each; [] if nothing "
        "was measured",
    ),
    "not_trained": (_structures, "a list of the structures that it never predicts, as in the label table"),
    "label_table": (lambda v: type(v) is int, "the version of the label table"),
    "weights": (_weights, "a table with storage, parameters, source_sha256, left_out and agreement"),
    "cafrnet": (_text, "the version of cafrnet that made it"),
}


def _shown(value: Any) -> str:
    text = " ".join(repr(value).split())
    return text if len(text) <= 80 else f"{text[:77]}..."
