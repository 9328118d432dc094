"""A model tried on labelled scans: what it said about itself, and what was true."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import ndimage

from ...anatomy import Naming
from ...datasets import Case
from ...evaluation.levels import confusion, levels
from ...evaluation.sets import resolve
from ...inference import Model, Segmentation, segment_scan
from ...inference.answers import answers
from ...inference.calibration import Calibration
from ...inference.triage import Triage, judge
from ...labels import TABLE, UNKNOWN, ValueSets
from ...phantom import Phantom
from ...preprocessing import prepare, prepare_truth
from .variants import crop, degrade, take_rows

#: Voxels this many pixels around a structure count as well.
AROUND = 4
#: A true body or disc carries a wrong name where another name of its kind covers this share of it or more and
#: more than its own does. A disc that its vertebra covers has a bad outline, not a wrong name.
MISNAMED = 0.25


@dataclass(frozen=True)
class Trial:
    """One scan, or a variant of it, through a model.

    Attributes:
        case: id.
        variant: ``"as it is"``, ``"cropped"`` or ``"degraded"``.
        naming: of its column.
        triage: what the model said.
        wrong: names of true bodies and discs that carry another name.
        dice: name -> true Dice of each named structure; 0 where the name is wrong.
        outline: name -> (its soft Dice, true Dice with the best fitting structure of its kind, whatever its
            name).
        visible: how many bodies and discs the truth of this variant holds.
    """

    case: str
    variant: str
    naming: Naming
    triage: Triage
    wrong: tuple[str, ...]
    dice: dict[str, float]
    outline: dict[str, tuple[float, float]]
    visible: int = 0

    def judged_with(self, calibration: Calibration) -> Trial:
        """Return the trial judged again; the temperatures must be those that it was made with."""
        said = self.triage
        return replace(self, triage=judge(self.naming, said.outline_dice, said.measures, calibration))


def compare(found: Segmentation, truth: np.ndarray, sets: ValueSets, case: str, variant: str) -> Trial:
    """Hold a result against its truth (the dataset's own values, in the scan's order)."""
    pair = resolve(truth, found.labels, sets)
    counts = confusion(pair.truth, pair.pred)
    judged = levels(counts, [i for i in pair.marked if i in TABLE.of_kind("body", "disc")])
    wrong = tuple(TABLE[i].name for i in judged.status if _misnamed(i, counts))
    assert found.naming is not None  # post-processing is on
    assert found.triage is not None
    named = {name: TABLE[name].id for name in found.triage.predicted_dice}
    scored = {n: i for n, i in named.items() if _scored(i, counts, pair.marked)}
    dice = {name: _dice(counts, i, i) for name, i in scored.items()}
    outline = {
        name: (
            found.triage.outline_dice[name],
            max(_dice(counts, j, i) for j in TABLE.of_kind(TABLE[i].kind)),
        )
        for name, i in scored.items()
    }
    visible = len(judged.status)
    return Trial(case, variant, found.naming, found.triage, wrong, dice, outline, visible)


def _misnamed(identity: int, counts: np.ndarray) -> bool:
    same = np.array(TABLE.of_kind(TABLE[identity].kind))
    cover = counts[identity, same]
    most = int(cover.argmax())
    return bool(same[most] != identity and cover[most] >= MISNAMED * counts[identity].sum())


def _scored(identity: int, counts: np.ndarray, marked: frozenset[int]) -> bool:
    """Whether the truth can say how good this structure is: neither beyond its range, nor never marked."""
    kind = TABLE[identity].kind
    true = [i for i in marked if i in TABLE.column]
    if kind == "sacrum":
        return identity in marked
    top = max((TABLE.column.index(i) for i in true), default=-1)
    return TABLE.column.index(identity) <= top or bool(counts[1:, identity].any())


def _dice(counts: np.ndarray, true: int, predicted: int) -> float:
    both = counts[true].sum() + counts[:, predicted].sum()
    return float(2 * counts[true, predicted] / both) if both else 0.0


def try_cases(
    model: Model,
    cases: Sequence[Case],
    rng: np.random.Generator,
    *,
    crops: int = 0,
    degraded: int = 0,
) -> Iterator[Trial]:
    """Try every case as it is, cropped and degraded.

    Args:
        model: with or without a calibration.
        cases: labelled.
        rng: of crops and degradations.
        crops: of each case; fewer where a crop finds too few discs.
        degraded: of each case.
    """
    for case in cases:
        scan = case.read()
        truth = case.read_truth(scan)
        ids = case.sets.principal(truth)
        yield compare(segment_scan(scan, model), truth, case.sets, case.id, "as it is")
        for _ in range(crops):
            cut = crop(scan, ids, rng)
            if cut is not None:
                part = take_rows(truth, scan, cut[1])
                yield compare(segment_scan(cut[0], model), part, case.sets, case.id, "cropped")
        for _ in range(degraded):
            yield compare(segment_scan(degrade(scan, rng), model), truth, case.sets, case.id, "degraded")


def try_phantoms(model: Model, phantoms: Sequence[Phantom]) -> Iterator[Trial]:
    """Try phantoms, whose truth is known by construction."""
    for one in phantoms:
        found = segment_scan(one.scan, model)
        yield compare(found, one.labels, ValueSets.identity(), one.scan.source, "phantom")


def draw_voxels(
    model: Model, cases: Sequence[Case], rng: np.random.Generator, per_case: int
) -> tuple[np.ndarray, np.ndarray]:
    """Draw voxels of the model grid from where the truth or the network sees something, and around it.

    Args:
        model: of its calibration only the offsets are used.
        cases: labelled.
        rng: source of chance.
        per_case: voxels of each case.

    Returns:
        (logits [k, v], allowed [k, v]); voxels whose truth is unknown are left out.
    """
    logits, allowed = [], []
    for case in cases:
        scan = case.read()
        ready = prepare(scan, model.preprocessing)
        truth = prepare_truth(case.read_truth(scan), scan, ready.grid)
        sets = _allowed(case.sets, model.num_classes)
        principal = case.sets.principal(truth)
        for first, some in answers(model, ready.images, scan.frame.spacing_mm[0]):
            own = slice(first, first + len(some))
            chosen = _draw(principal[own], some, rng, per_case * len(some) / len(ready.images))
            s, y, x = chosen
            logits.append(some[s, :, y, x].T)
            allowed.append(sets[truth[own][s, y, x]].T)
    every, mask = np.concatenate(logits, axis=1), np.concatenate(allowed, axis=1)
    known = mask.any(axis=0)
    return every[:, known], mask[:, known]


def _allowed(sets: ValueSets, num_classes: int) -> np.ndarray:
    """Return [value, k] whether a truth value allows a class; nothing where it stands for unknown only.

    A structure that the model has no output for is background to it.
    """
    table = np.zeros((max(sets.values) + 1, num_classes), bool)
    for value, ids in sets.values.items():
        for i in ids:
            if i != UNKNOWN:
                table[value, i if i < num_classes else 0] = True
    return table


def _draw(
    truth: np.ndarray, logits: np.ndarray, rng: np.random.Generator, count: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return (slice, y, x) of voxels near a structure, drawn without regard to how sure the network is."""
    disc = ndimage.generate_binary_structure(2, 1)[None]
    relevant = ndimage.binary_dilation((truth > 0) | (logits.argmax(axis=1) > 0), disc, iterations=AROUND)
    at = np.argwhere(relevant)
    take = min(len(at), round(count))
    return tuple(at[rng.choice(len(at), take, replace=False)].T)  # type: ignore[return-value]
