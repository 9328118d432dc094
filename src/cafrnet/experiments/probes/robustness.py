"""How much of a model's score is left on worse scans: the word "robust" of the paper's title as numbers.

Every test case of every run is degraded by each artefact at each strength, the same for all models, predicted
with ``model.onnx`` through the runtime, and scored by the evaluator on its native grid.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ...anatomy.options import NamingOptions
from ...datasets import Case, Dataset, open_dataset
from ...errors import CAFRNetError, UsageError, nearest
from ...evaluation import CaseScore, evaluate_arrays
from ...evaluation.scores import mean_of
from ...evaluation.sets import HEADLINE
from ...evaluation.tables import write_csv
from ...files import write_json
from ...inference import Model, load_model, segment_scan
from ...labels import UNKNOWN, ValueSets
from ...processes import pool
from ..layout import RunFolder, read_json
from .artefacts import ARTEFACTS, degrade, load_monai, seed_of
from .robustness_summary import CLEAN, NOTHING_LEFT, SUMMARY, summarise
from .runs import need_one_split, test_cases
from .tables import read_csv

logger = logging.getLogger(__name__)

#: A structure of which a cut leaves less than this share is no fair question: it becomes unknown.
LEAST_LEFT = 0.5
COLUMNS = (
    *("row", "fold", "seed", "case", "kind", "level", "strength"),
    *("dsc", "clean_dsc", "dsc_after_shift", "hd95_mm", "levels_right", "reason"),
)


@dataclass(frozen=True)
class Plan:
    """What is done to every case.

    Attributes:
        kinds: of ``ARTEFACTS``.
        levels: 1 (mild) to 5 (severe).
        seed: of every artefact.
        cases: at most this many test cases of each run, the first of its split; None for all.
        naming: whether levels are named by the runtime's sequence step after the network. Off by default:
            the paper's networks have none, and it would answer for them.
    """

    kinds: tuple[str, ...] = tuple(ARTEFACTS)
    levels: tuple[int, ...] = (1, 2, 3, 4, 5)
    seed: int = 0
    cases: int | None = None
    naming: bool = False

    @property
    def postprocessing(self) -> NamingOptions:
        """The steps that follow the network."""
        return NamingOptions() if self.naming else NamingOptions.without("all")

    def __post_init__(self) -> None:
        for kind in self.kinds:
            if kind not in ARTEFACTS:
                raise UsageError(f"no artefact {kind!r}{nearest(kind, ARTEFACTS)}")
        if not self.levels or not set(self.levels) <= {1, 2, 3, 4, 5}:
            raise UsageError(
                f"strengths {self.levels} came; numbers from 1 (mild) to 5 (severe) were expected"
            )

    def steps(self) -> list[tuple[str, int, float]]:
        """Return (kind, level, strength): the clean scan first."""
        degraded = [(k, n, ARTEFACTS[k].strengths[n - 1]) for k in self.kinds for n in self.levels]
        return [(CLEAN, 0, 0.0), *degraded]


def robustness(
    runs: Sequence[RunFolder],
    data: str | Path,
    out: Path,
    *,
    plan: Plan | None = None,
    threads: int | None = None,
    workers: int = 1,
) -> Path:
    """Test all runs on degraded scans.

    Args:
        runs: of one reproduction, trained.
        data: the dataset that they were trained on.
        out: folder for ``robustness.csv`` (every case), ``robustness_summary.csv`` (means, and changes from
            the clean scan with intervals over cases) and ``parts/``, from which an interrupted call goes on.
        plan: what is done; everything if not given.
        threads: of one inference; None takes all cores.
        workers: runs that are tested at a time, each in a process with its share of the cores.

    Returns:
        The path of ``robustness_summary.csv``.

    Raises:
        UsageError: no runs, runs of different splits, or a case that the dataset doesn't have.
    """
    plan = plan or Plan()
    need_one_split(runs)
    dataset = open_dataset(data)
    if workers > 1:
        load_monai()  # what is missing is said here, not in a process
        _in_processes(runs, data, out, plan, workers)
    rows = [row for run in runs for row in robustness_of(run, dataset, out, plan, threads=threads)]
    write_csv(out / "robustness.csv", COLUMNS, rows)
    write_csv(out / "robustness_summary.csv", SUMMARY, summarise(rows, np.random.default_rng(plan.seed)))
    return out / "robustness_summary.csv"


def _in_processes(runs: Sequence[RunFolder], data: str | Path, out: Path, plan: Plan, workers: int) -> None:
    """Write the parts of several runs at a time; an error of one stops the others once they are done."""
    threads = max(1, (os.cpu_count() or 1) // workers)
    with pool(workers) as processes:
        waiting = [processes.submit(_write_part, run, str(data), out, plan, threads) for run in runs]
        for one in waiting:
            one.result()


def _write_part(run: RunFolder, data: str, out: Path, plan: Plan, threads: int) -> None:
    robustness_of(run, open_dataset(data), out, plan, threads=threads)


def robustness_of(
    run: RunFolder, dataset: Dataset, out: Path, plan: Plan, *, threads: int | None = None
) -> list[dict[str, Any]]:
    """Test one run, or read what an earlier call found with the same model and plan.

    Returns:
        Rows of ``COLUMNS``; a case that failed has a reason instead of scores.
    """
    cases = dataset.select(list(test_cases(run)))[: plan.cases]
    part = out / "parts" / f"{run.row}-fold{run.fold}-seed{run.seed}.csv"
    about = {
        "columns": list(COLUMNS),
        "model": run.model_hash,
        "cases": [c.id for c in cases],
        "seed": plan.seed,
        "naming": plan.naming,
        "steps": [list(step) for step in plan.steps()],
    }
    mark = part.with_suffix(".json")
    if not (part.is_file() and mark.is_file() and read_json(mark) == about):
        model = replace(
            load_model(run.path, threads=threads, engine="onnxruntime"), postprocessing=plan.postprocessing
        )
        rows = [{**_place(run), **row} for case in cases for row in degraded_scores(case, model, plan)]
        write_csv(part, COLUMNS, rows)
        write_json(mark, about)
    return read_csv(part, COLUMNS)


def _place(run: RunFolder) -> dict[str, Any]:
    return {"row": run.row, "fold": run.fold, "seed": run.seed}


def degraded_scores(case: Case, model: Model, plan: Plan) -> Iterator[dict[str, Any]]:
    """Yield a row for the clean scan and for each degraded one.

    ``clean_dsc`` is that of the clean scan over the same structures as ``dsc``; changes are held against it.
    """
    scan = case.read()
    truth = case.read_truth(scan)
    clean: CaseScore | None = None
    for kind, level, strength in plan.steps():
        row: dict[str, Any] = {"case": case.id, "kind": kind, "level": level, "strength": strength}
        try:
            left, rows = scan, slice(0, None)
            if kind != CLEAN:
                left, rows = degrade(scan, kind, strength, seed_of(plan.seed, case.id, kind))
            kept, cut = cut_truth(truth, case.sets, scan.frame, rows)
            found = evaluate_arrays(
                kept, segment_scan(left, model).labels, scan.spacing_mm, sets=case.sets, case=case.id
            )
        except CAFRNetError as error:
            logger.warning("%s, %s %g: %s", case.id, kind, strength, error)
            yield {**row, "reason": str(error)}
            continue
        clean = found if kind == CLEAN else clean
        yield {**row, **_scores(found, clean, [i for i in HEADLINE if i not in cut])}


def _scores(found: CaseScore, clean: CaseScore | None, ids: Sequence[int]) -> dict[str, Any]:
    states = list(found.levels.status.values()) if found.levels else []
    dsc = found.mean("dsc", ids)
    return {
        "dsc": dsc,
        "clean_dsc": clean.mean("dsc", ids) if clean else None,
        "dsc_after_shift": mean_of(found.rows_after_shift, "dsc", ids),
        "hd95_mm": found.mean("hd95_mm", ids),
        "levels_right": sum(s == "right" for s in states) / len(states) if states else None,
        "reason": "" if dsc is not None else NOTHING_LEFT,
    }


def cut_truth(
    truth: np.ndarray, sets: ValueSets, frame: Any, rows: slice
) -> tuple[np.ndarray, frozenset[int]]:
    """Return the truth of the rows that stay, and the structures that lost more than half of themselves.

    Those are no fair question any more, and no part of a score: what is left of them is unknown in the truth,
    and a voxel of them beside it, which would be a small error of an outline, would count as invented.

    Args:
        truth: values in array order.
        sets: what they stand for.
        frame: of the scan (:class:`cafrnet.scan.SagittalFrame`).
        rows: sagittal rows that stay.

    Returns:
        Values in array order, ``UNKNOWN`` where such a structure was; and their ids. Background stays.
    """
    sagittal = frame.to_sagittal(truth)
    kept = sagittal[:, rows].copy()
    if kept.shape == sagittal.shape:
        return truth, frozenset()
    before, after = (np.bincount(sets.principal(a).ravel(), minlength=UNKNOWN + 1) for a in (sagittal, kept))
    cut = frozenset(np.flatnonzero(after < LEAST_LEFT * before).tolist()) - {0, UNKNOWN}
    kept[np.isin(sets.principal(kept), list(cut))] = UNKNOWN
    return np.ascontiguousarray(frame.to_array(kept)), cut
