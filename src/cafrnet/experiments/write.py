"""Everything that is written once the runs are there: tables, figures, one page."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial as partial_of
from pathlib import Path
from typing import Any

from ..datasets import Dataset, Split
from ..errors import CAFRNetError
from .collect import folders_of, from_outside, gather
from .cost import Cost, measure
from .engines import LATE, Clock, Outcome
from .external import external as external_table
from .figures.drawing import NothingToShow
from .figures.subject import Made, Subject
from .job import Plan
from .layout import Folder
from .nnunet.row import RealRow
from .page import Written, write_page
from .parts import draw_sensitivity, makers
from .protocol import Budget
from .rows import REFERENCE, TABLE4, Row
from .score import read_thresholds
from .scores import RowScores
from .study import FULL, Study
from .tables.ablation import ablation
from .tables.claims import claims
from .tables.comparison import all_pairs, comparison
from .tables.context import Context
from .tables.interaction import interaction
from .tables.regions import by_region, region_pairs
from .tables.sensitivity import sensitivity
from .tables.shapes import shapes
from .tables.structures import by_structure

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Work:
    """What there is to write about."""

    study: Study
    jobs: Plan
    dataset: Dataset
    split: Split
    budget: Budget
    folder: Folder
    data: Path
    manifest: Mapping[str, Any]
    clock: Clock
    real: RealRow | None = None

    def context(self, folds: Sequence[int], partial: str) -> Context:
        """Return what stands in captions."""
        same = self.manifest["identity"]
        return Context(
            dataset=self.dataset.name,
            data_hash=same["data"],
            cases=len(self.split.ids),
            folds=tuple(folds),
            all_folds=len(self.split.folds),
            steps=self.budget.steps,
            batch=self.budget.batch,
            seeds=self.budget.seeds,
            budget=self.budget.name,
            split_hash=self.split.hash,
            changes=tuple(same["changes"]),
            partial=partial,
        )

    def scores(self, rows: Sequence[Row], folds: Sequence[int], problems: list[str]) -> dict[str, RowScores]:
        """Return the scores of rows on some folds; what can't be used is named once in ``problems``."""
        found: list[str] = []
        scores = gather(rows, folds, self.jobs, self.split, found)
        problems += [problem for problem in found if problem not in problems]
        return scores


def write_all(
    work: Work,
    outcomes: Sequence[Outcome],
    *,
    threads: int = 2,
    workers: int = 1,
    external: Sequence[Path] = (),
    predictions: Mapping[str, Path] | None = None,
) -> Written:
    """Write tables, figures and ``index.html`` from the runs that are there.

    Args:
        work: what there is.
        outcomes: of the jobs that were just run.
        threads: of latency and memory.
        workers: runs that robustness tests at a time.
        external: other datasets to test all models on.
        predictions: name -> label maps from elsewhere.

    Returns:
        What was written; a part that failed is a problem there and doesn't stop the others.
    """
    written = Written()
    partial = unfinished(work, outcomes)
    tables: dict[str, Callable[[], None]] = {
        "table3": lambda: _table3(work, written, partial, threads, predictions or {}),
        "table4": lambda: _table4(work, written, partial),
        "sensitivity": lambda: _sensitivity(work, written, partial),
    }
    for part in work.study.what:
        if part in tables:
            _attempt(part, tables[part], written)
    if {"table3", "table4"} & set(work.study.what):
        _attempt("claims", lambda: _claims(work, written, partial), written)
    for path in external:
        _attempt(f"external {path}", partial_of(_external, work, written, path, partial), written)
    _save(work, written, partial)  # before what takes long: an interruption there loses no table
    for part in work.study.what:
        _attempt(part, partial_of(_draw, part, work, written, partial, threads, workers), written)
    _save(work, written, partial)
    return written


def _save(work: Work, written: Written, partial: str) -> None:
    for table in written.tables:
        table.write(work.folder.tables)
    write_page(work.folder, written, work.manifest, partial)


def unfinished(work: Work, outcomes: Sequence[Outcome]) -> str:
    """Say how many runs are missing, and why; empty if none is."""
    missing = [job for job in work.jobs.jobs if not job.run.finished]
    if not missing:
        return ""
    failed = sum(o.status == "failed" for o in outcomes)
    late = sum(o.status == "not started" for o in outcomes)
    why = [f"{failed} failed"] * bool(failed) + [f"{late} not started before the time limit"] * bool(late)
    return f"{len(missing)} of {len(work.jobs.jobs)} runs are missing" + (
        f" ({', '.join(why)})" if why else ""
    )


def _draw(part: str, work: Work, written: Written, partial: str, threads: int, workers: int) -> None:
    """Draw and measure what belongs to a part beside its tables; nothing new after the time limit."""
    subject = _subject(part, work, partial, written.problems, threads, workers)
    for name, make in makers(part, subject).items():
        if work.clock.over:
            written.problems.append(f"{name}: {LATE}")
        else:
            _attempt(name, partial_of(_add, written, make), written)


def _subject(part: str, work: Work, partial: str, problems: list[str], threads: int, workers: int) -> Subject:
    study, curve = work.study, part == "learning-curve"
    folds = study.few_folds if curve else study.folds
    rows = study.curve_rows if curve else [*study.comparison, *study.ablation]
    scores = work.scores(rows, folds, problems)
    return Subject(
        folder=work.folder,
        data=work.data,
        comparison=tuple(row.name for row in study.comparison),
        ablation=tuple(row.name for row in study.ablation),
        reference=REFERENCE,
        scores=scores,
        found=folders_of(scores, folds, work.jobs),
        context=work.context(folds, partial),
        curve={name: {row.name: row.train_cases or 0 for row in own} for name, own in study.curve.items()},
        sizes_left_out=study.sizes_left_out,
        levels=work.budget.strengths,
        disturbed=work.budget.disturbed,
        thresholds=read_thresholds(work.folder.thresholds) if work.folder.thresholds.is_file() else None,
        threads=threads,
        workers=workers,
    )


def _add(written: Written, make: Callable[[], Made]) -> None:
    made = make()
    written.tables += made.tables
    written.figures |= {drawn.path: drawn.caption for drawn in made.figures}


def _external(work: Work, written: Written, path: Path, partial: str) -> None:
    rows = [*work.study.comparison, *work.study.ablation]
    scores = work.scores(rows, work.study.folds, written.problems)
    runs = folders_of(scores, work.study.folds, work.jobs)
    context = work.context(work.study.folds, partial)
    taken = [table.name for table in written.tables]
    made = external_table(path, scores, runs, work.folder, context, work.dataset, taken, written.problems)
    written.tables.append(made)


def _attempt(part: str, make: Callable[[], None], written: Written) -> None:
    try:
        make()
    except NothingToShow as nothing:
        written.notes.append(f"{part}: {nothing}")
    except CAFRNetError as error:
        written.problems.append(f"{part}: {error}")
    except Exception as error:  # a fault of one part, or a process that was killed, costs no other part
        logger.exception("%s could not be made", part)
        written.problems.append(f"{part}: {type(error).__name__}: {error}")


def _table3(work: Work, written: Written, partial: str, threads: int, outside: Mapping[str, Path]) -> None:
    rows = list(work.study.comparison)
    scores = work.scores(rows, work.study.folds, written.problems)
    found = from_outside(outside, work.folder, work.data, work.split, work.study.folds, written.problems)
    rows += [Row(name, f"{name} (from outside)", name) for name in outside]
    scores |= found
    costs, about = measure(
        {row.name: work.jobs.recipes[row.name] for row in work.study.comparison},
        {row.name: _any_model(work, row) for row in work.study.comparison if row.name in scores},
        work.folder.root / "cost.json",
        threads=threads,
    )
    if work.real:
        _add_real(work.real, rows, scores, costs, written)
    measured = f"ONNX Runtime, one slice, {about['threads']} threads, {about['machine']}, median of "
    measured += f"{about['rounds']} interleaved rounds; memory of a fresh process"
    context = work.context(work.study.folds, partial)
    written.tables += [
        comparison(rows, scores, costs, context, measured),
        all_pairs(rows, scores, context),
        by_structure(rows, scores, context),
        by_region(rows, scores, context),
        region_pairs(rows, scores, context),
        shapes(rows, scores, context),
    ]


def _add_real(
    real: RealRow, rows: list[Row], scores: dict[str, RowScores], costs: dict[str, Cost], written: Written
) -> None:
    """Add the real nnU-Net to the rows of Table 3, and name what of it is not there."""
    rows.append(real.row)
    written.problems += real.problems
    if real.missing:
        written.problems.append(f"{real.row.label}: folds {', '.join(map(str, real.missing))} were not run")
    if real.scores:
        scores[real.row.name] = real.scores
    if real.cost:
        costs[real.row.name] = real.cost


def _any_model(work: Work, row: Row) -> Path:
    """Return a model of a row, or where the first was: cost does not depend on the fold."""
    models = [job.run.model for job in work.jobs.expected(row.name, work.study.folds)]
    return next((path for path in models if path.is_file()), models[0])


def _table4(work: Work, written: Written, partial: str) -> None:
    rows = TABLE4  # all of them: a row that was not asked for is "not run"
    scores = work.scores(work.study.ablation, work.study.folds, written.problems)
    context = work.context(work.study.folds, partial)
    written.tables += [
        ablation(rows, scores, context),
        interaction(rows, scores, context),
        by_region(rows, scores, context, "table4_regions"),
        region_pairs(rows, scores, context, "table4_regions_pairs"),
        shapes(rows, scores, context, "table4_shapes"),
    ]


def _claims(work: Work, written: Written, partial: str) -> None:
    rows = {row.name: row for row in (*work.study.comparison, *work.study.ablation)}
    # what can't be used was named with the table that it belongs to
    scores = work.scores(list(rows.values()), work.study.folds, [])
    written.tables.insert(0, claims(scores, work.context(work.study.folds, partial)))


def _sensitivity(work: Work, written: Written, partial: str) -> None:
    study = work.study
    rows = [FULL, *study.points_of_study]
    scores = work.scores(rows, study.few_folds, written.problems)
    context = work.context(study.few_folds, partial)
    written.tables.append(sensitivity(study.factors, study.points, scores, context))
    _add(written, lambda: draw_sensitivity(study.factors, study.points, scores, work.folder, context))
