"""What one structure of one case, or of one slice, scored: a row of the tables that evaluation writes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ..labels import TABLE

#: Scores from 0 to 1; a missed or invented structure has 0.
OVERLAPS = ("dsc", "iou", "nsd_1mm", "nsd_2mm")
#: Distances; a missed or invented structure has none.
DISTANCES = ("hd_mm", "hd95_mm", "assd_mm")
#: The same distances, where a missed or invented structure has the diagonal of the volume instead.
PENALISED = ("hd_penalised_mm", "hd95_penalised_mm", "assd_penalised_mm")
METRICS = OVERLAPS + DISTANCES + PENALISED

#: What a status means, in words for the tables.
REASONS = {
    "found": "",
    "missed": "in the truth, not in the prediction: no distance is defined",
    "invented": "in the prediction, not in the truth: no distance is defined",
    "beyond": "predicted above the labelled range: listed, not scored",
    "failed": "the case could not be scored",
    "empty": "neither the truth nor the prediction holds a structure that is scored",
}


@dataclass(frozen=True)
class ClassScore:
    """Scores of one structure.

    Attributes:
        id: of the label table.
        status: ``found`` (in truth and prediction), ``missed``, ``invented`` or ``beyond``.
        dsc, iou, nsd_1mm, nsd_2mm: 0 to 1; None only for ``beyond``.
        hd_mm, hd95_mm, assd_mm: None unless found.
        hd_penalised_mm, hd95_penalised_mm, assd_penalised_mm: the diagonal of the volume where missed or
            invented; None only for ``beyond``.
        truth_mm3, pred_mm3: volumes (areas in mm2 for a slice), ignored voxels left out.
        false_positive_mm3: predicted volume outside the truth.
        components: pieces of the prediction; ``truth_components``: of the truth. None where not counted.
        level: see :class:`cafrnet.evaluation.levels.Levels`; None for what is not in the truth's column.
        carried_by: id that covers most of the structure, or None.
    """

    id: int
    status: str
    truth_mm3: float
    pred_mm3: float
    false_positive_mm3: float
    dsc: float | None = None
    iou: float | None = None
    nsd_1mm: float | None = None
    nsd_2mm: float | None = None
    hd_mm: float | None = None
    hd95_mm: float | None = None
    assd_mm: float | None = None
    hd_penalised_mm: float | None = None
    hd95_penalised_mm: float | None = None
    assd_penalised_mm: float | None = None
    components: int | None = None
    truth_components: int | None = None
    level: str | None = None
    carried_by: int | None = None

    @property
    def name(self) -> str:
        """Name of the structure."""
        return TABLE[self.id].name

    @property
    def scored(self) -> bool:
        """Whether it counts in means."""
        return self.status != "beyond"

    @property
    def over_segmentation(self) -> float | None:
        """False positives over truth volume; None where the truth is empty."""
        return self.false_positive_mm3 / self.truth_mm3 if self.truth_mm3 else None


def mean_of(rows: Iterable[ClassScore], metric: str, ids: Sequence[int]) -> float | None:
    """Return the mean of a metric over the scored classes among ``ids``; None where none has it."""
    values = [getattr(row, metric) for row in rows if row.scored and row.id in ids]
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
