"""Which prediction belongs to which truth: by stem, whatever its case, prefix and ending."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..datasets.layout import pair_key
from ..errors import UsageError
from .truths import Truth, label_maps


@dataclass(frozen=True)
class Pairs:
    """Truths with their predictions.

    Attributes:
        pairs: each truth with its prediction, or with None where there is none.
        extra: predictions that no truth belongs to: they are named and not scored.
    """

    pairs: tuple[tuple[Truth, Path | None], ...]
    extra: tuple[Path, ...]


def pair(truths: list[Truth], truth_path: Path, pred: Path) -> Pairs:
    """Pair truths with predictions.

    Stems are compared without regard to case, without a leading ``mask_`` or ``seg_`` and a trailing ``_seg``
    or ``_msk``: ``Case5``, ``mask_case5`` and ``Case5_seg`` belong together. Two single files are a pair
    whatever they are called. A single prediction for many truths restricts the truths to its own.

    Args:
        truths: to be paired.
        truth_path: where they came from; a file or a folder.
        pred: a file or a folder.

    Raises:
        UsageError: no predictions, two truths or two predictions of one stem, or no prediction that a truth
            belongs to.
    """
    if not pred.exists():
        raise UsageError(f"{pred}: no such file or folder; predictions were expected there")
    if pred.is_file():
        if truth_path.is_file():
            return Pairs(((truths[0], pred),), ())
        truths = [truth for truth in truths if truth.key == pair_key(pred)]
        if not truths:
            raise UsageError(f"{pred}: no truth in {truth_path} has its stem, {pair_key(pred)!r}")
    files = [pred] if pred.is_file() else label_maps(pred)
    if not files:
        raise UsageError(f"{pred} holds no label map; give the folder that 'cafrnet segment' wrote to")
    _no_twins([truth.labels for truth in truths])
    _no_twins(files)
    by_key = {pair_key(file): file for file in files}
    wanted = {truth.key for truth in truths}
    if not wanted & set(by_key):
        raise UsageError(
            f"no prediction belongs to a truth: {truths[0].labels.name} has the stem {truths[0].key!r}, "
            f"{files[0].name} has {pair_key(files[0])!r}; stems must be the same, so rename the predictions"
        )
    return Pairs(
        tuple((truth, by_key.get(truth.key)) for truth in truths),
        tuple(file for key, file in by_key.items() if key not in wanted),
    )


def _no_twins(files: list[Path]) -> None:
    """Raise UsageError if two files have one stem: which is meant is not guessed."""
    seen: dict[str, Path] = {}
    for file in files:
        if (other := seen.setdefault(pair_key(file), file)) != file:
            raise UsageError(f"{other} and {file} both have the stem {pair_key(file)!r}; keep one of them")
