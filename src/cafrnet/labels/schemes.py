"""What the values of a label map stand for: sets of ids, and the known schemes of other tools.

A value may stand for more than one id. SpineMRI's 2 is the whole vertebra L5: the body (2) together with its
posterior elements (21). Its 0 says nothing about the spinal canal (20), which was visible but never marked.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib import resources

import numpy as np
import yaml

from ..errors import InputError, UsageError, nearest
from ..words import ranges
from .table import TABLE, UNKNOWN

#: Label maps hold at most 16-bit values.
LARGEST_VALUE = 65535


@dataclass(frozen=True)
class ValueSets:
    """The set of ids that each value of a label map stands for.

    The first id of a set is its *principal*: the id that the value becomes where one id is needed.

    Args:
        values: value -> ids. ``(255,)`` means unknown. 255 itself is always unknown.

    Raises:
        UsageError: a value or id is not a whole number from 0 to 65535, a set is empty, or an id is not in
            the label table.
    """

    values: Mapping[int, tuple[int, ...]]

    def __post_init__(self) -> None:
        known = {label.id for label in TABLE} | {UNKNOWN}
        clean: dict[int, tuple[int, ...]] = {}
        for value, ids in self.values.items():
            ids = tuple(ids) if isinstance(ids, (list, tuple)) else (ids,)
            if type(value) is not int or not 0 <= value <= LARGEST_VALUE or not ids:
                raise UsageError(
                    f"label value {value!r}: {ids!r} came, a whole number from 0 to {LARGEST_VALUE} "
                    "and a list of ids were expected"
                )
            if any(type(i) is not int for i in ids):
                raise UsageError(f"label value {value}: {ids!r} came, a list of ids was expected")
            if wrong := sorted(set(ids) - known):
                raise UsageError(
                    f"label value {value} stands for ids {wrong}, which are not in the label table "
                    f"(0 to {len(TABLE) - 1}, or {UNKNOWN} for unknown)"
                )
            clean[value] = ids
        clean.setdefault(UNKNOWN, (UNKNOWN,))
        object.__setattr__(self, "values", clean)

    @classmethod
    def identity(cls) -> ValueSets:
        """Return cafrnet's own values: each id stands for itself."""
        return cls({label.id: (label.id,) for label in TABLE})

    def check(self, array: np.ndarray, what: str) -> None:
        """Raise InputError if ``array`` holds a value that is not in the table of values.

        ``what`` names the array in the message, usually the file.
        """
        if wrong := [v for v in _present(array, what) if v not in self.values]:
            shown = ", ".join(map(str, wrong[:10])) + (
                f" and {len(wrong) - 10} more" if len(wrong) > 10 else ""
            )
            raise InputError(
                f"{what} holds the label values [{shown}], which its label scheme does not know; "
                f"known are {ranges(self.values)}. Correct the file, or say what its values are: "
                "--labels SCHEME for a prediction, dataset.yaml for the truths of a dataset"
            )

    def principal(self, array: np.ndarray, what: str = "the label map") -> np.ndarray:
        """Translate values to principal ids: same shape, uint8, 255 where unknown.

        Raises:
            InputError: a value that is not in the table of values.
        """
        self.check(array, what)
        table = np.full(max(self.values) + 1, UNKNOWN, np.uint8)
        for value, ids in self.values.items():
            table[value] = ids[0]
        array = np.asarray(array)
        return table[array.astype(np.uint8) if array.dtype.kind == "b" else array]

    def within(self, n_classes: int) -> ValueSets:
        """Restrict the sets to a model with ids 0 to ``n_classes - 1``.

        Ids that the model does not have leave their sets; a set that loses all of them becomes background,
        so 20 and 21 are background for the paper's 20 classes. Decided beyond the paper: a whole vertebra
        {2, 21} becomes {2} there, not {2, 0}, which would leave it undecided whether a vertebra is
        background.
        """
        restricted = {
            value: ids if ids == (UNKNOWN,) else tuple(i for i in ids if i < n_classes) or (0,)
            for value, ids in self.values.items()
        }
        return ValueSets(restricted)

    @cached_property
    def whole_vertebrae(self) -> bool:
        """Whether vertebra values cover the posterior elements as well."""
        bodies, posterior = set(TABLE.of_kind("body")), set(TABLE.of_kind("posterior"))
        return any(ids[0] in bodies and posterior & set(ids) for ids in self.values.values())


@dataclass(frozen=True)
class Scheme:
    """A named way of numbering structures.

    Attributes:
        name: short name, used by ``--labels``.
        title: one line that says what it is.
        part: ``"body"`` or ``"whole"``: what its vertebra values cover.
        sets: what each value stands for.
        write: id -> value, where the way back is not the lowest value with that principal id.
    """

    name: str
    title: str
    part: str
    sets: ValueSets
    write: Mapping[int, int]

    @cached_property
    def value_of(self) -> dict[int, int]:
        """Id -> value of this scheme, for the ids that the scheme can express.

        Unknown stays 255: that many values of a scheme have no id here does not make unknown one of them.
        """
        back: dict[int, int] = {UNKNOWN: UNKNOWN}
        for value in sorted(self.sets.values):
            back.setdefault(self.sets.values[value][0], value)
        return {**back, **self.write}

    def encode(self, ids: np.ndarray) -> tuple[np.ndarray, tuple[int, ...]]:
        """Translate a map of cafrnet's ids into this scheme.

        Returns:
            The translated map (uint8, 0 where the scheme has no value), and the ids that were lost.
        """
        table = np.zeros(256, np.uint8)
        for identity, value in self.value_of.items():
            table[identity] = value
        lost = tuple(int(i) for i in np.unique(ids) if int(i) not in self.value_of)
        return table[ids], lost


def _present(array: np.ndarray, what: str) -> list[int]:
    """Return the values of a label map, ascending. Counting is ten times faster than sorting.

    Raises:
        InputError: not whole numbers.
    """
    array = np.asarray(array)
    if array.dtype.kind not in "iub":
        raise InputError(f"{what} holds numbers of type {array.dtype}; labels are whole numbers (integers)")
    if array.size and (array.min() < 0 or array.max() > LARGEST_VALUE):
        return [int(v) for v in np.unique(array)]
    return [int(v) for v in np.flatnonzero(np.bincount(array.ravel()))]


def _load() -> dict[str, Scheme]:
    raw = yaml.safe_load(resources.files(__package__).joinpath("schemes.yaml").read_text())
    return {
        name: Scheme(name, entry["title"], entry["part"], ValueSets(entry["values"]), entry.get("write", {}))
        for name, entry in raw["schemes"].items()
    }


#: All schemes that ship, by name.
SCHEMES = _load()


def get_scheme(name: str) -> Scheme:
    """Return a scheme by name.

    Raises:
        UsageError: unknown name; the nearest is named.
    """
    try:
        return SCHEMES[name]
    except KeyError:
        raise UsageError(f"no label scheme {name!r}{nearest(name, SCHEMES)}") from None
