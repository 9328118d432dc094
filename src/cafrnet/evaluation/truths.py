"""Where the truth is: a dataset's folder, a folder of label maps, or one label map."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from pathlib import Path

from ..datasets import Dataset, Split, open_dataset
from ..datasets.description import FILE_NAME, Description, describe
from ..datasets.layout import natural_key, pair_key
from ..datasets.registry import ADAPTERS
from ..errors import InputError, UsageError, nearest
from ..files import stem
from ..labels import ValueSets
from ..scan import is_scan

logger = logging.getLogger(__name__)

#: How many folders above the label maps are searched for the dataset that they belong to.
LEVELS_UP = 2


@dataclass(frozen=True)
class Truth:
    """One truth.

    Attributes:
        id: of the case.
        labels: label map.
        image: the scan, or None where only the label map is known.
        sets: what the values stand for.
    """

    id: str
    labels: Path
    image: Path | None
    sets: ValueSets = field(repr=False)

    @property
    def key(self) -> str:
        """What pairs it with a prediction."""
        return pair_key(self.labels)


def find_truths(path: Path) -> list[Truth]:
    """Find the truths at a path, in natural order.

    A dataset's folder gives its cases with their images. Label maps that lie in a dataset, up to two folders
    below its root, are taken as cases of it; other label maps stand for what ``dataset.yaml`` beside them or
    up to two folders above says, and for cafrnet's own ids where there is none.

    Raises:
        UsageError: nothing there, or no label map in it.
    """
    if not path.exists():
        raise UsageError(f"{path}: no such file or folder; the truth was expected there")
    folder = path.resolve() if path.is_dir() else path.resolve().parent
    above = [folder, *folder.parents][: LEVELS_UP + 1]
    for root in above:
        known = any(adapter.matches(root) for adapter in ADAPTERS.values())
        if known and (found := _of_dataset(open_dataset(root), path)):
            return found
        if known and path.resolve() == root:
            raise UsageError(f"{path} is a dataset without label maps: there is no truth in it")
    files = [path] if path.is_file() else label_maps(path)
    if not files:
        raise UsageError(f"{path} holds no label map and is no dataset; give the folder that holds them")
    sets = _sets(above)
    return [Truth(stem(file), file, None, sets) for file in files]


def label_maps(folder: Path) -> list[Path]:
    """Return the label maps in a folder and its subfolders in natural order; preview pictures are none."""
    found = (p for p in folder.rglob("*") if p.is_file() and is_scan(p))
    return sorted(
        (p for p in found if not stem(p).lower().endswith("_preview")),
        key=lambda p: natural_key(str(p.relative_to(folder))),
    )


def _of_dataset(dataset: Dataset, path: Path) -> list[Truth]:
    """Return the dataset's truths at or below the path."""
    here = path.resolve()
    return [
        Truth(case.id, case.labels, case.image, case.sets)
        for case in dataset
        if case.labels is not None and (here in (case.labels.resolve(), *case.labels.resolve().parents))
    ]


def _sets(above: list[Path]) -> ValueSets:
    for root in above:
        if (root / FILE_NAME).is_file():
            logger.info("what the truth's values stand for is read from %s", root / FILE_NAME)
            return describe(root, Description(root.name, ValueSets.identity())).sets
    logger.info("no %s beside the truth or above it: its values are taken as cafrnet's own ids", FILE_NAME)
    return ValueSets.identity()


def of_part(truths: list[Truth], split: Path, part: str, fold: int | None) -> list[Truth]:
    """Keep the truths of one part of a split.

    Args:
        truths: of all cases.
        split: file as ``cafrnet data split`` writes it.
        part: ``train``, ``val`` or ``test``.
        fold: which fold is tested, for a split into folds.

    Raises:
        UsageError: an unusable split, an unknown part or fold, an empty part, or a case of the part that has
            no truth here.
    """
    try:
        parts = Split.load(split).parts(fold)
    except InputError as error:
        raise UsageError(str(error)) from error
    if part not in parts:
        raise UsageError(f"no part {part!r} in {split}{nearest(part, parts)}")
    if not parts[part]:
        raise UsageError(f"the part {part!r} of {split} is empty: there is nothing to score")
    by_key = {pair_key(f"{truth.id}.nii"): truth for truth in truths}
    wanted = {pair_key(f"{identity}.nii"): identity for identity in parts[part]}
    if missing := [identity for key, identity in wanted.items() if key not in by_key]:
        raise UsageError(f"{split} names cases that have no truth here: {', '.join(missing)}")
    return [by_key[key] for key in wanted]
