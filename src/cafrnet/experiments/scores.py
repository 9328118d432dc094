"""What the runs scored, read back from their files and checked before anything is compared."""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ..datasets import Split
from ..errors import InputError
from ..evaluation.sets import HEADLINE
from .convergence import doubt, ending, span
from .layout import RunFolder, read_json

#: What the paper calls "low-contrast structures such as the sacrum and lower lumbar vertebrae" (Sect. 4.3).
SACRUM_AND_LOWER_LUMBAR = ("S", "L5", "L4")


@dataclass(frozen=True, eq=False)
class RunScores:
    """The scores of one run on its test cases.

    Attributes:
        name: of the run, for messages.
        fold, seed: of the run.
        fit: what ``fit.json`` says; empty for predictions from outside.
        cases: case -> metric -> value or None: those of ``summary.json``, of the case as a whole
            (``missed_rate``, ``over_segmentation`` ...), and of its regions (``"junction: error_rate"``).
        structures: rows of ``cases.csv``; numbers as numbers, an empty cell as None.
        notes: what a reader of the scores should know.
    """

    name: str
    fold: int
    seed: int
    fit: Mapping[str, Any]
    cases: Mapping[str, Mapping[str, Any]]
    structures: tuple[Mapping[str, Any], ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class RowScores:
    """All runs of one row.

    Attributes:
        name, label: of the row.
        runs: finished ones.
        planned: how many runs there should be.
        notes: what a reader should know.
        outputs: number of classes of the network; None where it is unknown.
        own: what of its training is not the protocol's; such a row is tested against nothing.
        patience: of early stopping, in epochs; None where it is unknown.
    """

    name: str
    label: str
    runs: tuple[RunScores, ...]
    planned: int
    notes: tuple[str, ...] = field(default=())
    outputs: int | None = None
    own: tuple[str, ...] = ()
    patience: int | None = None

    def draws(self, identity: int) -> bool:
        """Whether the network has an output for an id; not denied where its outputs are unknown."""
        return self.outputs is None or identity < self.outputs

    @cached_property
    def seeds(self) -> tuple[int, ...]:
        """Seeds whose runs are used: those that have all folds of the seed with the most.

        A seed that lacks one of them is left out as a whole; averaged per case it would leave few folds.
        """
        of_seed: dict[int, set[int]] = defaultdict(set)
        for run in self.runs:
            of_seed[run.seed].add(run.fold)

        def rank(seed: int) -> tuple[int, int, int]:
            return len(of_seed[seed]), sum(of_seed[seed] <= other for other in of_seed.values()), -seed

        most = of_seed[max(of_seed, key=rank)] if of_seed else set()
        return tuple(seed for seed in sorted(of_seed) if of_seed[seed] == most)

    @cached_property
    def used(self) -> tuple[RunScores, ...]:
        """The runs of these seeds: each has the same folds, so they can be averaged per case."""
        return tuple(run for run in self.runs if run.seed in self.seeds)

    @cached_property
    def folds(self) -> tuple[int, ...]:
        """Folds whose runs are used."""
        return tuple(sorted({run.fold for run in self.used}))

    def per_seed(self, metric: str, cases: Iterable[str] | None = None) -> dict[int, float]:
        """Return seed -> mean over cases; seeds without any value are left out."""
        wanted = None if cases is None else set(cases)
        found = {}
        for seed in self.seeds:
            values = [
                scores[metric]
                for run in self.used
                if run.seed == seed
                for case, scores in run.cases.items()
                if scores.get(metric) is not None and (wanted is None or case in wanted)
            ]
            if values:
                found[seed] = float(np.mean(values))
        return found

    def per_case(self, metric: str) -> dict[str, float]:
        """Return case -> mean over seeds; cases where no seed has the metric are left out."""
        values: dict[str, list[float]] = defaultdict(list)
        for run in self.used:
            for case, scores in run.cases.items():
                if scores.get(metric) is not None:
                    values[case].append(scores[metric])
        return {case: float(np.mean(found)) for case, found in values.items()}

    @property
    def cases(self) -> frozenset[str]:
        """Cases that were scored by all seeds."""
        return frozenset(case for run in self.used for case in run.cases)

    @property
    def fits(self) -> list[Mapping[str, Any]]:
        """What the trainings took."""
        return [run.fit for run in self.used if run.fit]

    @property
    def doubt(self) -> str:
        """Why no claim can be made about this row; empty if one can."""
        return doubt(self.fits, self.patience)

    @property
    def ending(self) -> str:
        """How the trainings ended: the doubt, "yes" for converged, or where they were stopped."""
        return self.doubt or ending(self.fits)

    @property
    def steps(self) -> str:
        """Steps that were done, "400 to 500" where runs differ; empty where nothing is known."""
        return span(fit["steps"] for fit in self.fits) if self.fits else ""


def read_run(run: RunFolder) -> RunScores:
    """Read the scores of a finished run.

    Raises:
        InputError: a file that is missing or damaged.
    """
    scores = read_scores(run.path, run.name, run.fold, run.seed)
    return RunScores(**{**vars(scores), "fit": read_json(run.fit)})


def read_scores(folder: Path, name: str, fold: int, seed: int) -> RunScores:
    """Read what the evaluator wrote into a folder."""
    summary = read_json(folder / "summary.json")
    try:
        failed, missing = summary["cases"]["failed"], summary["cases"]["without_prediction"]
        cases = {c: s for c, s in summary["per_case"].items() if c not in failed}
        extra = summary["extra_predictions"]
    except (KeyError, TypeError) as error:
        raise InputError(f"{folder / 'summary.json'} is not the evaluator's: it lacks {error}") from error
    notes = [f"{case} failed: {why}" for case, why in failed.items()]
    notes += [f"no prediction for {', '.join(missing)}: all of it counts as missed"] * bool(missing)
    notes += [f"{len(extra)} predictions belong to no test case and are not scored"] * bool(extra)
    regions = folder / "regions.csv"
    structures = _read_rows(folder / "cases.csv")
    in_regions = _read_rows(regions) if regions.is_file() else []
    found = _with_more(cases, structures, in_regions)
    return RunScores(
        name,
        fold,
        seed,
        {},
        found,
        tuple(structures),
        tuple(notes),
    )


def check_split(run: RunFolder, scores: RunScores, split: Split, *, fewer_cases: bool = False) -> None:
    """Raise InputError unless a run was trained and tested on its part of this split.

    Args:
        run: the run; ``scores``: of it.
        split: of the reproduction.
        fewer_cases: whether it was trained with a part of the training cases only.
    """
    expected = split.parts(run.fold)
    own = Split.load(run.split)
    if not fewer_cases and own.hash != split.hash:
        raise InputError(
            f"{run.name} was trained on another split ({own.hash[:8]}) than this reproduction's "
            f"({split.hash[:8]}): a test case of one could be a training case of the other. Train it again"
        )
    parts = own.parts(None if fewer_cases else run.fold)
    if seen := sorted(set(expected["test"]) & {*parts["train"], *parts["val"]}):
        raise InputError(f"{run.name} was trained on the test cases {', '.join(seen[:5])}; train it again")
    if set(scores.cases) != set(expected["test"]):
        odd = sorted(set(scores.cases) ^ set(expected["test"]))
        raise InputError(
            f"{run.name}: the cases {', '.join(odd[:5])} are scored but not of its fold, or of its fold and "
            "not scored; remove its score.json and run the command again"
        )


def common_cases(rows: Sequence[RowScores]) -> frozenset[str]:
    """Return the cases that all rows have."""
    return frozenset.intersection(*(row.cases for row in rows)) if rows else frozenset()


def _with_more(
    cases: Mapping[str, Mapping[str, Any]],
    structures: Sequence[Mapping[str, Any]],
    regions: Sequence[Mapping[str, Any]],
) -> dict[str, dict[str, Any]]:
    """Add to each case what the other tables hold of it: false positives, pieces, regions."""
    of_case: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for row in structures:
        if row.get("id") in HEADLINE and row["status"] in ("found", "missed", "invented"):
            of_case[row["case"]].append(row)
    found = {case: {**scores, **_whole(of_case[case])} for case, scores in cases.items()}
    for row in regions:
        if row["case"] in found:
            own = {f"{row['region']}: {key}": v for key, v in row.items() if key not in ("case", "region")}
            found[row["case"]].update(own)
    return found


def _whole(rows: Sequence[Mapping[str, Any]]) -> dict[str, float | None]:
    truth = sum(row["truth_mm3"] for row in rows)
    false = sum(
        row["over_segmentation"] * row["truth_mm3"] if row["truth_mm3"] else row["pred_mm3"] for row in rows
    )
    found = [row for row in rows if row["status"] == "found"]
    judged = [row["level"] for row in rows if row["level"]]
    low = [row["dsc"] for row in rows if row["class"] in SACRUM_AND_LOWER_LUMBAR]
    return {
        "dsc_low": _mean(low),
        "over_segmentation": false / truth if truth else None,
        "components": _mean([row["components"] for row in found]),
        "extra_components": _mean([row["components"] - row["truth_components"] for row in found]),
        "levels_right": _mean([float(level == "right") for level in judged]),
        "missed_rate": _mean([float(r["status"] == "missed") for r in rows if r["status"] != "invented"]),
        "invented_structures": float(sum(row["status"] == "invented" for row in rows)),
    }


def _mean(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if values else None


def _read_rows(path: Path) -> list[dict[str, Any]]:
    """Read a table of the evaluator: numbers as numbers, an empty cell as None."""
    try:
        with path.open(newline="", encoding="utf-8") as file:
            return [{key: _value(key, text) for key, text in row.items()} for row in csv.DictReader(file)]
    except OSError as error:
        raise InputError(f"{path} could not be read: {error.strerror}; score the run again") from error
    except ValueError as error:
        raise InputError(f"{path} is damaged: {error}; score the run again") from error


_WORDS = ("case", "class", "status", "level", "carried_by", "reason", "region")


def _value(key: str | None, text: str | None) -> Any:
    if key is None or text is None:
        raise ValueError("a line has too few or too many cells")
    if key in _WORDS:
        return text or None
    if not text:
        return None
    number = float(text)
    return int(number) if key in ("id", "components", "truth_components") else number
