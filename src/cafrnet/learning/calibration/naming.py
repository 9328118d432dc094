"""Fits what names a column: the shapes of the levels, and how much the network's names are worth.

Shapes come from the truths of the training cases, where there are most. The network's reliability can only be
seen on cases that it was not trained on: validation cases, as they are and cropped from below and above. For
a network learns where in a picture a level usually lies, and a crop deceives it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ...anatomy.fitting import TrueColumn, fit_prices, structures_of, true_places
from ...anatomy.instances import Instance, find_instances
from ...anatomy.kinds import Voxels, by_kind, voxels_of
from ...anatomy.name import field_of
from ...anatomy.prices import NamingModel
from ...anatomy.shapes import Shapes, fit_shapes
from ...datasets import Case
from ...errors import UsageError
from ...inference import Model
from ...inference.answers import answers
from ...inference.assembly import grid_of
from ...labels import TABLE
from ...preprocessing import ModelGrid, prepare, prepare_truth
from ...scan import Scan
from .variants import crop, take_rows


@dataclass(frozen=True)
class Observed:
    """What a network finds in one scan, or in a crop of it, with the truth.

    Attributes:
        case: id.
        cropped: whether it is a crop.
        discs: how many are visible.
        share: of the discs of the whole scan.
        column: structures and their true places.
    """

    case: str
    cropped: bool
    discs: int
    share: float
    column: TrueColumn


def observe(
    model: Model, cases: Sequence[Case], rng: np.random.Generator, *, crops: int
) -> Iterator[Observed]:
    """Yield each case as it is and then cropped at random.

    Raises:
        InputError: a case can't be used.
    """
    for case in cases:
        scan = case.read()
        ids = case.sets.principal(case.read_truth(scan))
        whole = _discs(ids)
        yield Observed(case.id, False, whole, 1.0, column_of(scan, ids, model))
        for _ in range(crops):
            cut = crop(scan, ids, rng)
            if cut is None:
                break
            part, rows = cut
            left = take_rows(ids, scan, rows)
            yield Observed(case.id, True, _discs(left), _discs(left) / whole, column_of(part, left, model))


def _discs(ids: np.ndarray) -> int:
    return len(set(np.unique(ids).tolist()) & set(TABLE.of_kind("disc")))


def column_of(scan: Scan, ids: np.ndarray, model: Model) -> TrueColumn:
    """Run the network on a scan and return the structures that it finds, with their true places.

    Args:
        scan: the scan.
        ids: its truth in the scan's array order, ids of the label table.
        model: the network.
    """
    ready = prepare(scan, model.preprocessing)
    parts = []
    for first, logits in answers(model, ready.images, scan.frame.spacing_mm[0]):
        parts.append(voxels_of(logits, by_kind(logits), first))
    voxels = Voxels.together(parts)
    grid = grid_of(scan, ready.grid)
    found = find_instances(voxels, grid, model.postprocessing)
    true = prepare_truth(ids, scan, ready.grid)[tuple(voxels.at.astype(np.intp).T)]
    places = true_places(found, true)
    light = [replace(one, voxels=one.voxels[:0].copy()) for one in found]  # hundreds of columns are kept
    below_mm = field_of(found, voxels, grid, sacrum_known=True).bottom_mm
    return TrueColumn(light, places, model.not_trained_ids, below_mm)


def shapes_of(cases: Sequence[Case], model: Model) -> Shapes:
    """Fit the shapes of the levels to the truths of training cases, on the model's grid.

    Raises:
        UsageError: too few structures. InputError: a case can't be used.
    """
    structures: list[tuple[Instance, int]] = []
    for case in cases:
        scan = case.read()
        sagittal = scan.frame.to_sagittal(scan.voxels)
        settings = model.preprocessing
        grid = ModelGrid.around(sagittal, scan.frame.spacing_mm[1:], settings.pixel_mm, settings.size)
        ids = prepare_truth(case.sets.principal(case.read_truth(scan)), scan, grid)
        structures += structures_of(ids, grid_of(scan, grid))
    return fit_shapes(structures)


def fit_naming(
    model: Model,
    validation: Sequence[Case],
    training: Sequence[Case],
    rng: np.random.Generator,
    *,
    crops: int = 15,
) -> NamingModel:
    """Fit shapes on training cases and prices on validation cases.

    Args:
        model: loaded.
        validation: labelled cases that the model was not trained on.
        training: cases that it was trained on.
        rng: source of chance of the crops.
        crops: of each validation case.

    Returns:
        What was fitted. Too few training cases leave the shapes out, no structure in any validation case the
        prices as they were; ``fitted_on`` says so.
    """
    seen = [one.column for one in observe(model, validation, rng, crops=crops)]
    known = [column for column in seen if any(p is not None for p in column.places)]
    about: dict[str, Any] = {}
    try:
        shapes = shapes_of(training, model)
    except UsageError as error:
        shapes, about["no_shapes"] = Shapes(), str(error)
    if not known:
        return NamingModel(shapes=shapes, fitted_on={**about, "columns": 0})
    fitted, before, after = fit_prices(known, NamingModel(shapes=shapes))
    about |= {
        "columns": len(known),
        "validation": [case.id for case in validation],
        "training_cases": len(training),
        "crops_of_each": crops,
        "surprise": {"before": round(before, 4), "after": round(after, 4)},
    }
    return NamingModel(fitted.prices, shapes, about)
