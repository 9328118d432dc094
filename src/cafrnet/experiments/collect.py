"""From run folders to the scores of rows, checked; what can't be used is named, never silently left out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from ..datasets import Split
from ..errors import CAFRNetError, InputError
from ..evaluation import evaluate
from ..files import write_json
from .job import Job, Plan
from .layout import Folder, RunFolder, read_json
from .own_training import own_training
from .rows import Row
from .score import make_thresholds
from .scores import RowScores, RunScores, check_split, read_run, read_scores


def gather(
    rows: Sequence[Row], folds: Sequence[int], jobs: Plan, split: Split, problems: list[str]
) -> dict[str, RowScores]:
    """Read the scores of rows on some folds.

    Args:
        rows: of a table.
        folds: that the table is about.
        jobs: what was planned.
        split: of the reproduction.
        problems: runs that can't be used are named here.

    Returns:
        Row name -> scores, for the rows with at least one usable run.
    """
    found = {}
    for row in rows:
        expected = jobs.expected(row.name, folds)
        runs = [r for job in expected if (r := _read(job, row, split, problems)) is not None]
        if runs:
            notes = tuple(dict.fromkeys(note for run in runs for note in run.notes))
            found[row.name] = RowScores(
                row.name,
                row.label,
                tuple(runs),
                len(expected),
                notes,
                outputs=jobs.recipes[row.name].num_classes,
                own=own_training(row, jobs.recipes),
                patience=jobs.recipes[row.name].training.patience,
            )
    return found


def _read(job: Job, row: Row, split: Split, problems: list[str]) -> RunScores | None:
    if not job.run.finished:
        return None
    try:
        if read_json(job.run.score).get("hash") != job.hash:
            raise InputError(f"{job.run.name} holds another experiment; remove it or choose another folder")
        scores = read_run(job.run)
        check_split(job.run, scores, split, fewer_cases=row.train_cases is not None)
    except CAFRNetError as error:
        problems.append(str(error))
        return None
    return scores


def folders_of(
    scores: Mapping[str, RowScores], folds: Sequence[int], jobs: Plan
) -> dict[str, tuple[RunFolder, ...]]:
    """Return row -> folders of exactly the runs whose scores the tables use.

    Rows that are one experiment share their folders; each comes under its own name.
    """
    found = {}
    for name, row in scores.items():
        used = {(run.fold, run.seed) for run in row.used}
        runs = [job.run for job in jobs.expected(name, folds)]
        found[name] = tuple(replace(run, row=name) for run in runs if (run.fold, run.seed) in used)
    return found


def from_outside(
    predictions: Mapping[str, Path],
    folder: Folder,
    data: Path,
    split: Split,
    folds: Sequence[int],
    problems: list[str],
) -> dict[str, RowScores]:
    """Score label maps that were made elsewhere (another program, another machine) like the rows' own.

    A missing label map counts as all missed, and the row says so; one that belongs to no test case is named.

    Args:
        predictions: name of the row -> folder of label maps, named after their cases.
        folder: of the reproduction; the scores go to ``outside/<name>/fold<k>``.
        data: the dataset.
        split, folds: whose test cases are scored.
        problems: what could not be scored is named here.

    Returns:
        Row name -> scores. Nothing is known about how they were trained: ``fits`` is empty.
    """
    thresholds = make_thresholds(data, folder.thresholds) if predictions else None
    found = {}
    for name, maps in predictions.items():
        runs = []
        for fold in folds:
            out = folder.root / "outside" / name / f"fold{fold}"
            try:
                scored = evaluate(
                    data,
                    maps,
                    split=folder.split,
                    fold=fold,
                    slices=False,
                    regions=True,
                    thresholds=thresholds,
                )
                others = {c for k in folds if k != fold for c in split.parts(k)["test"]}
                extra = [p for p in scored.summary["extra_predictions"] if not _belongs(p, others)]
                scored.summary["extra_predictions"] = extra
                scored.write(out)
                runs.append(read_scores(out, f"{name}/fold{fold}", fold, 0))
            except CAFRNetError as error:
                problems.append(f"{name}, fold {fold}: {error}")
        if runs:
            notes = tuple(dict.fromkeys(note for run in runs for note in run.notes))
            found[name] = RowScores(name, name, tuple(runs), len(folds), notes)
            write_json(folder.root / "outside" / name / "source.json", {"predictions": str(maps)})
    return found


def _belongs(path: str, cases: set[str]) -> bool:
    from ..datasets.layout import pair_key

    return pair_key(path) in {case.casefold() for case in cases}
