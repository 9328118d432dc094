"""Truth as the learning wing sees it: one small code per pixel, each standing for a set of classes.

Code 0 is certain background (what lies outside the image). The other codes are the different sets that the
datasets in use know. One table for all of them lets datasets with different conventions share a batch.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from ..labels import UNKNOWN, ValueSets


@dataclass(frozen=True)
class TruthCodes:
    """The sets of classes that codes stand for, for a model with ``num_classes`` outputs.

    Attributes:
        sets: code -> classes, the principal class first; every class for "unknown". ``sets[0] == (0,)``.
        num_classes: outputs of the model.
    """

    sets: tuple[tuple[int, ...], ...]
    num_classes: int

    @classmethod
    def of(cls, tables: Iterable[ValueSets], num_classes: int) -> TruthCodes:
        """Collect the sets of several datasets."""
        found: dict[tuple[int, ...], None] = {(0,): None}
        for table in tables:
            for ids in table.within(num_classes).values.values():
                found.setdefault(_classes(ids, num_classes))
        return cls(tuple(found), num_classes)

    def encode(self, truth: np.ndarray, table: ValueSets) -> np.ndarray:
        """Turn a dataset's values into codes: same shape, uint8."""
        values = table.within(self.num_classes).values
        lookup = np.zeros(max(values) + 1, np.uint8)
        for value, ids in values.items():
            lookup[value] = self.sets.index(_classes(ids, self.num_classes))
        return lookup[truth]

    @cached_property
    def singleton(self) -> Tensor:
        """[codes] int64: the class of a code that stands for one class only, else -1."""
        return torch.tensor([ids[0] if len(ids) == 1 else -1 for ids in self.sets])

    @cached_property
    def members(self) -> tuple[Tensor, Tensor]:
        """The sets as a table: [codes, k] classes, and [codes, k] whether an entry belongs to the set.

        k is the size of the largest set that is not "unknown". Padding repeats the principal class.
        """
        k = max(len(ids) for ids in self.sets if len(ids) < self.num_classes)
        rows = [ids if len(ids) < self.num_classes else ids[:1] for ids in self.sets]
        classes = torch.tensor([[*ids, *[ids[0]] * (k - len(ids))] for ids in rows])
        belongs = torch.tensor([[i < len(ids) for i in range(k)] for ids in rows])
        return classes, belongs

    @cached_property
    def unknown(self) -> int:
        """The code of "any class", or -1."""
        return next((c for c, ids in enumerate(self.sets) if len(ids) == self.num_classes), -1)

    def trained(self, present: Iterable[int]) -> np.ndarray:
        """Tell which classes the training data can teach.

        A class is trained if some case holds it as a singleton. Decided beyond the design: a set none of
        whose classes occurs as a singleton teaches its principal, so a dataset of whole vertebrae
        ({2, 21} everywhere) trains 2 and not 21.

        Args:
            present: codes that occur in the training cases.

        Returns:
            [num_classes] bool.
        """
        sets = [self.sets[c] for c in set(present) if len(self.sets[c]) < self.num_classes]
        result = np.zeros(self.num_classes, bool)
        for ids in sets:
            if len(ids) == 1:
                result[ids[0]] = True
        certain = result.copy()
        for ids in sets:
            if not certain[list(ids)].any():
                result[ids[0]] = True
        return result


def _classes(ids: tuple[int, ...], num_classes: int) -> tuple[int, ...]:
    return tuple(range(num_classes)) if ids == (UNKNOWN,) else ids
