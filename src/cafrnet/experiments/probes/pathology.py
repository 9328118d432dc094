"""Does a model get worse where the spine is worse: disc scores against a radiologist's gradings.

``gradings.csv`` as SPIDER gives it: a row per disc, with the columns ``Patient``, ``IVD label`` (1 = L5/S,
counted upwards), and one per grading.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from ...datasets import Dataset, open_dataset
from ...errors import InputError, UsageError
from ...evaluation.statistics import FEWEST_PAIRS, RESAMPLES
from ...evaluation.tables import write_csv
from ...labels import TABLE
from ..layout import RunFolder
from .tables import read_csv

PATIENT, DISC = "Patient", "IVD label"
#: A score is of the disc itself, or the mean of the two vertebrae beside it.
STRUCTURES = ("dsc_disc", "dsc_vertebrae_beside")
COLUMNS = (
    *("row", "grading", "structure", "discs", "cases", "patients", "grades"),
    *("spearman", "low", "high", "reason"),
    *("per_grade",),
)
_DISCS = [i for i in TABLE.column if TABLE[i].kind == "disc"]


def pathology(
    runs: Sequence[RunFolder], data: str | Path, out: Path, *, gradings: Path | None = None, seed: int = 0
) -> Path:
    """Correlate scores with gradings.

    Args:
        runs: finished runs (their ``cases.csv`` is read).
        data: the dataset; its ``gradings.csv`` unless ``gradings`` names another.
        out: folder for ``pathology.csv`` and ``pathology_discs.csv`` (every disc).
        gradings: the file of gradings.
        seed: of the intervals.

    Returns:
        The path of ``pathology.csv``: Spearman's rank correlation of DSC with each grading per row, and a
        bootstrap interval over patients (their series and discs are drawn together). Negative: worse where
        the grade is higher. Seeds of a disc are averaged first. Where there are fewer than eight discs,
        patients or two grades, the cell is empty and ``reason`` says why.

    Raises:
        UsageError: no runs, no ``gradings.csv``, or none of its patients has a case. InputError: a file that
            lacks columns, or a grade that is no number. An empty grade is none.
    """
    if not runs:
        raise UsageError("no finished runs came; run 'cafrnet reproduce table3' first")
    path = gradings or Path(data) / "gradings.csv"
    if not path.is_file():
        raise UsageError(
            f"{path}: no such file; gradings with the columns '{PATIENT}', '{DISC}' and one per grading "
            "were expected"
        )
    graded = read_csv(path, (PATIENT, DISC))
    names = [c for c in graded[0] if c not in (PATIENT, DISC)] if graded else []
    check_grades(path, graded)
    grades = grades_by_case(graded, open_dataset(data))
    if not grades:
        raise UsageError(f"{path}: none of its patients has a case in {data}")
    discs = [d for row in dict.fromkeys(r.row for r in runs) for d in graded_discs(row, runs, grades)]
    write_csv(out / "pathology_discs.csv", ("row", "patient", "case", "disc", *STRUCTURES, *names), discs)
    rng = np.random.default_rng(seed)
    rows = [
        correlate(row, grading, structure, discs, rng)
        for row in dict.fromkeys(d["row"] for d in discs)
        for grading in names
        for structure in STRUCTURES
    ]
    write_csv(out / "pathology.csv", COLUMNS, rows)
    return out / "pathology.csv"


def check_grades(path: Path, graded: Sequence[Mapping[str, Any]]) -> None:
    """Raise InputError unless each row names a patient and a disc, and every grade is empty or a number."""
    for number, row in enumerate(graded, start=1):
        for column, value in row.items():
            known = isinstance(value, float) and math.isfinite(value)
            if column == PATIENT:
                good, wanted = value is not None, "a patient"
            elif column == DISC:
                good, wanted = known and value.is_integer(), "the number of a disc, 1 for L5/S"
            else:
                good, wanted = known or value is None, "a number or an empty cell; remove a column of words"
            if not good:
                came = "nothing" if value is None else repr(value)
                raise InputError(
                    f"{path}, row {number} below the header, column {column!r}: {came} came; "
                    f"{wanted} was expected"
                )


def grades_by_case(
    graded: Sequence[Mapping[str, Any]], dataset: Dataset
) -> dict[tuple[str, int], dict[str, Any]]:
    """Return (case id, disc's label id) -> grades and patient, for each series of each patient.

    Patients without a case are left out.
    """
    cases: dict[str, list[str]] = {}
    for case in dataset:
        cases.setdefault(case.patient, []).append(case.id)
    found: dict[tuple[str, int], dict[str, Any]] = {}
    for row in graded:
        patient = str(int(row[PATIENT])) if isinstance(row[PATIENT], float) else str(row[PATIENT])
        place = int(row[DISC]) - 1
        if 0 <= place < len(_DISCS):
            grades = {k: v for k, v in row.items() if k not in (PATIENT, DISC)}
            found |= {
                (case, _DISCS[place]): {**grades, "patient": patient} for case in cases.get(patient, [])
            }
    return found


def graded_discs(
    row: str, runs: Sequence[RunFolder], grades: Mapping[tuple[str, int], Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Return a line per graded disc that a row was scored on, its seeds averaged."""
    scores: dict[tuple[str, int], list[float]] = {}
    for run in (r for r in runs if r.row == row):
        for line in read_csv(run.cases, ("case", "id", "dsc")):
            if line["id"] is not None and line["dsc"] is not None:
                scores.setdefault((line["case"], int(line["id"])), []).append(line["dsc"])
    mean = {key: float(np.mean(values)) for key, values in scores.items()}
    lines = []
    for (case, disc), grade in grades.items():
        if (case, disc) in mean:
            beside = [mean[case, n] for n in TABLE[disc].neighbours if (case, n) in mean]
            both = float(np.mean(beside)) if beside else None
            line = {"row": row, "case": case, "disc": TABLE[disc].name, **grade}
            lines.append({**line, STRUCTURES[0]: mean[case, disc], STRUCTURES[1]: both})
    return lines


def correlate(
    row: str, grading: str, structure: str, discs: Sequence[Mapping[str, Any]], rng: np.random.Generator
) -> dict[str, Any]:
    """Return one line of the table: Spearman's rho of a row's scores with one grading."""
    kept = [
        d for d in discs if d["row"] == row and d.get(grading) is not None and d.get(structure) is not None
    ]
    grade = np.array([float(d[grading]) for d in kept])
    score = np.array([float(d[structure]) for d in kept])
    patient = np.array([d["patient"] for d in kept])
    counts = {g: score[grade == g] for g in sorted(set(grade.tolist()))}
    line: dict[str, Any] = {"row": row, "grading": grading, "structure": structure}
    line |= {"discs": len(kept), "cases": len({d["case"] for d in kept})}
    line |= {"patients": len(set(patient.tolist())), "grades": len(counts)}
    line["per_grade"] = "; ".join(f"{g:g}: {v.mean():.3f} (n={len(v)})" for g, v in counts.items())
    if reason := too_few(line["discs"], line["patients"], len(counts), score):
        return {**line, "reason": reason}
    low, high = cluster_interval(grade, score, patient, rng)
    return {**line, "spearman": float(stats.spearmanr(grade, score).statistic), "low": low, "high": high}


def too_few(discs: int, patients: int, grades: int, score: np.ndarray) -> str:
    """Say why a correlation is not given; empty where it can be."""
    if discs < FEWEST_PAIRS or patients < FEWEST_PAIRS:
        return f"too few: {discs} discs of {patients} patients, at least {FEWEST_PAIRS} of each were expected"
    if grades < 2:
        return "every disc has the same grade"
    return "every disc has the same score" if np.ptp(score) == 0 else ""


def cluster_interval(
    grade: np.ndarray,
    score: np.ndarray,
    patient: np.ndarray,
    rng: np.random.Generator,
    *,
    level: float = 0.95,
    resamples: int = RESAMPLES // 10,
) -> tuple[float, float]:
    """Return the percentile interval of Spearman's rho when whole patients are drawn with replacement.

    A draw in which all grades are equal has no rank correlation and is drawn again (it can't happen for ever:
    the data has two grades).
    """
    groups = [np.flatnonzero(patient == p) for p in np.unique(patient)]
    found: list[float] = []
    while len(found) < resamples:
        at = np.concatenate([groups[i] for i in rng.integers(len(groups), size=len(groups))])
        if np.ptp(grade[at]) > 0 and np.ptp(score[at]) > 0:
            found.append(float(stats.spearmanr(grade[at], score[at]).statistic))
    low, high = np.percentile(found, [50 * (1 - level), 100 - 50 * (1 - level)])
    return float(low), float(high)
