"""What stands in every caption: data, folds, steps, seeds. A number without them is no result."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..protocol import planned
from ..scores import RowScores


@dataclass(frozen=True)
class Context:
    """What the rows of a table share.

    Attributes:
        dataset: its name. data_hash: of its files.
        cases: number of labelled cases.
        folds: that were to be tested. all_folds: of how many.
        steps: of each training. batch: slices per step.
        seeds: of the trainings.
        budget: its name.
        split_hash: of the split.
        changes: words of the user that changed all rows alike.
        partial: why not everything is there; empty if it is.
    """

    dataset: str
    data_hash: str
    cases: int
    folds: tuple[int, ...]
    all_folds: int
    steps: int
    batch: int
    seeds: tuple[int, ...]
    budget: str
    split_hash: str
    changes: tuple[str, ...] = ()
    partial: str = ""

    def caption(self) -> str:
        """Return the sentence that every caption starts with."""
        folds = ", ".join(map(str, self.folds))
        seeds = ", ".join(map(str, self.seeds))
        steps = planned(self.steps, self.budget, self.changes)
        text = (
            f"Data: {self.dataset} ({self.cases} cases, hash {self.data_hash[:8]}); split hash "
            f"{self.split_hash[:8]}, test cases of fold {folds} of {self.all_folds} (numbered from 0), out "
            f"of fold; {steps} steps of {self.batch} slices, seed {seeds}, budget '{self.budget}'"
        )
        text += f", with {' '.join(self.changes)}" if self.changes else ""
        return f"{text}.{f' PARTIAL: {self.partial}.' if self.partial else ''}"


#: Said wherever case means stand.
PROTOCOL = (
    "Per case in 3D on the native grid, ids 1-19 where the dataset marks them, mean ± standard deviation "
    "over cases, seeds averaged per case first."
)


def missing_notes(rows: Sequence[RowScores]) -> list[str]:
    """Say which rows are not complete, and what a reader should know about the others."""
    notes = []
    for row in rows:
        if len(row.runs) < row.planned:
            notes.append(f"{row.label}: {len(row.runs)} of {row.planned} runs are finished.")
        for seed in sorted({run.seed for run in row.runs} - {*row.seeds}):
            notes.append(f"{row.label}: seed {seed} is left out, it lacks folds that others have.")
        if row.doubt:
            notes.append(f"{row.label}: {row.doubt}; no p-value and no claim.")
        if row.own:
            notes.append(
                f"{row.label}: own training ({', '.join(row.own)}), so no p-value, and no place in Holm's "
                "correction of the others."
            )
        notes += [f"{row.label}: {note}" for note in row.notes]
    counts = {len(row.cases) for row in rows if row.cases}
    if len(counts) > 1:
        notes.append(
            "The rows were scored on different numbers of cases; pairs use the cases that both rows have."
        )
    return notes


def of_rows(name: str) -> str:
    """Return which rows a table is about, for its title."""
    return " (ablation)" if name.startswith("table4") else ""
