"""Splits: which cases train, which choose, which are scored. By patient, stratified over rare classes."""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError, UsageError
from ..files import write_json
from ..labels import TABLE
from ..words import counted
from .case import Case, Dataset
from .stratify import stratify

logger = logging.getLogger(__name__)

VERSION = 1
PARTS = ("train", "val", "test")
#: The paper's 70 / 15 / 15.
FRACTIONS = (0.70, 0.15, 0.15)
#: A label that only one or two patients have is trained first, then tested, then validated.
FIRST_SERVED = (0, 2, 1)

#: Wraps a sequence of cases to show progress, like ``tqdm`` does; ``iter`` shows none.
Track = Callable[[Sequence[Case]], Iterable[Case]]


@dataclass(frozen=True)
class Split:
    """Case ids in parts, and how they came there.

    Attributes:
        dataset: name of the dataset.
        seed: of the random choices.
        kind: ``"holdout"`` or ``"folds"``.
        fractions: shares of train, val and test; empty for folds.
        train, val, test: case ids of a holdout.
        folds: case ids of each fold.
        left_out: cases without a truth; they are in no part.
        labels_per_part: part -> name of a class -> number of its cases. For the reader; not in the hash.
        version: of the file's layout.
    """

    dataset: str
    seed: int
    kind: str
    fractions: tuple[float, ...] = ()
    train: tuple[str, ...] = ()
    val: tuple[str, ...] = ()
    test: tuple[str, ...] = ()
    folds: tuple[tuple[str, ...], ...] = ()
    left_out: tuple[str, ...] = ()
    labels_per_part: Mapping[str, Mapping[str, int]] = field(default_factory=dict, compare=False, repr=False)
    version: int = VERSION

    @property
    def hash(self) -> str:
        """SHA-256 (64 hexadecimal digits) over everything but ``labels_per_part``."""
        content = json.dumps(self._content(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(content.encode()).hexdigest()

    @property
    def ids(self) -> tuple[str, ...]:
        """All case ids that are in some part."""
        return tuple(self.part_of)

    @property
    def part_of(self) -> dict[str, str]:
        """Case id -> ``"train"``, ``"val"``, ``"test"``, or ``"fold 0"`` and so on."""
        return {i: part for part, ids in self._groups().items() for i in ids}

    def parts(self, fold: int | None = None) -> dict[str, list[str]]:
        """Return the case ids of train, val and test.

        Args:
            fold: for K folds, the fold that is tested; fold ``(fold + 1) % K`` validates, the others train.
                None for a holdout.

        Raises:
            UsageError: a fold for a holdout, none for folds, or a fold that there isn't.
        """
        if self.kind == "holdout":
            if fold is not None:
                raise UsageError(f"fold {fold} was asked of a split that has no folds; leave the fold out")
            return {part: list(getattr(self, part)) for part in PARTS}
        n = len(self.folds)
        if fold is None or not 0 <= fold < n:
            raise UsageError(f"fold {fold} was asked of a split with {n} folds; name one from 0 to {n - 1}")
        val = (fold + 1) % n
        train = [i for k, ids in enumerate(self.folds) if k not in (fold, val) for i in ids]
        return {"train": train, "val": list(self.folds[val]), "test": list(self.folds[fold])}

    def check(self, dataset: Dataset) -> None:
        """Raise UsageError if this split is not one of ``dataset``: an unknown id, or a shared patient."""
        cases = {case.id: case for case in dataset.select(list(self.ids))}
        first: dict[str, str] = {}
        for identity, part in self.part_of.items():
            patient = cases[identity].patient
            if first.setdefault(patient, part) != part:
                raise UsageError(
                    f"patient {patient} is in {first[patient]} and (case {identity}) in {part}; "
                    "make the split again with 'cafrnet data split'"
                )

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the split as JSON, whole or not at all."""
        counts = {part: dict(names) for part, names in self.labels_per_part.items()}
        write_json(path, {**self._content(), "labels_per_part": counts, "hash": self.hash})

    @classmethod
    def load(cls, path: str | os.PathLike[str], dataset: Dataset | None = None) -> Split:
        """Read a split.

        Args:
            path: a file that :meth:`save` wrote, or a handmade one with ``train``, ``val`` and ``test`` or
                with ``folds`` (it has no hash, which is logged).
            dataset: if given, every id must be one of its cases.

        Raises:
            InputError: not JSON, of another version, an id twice, or changed since it was written.
            UsageError: no such file, an id that ``dataset`` does not have, or a patient in two parts.
        """
        path = Path(path)
        try:
            raw = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise UsageError(
                f"{path}: no such file; 'cafrnet data split DIR -o {path.name}' makes one"
            ) from None
        except (OSError, ValueError) as error:
            raise InputError(f"{path} can't be read as JSON: {error}") from error
        split = _from_json(raw, path)
        if "hash" not in raw:
            logger.warning("%s has no hash: whether it was changed can't be told", path)
        elif raw["hash"] != split.hash:
            raise InputError(
                f"{path} was changed after it was written (hash {str(raw['hash'])[:12]} is stated, "
                f"{split.hash[:12]} was found); make it again, or remove its 'hash' if you mean the change"
            )
        if dataset is not None:
            split.check(dataset)
        return split

    def _groups(self) -> dict[str, tuple[str, ...]]:
        if self.kind == "folds":
            return {f"fold {k}": ids for k, ids in enumerate(self.folds)}
        return {part: getattr(self, part) for part in PARTS}

    def _content(self) -> dict[str, Any]:
        own = {"version": self.version, "dataset": self.dataset, "seed": self.seed, "kind": self.kind}
        if self.kind == "folds":
            own["folds"] = [list(ids) for ids in self.folds]
        else:
            own["fractions"] = list(self.fractions)
            own |= {part: list(getattr(self, part)) for part in PARTS}
        return {**own, "left_out": list(self.left_out)}


def _from_json(raw: Any, path: Path) -> Split:
    if not isinstance(raw, dict) or not ("folds" in raw or set(PARTS) <= set(raw)):
        raise InputError(f"{path} is not a split: 'train', 'val' and 'test', or 'folds', were expected in it")
    if raw.get("version", VERSION) != VERSION:
        raise InputError(f"{path} has version {raw['version']}, this program reads {VERSION}; make it again")
    try:
        parts = [() if "folds" in raw else tuple(map(str, raw[part])) for part in PARTS]
        split = Split(
            dataset=str(raw.get("dataset", "")),
            seed=int(raw.get("seed", 0)),
            kind="folds" if "folds" in raw else "holdout",
            fractions=tuple(raw.get("fractions", ())),
            train=parts[0],
            val=parts[1],
            test=parts[2],
            folds=tuple(tuple(map(str, ids)) for ids in raw.get("folds", ())),
            left_out=tuple(raw.get("left_out", ())),
            labels_per_part=raw.get("labels_per_part", {}),
        )
    except (TypeError, ValueError) as error:
        raise InputError(
            f"{path} is not a split: {error}; make it again with 'cafrnet data split'"
        ) from error
    everyone = Counter(i for ids in split._groups().values() for i in ids)
    if twice := [i for i, n in everyone.items() if n > 1]:
        raise InputError(f"{path} names {', '.join(twice)} more than once; each case belongs to one part")
    return split


def make_split(
    dataset: Dataset,
    *,
    seed: int = 0,
    folds: int | None = None,
    fractions: Sequence[float] = FRACTIONS,
    track: Track = iter,
) -> Split:
    """Split a dataset by patient, stratified over its rare classes. Reads every truth once.

    All cases of a patient land in one part. A class that at least as many patients have as there are parts
    is in every part; one that fewer have goes to train first, then test, then val. Cases without a truth are
    left out, and logged.

    Args:
        dataset: the cases.
        seed: the same seed and dataset give the same split.
        folds: K for K-fold cross-validation; None for a holdout.
        fractions: shares of train, val and test of a holdout, summing to 1.
        track: shows progress over the truths.

    Raises:
        InputError: a truth that can't be read (``cafrnet data check`` names them all).
        UsageError: fractions that do not sum to 1, or fewer patients than parts.
    """
    shares = _shares(folds, fractions)
    labelled = [case for case in dataset if case.labels is not None]
    left_out = tuple(case.id for case in dataset if case.labels is None)
    if left_out:
        verbs = "has no label map and is" if len(left_out) == 1 else "have no label map and are"
        logger.warning("%s %s in no part: %s", counted(len(left_out), "case"), verbs, ", ".join(left_out))
    patients = list(dict.fromkeys(case.patient for case in labelled))
    if len(patients) < len(shares):
        raise UsageError(
            f"{dataset.root} has {len(patients)} labelled patients, which is too few for {len(shares)} parts"
        )
    present = {case.id: case.truth_ids() for case in track(labelled)}
    part = _deal(labelled, patients, present, shares, seed, FIRST_SERVED if folds is None else None)
    groups = [tuple(case.id for case in labelled if part[case.patient] == p) for p in range(len(shares))]
    split = Split(dataset.name, seed, "holdout" if folds is None else "folds", left_out=left_out)
    if folds is None:
        train, val, test = groups
        split = replace(split, fractions=tuple(shares), train=train, val=val, test=test)
    else:
        split = replace(split, folds=tuple(groups))
    return replace(split, labels_per_part=_counts(split._groups(), present))


def _shares(folds: int | None, fractions: Sequence[float]) -> list[float]:
    if folds is not None:
        if folds < 3:
            raise UsageError(
                f"{folds} folds were asked; three are needed: one tests, one validates, one trains"
            )
        return [1 / folds] * folds
    if len(fractions) != 3 or min(fractions) <= 0 or abs(sum(fractions) - 1) > 1e-6:
        raise UsageError(
            f"the shares {tuple(fractions)} came; three positive ones that sum to 1 were expected"
        )
    return [float(f) for f in fractions]


def _deal(
    cases: Sequence[Case],
    patients: Sequence[str],
    present: Mapping[str, frozenset[int]],
    shares: Sequence[float],
    seed: int,
    order: Sequence[int] | None,
) -> dict[str, int]:
    """Return patient -> part."""
    ids = sorted(set().union(*present.values()))
    row = {patient: n for n, patient in enumerate(patients)}
    marks = np.zeros((len(patients), len(ids)), int)
    sizes = np.zeros(len(patients), int)
    for case in cases:
        sizes[row[case.patient]] += 1
        marks[row[case.patient]] += np.isin(ids, list(present[case.id]))
    part = stratify(marks, sizes, shares, np.random.default_rng(seed), order=order)
    return {patient: int(part[n]) for patient, n in row.items()}


def _counts(
    groups: Mapping[str, Sequence[str]], present: Mapping[str, frozenset[int]]
) -> dict[str, dict[str, int]]:
    ids = sorted(set().union(*present.values()))
    return {
        part: {TABLE[i].name: sum(i in present[case] for case in cases) for i in ids}
        for part, cases in groups.items()
    }
