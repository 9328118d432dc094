"""Second stage of a job: predict the test cases with ``model.onnx`` and score them with the one evaluator."""

from __future__ import annotations

import time
from dataclasses import asdict, replace
from pathlib import Path

from ..anatomy.options import NamingOptions
from ..datasets import Split, open_dataset
from ..errors import InputError
from ..evaluation import evaluate
from ..evaluation.dataset import Evaluation, region_thresholds
from ..evaluation.signal import Thresholds
from ..files import write_json
from ..inference import load_model, segment_scan
from .job import Job
from .layout import RunFolder, read_json

#: No step between the network's answer and its score.
NETWORK_ALONE = NamingOptions.without("all")
#: The same for all rows, whatever else is installed.
ENGINE = "onnxruntime"


def score(job: Job) -> bool:
    """Predict and score the test cases of a trained job; ``score.json`` is written last.

    Returns:
        Whether anything was scored.

    Raises:
        InputError: a case that could not be predicted or scored; the run is not finished then.
    """
    run = job.run
    if run.finished and read_json(run.score).get("hash") == job.hash:
        return False
    began = time.perf_counter()
    split = Split.load(job.split)
    seconds = predict(run, job.data, split.parts(job.fold)["test"], job.threads)
    found = evaluate(
        job.data,
        run.predictions,
        run.path,
        split=job.split,
        fold=job.fold,
        slices=False,
        regions=True,
        thresholds=read_thresholds(job.thresholds),
    )
    check(found, run)
    write_json(
        run.score,
        {
            "hash": job.hash,
            "cases": [case.id for case in found.cases],
            "seconds_per_case": round(seconds, 3),
            "minutes": round((time.perf_counter() - began) / 60, 3),
        },
    )
    return True


def predict(
    run: RunFolder, data: Path, cases: list[str], threads: int | None = None, *, into: Path | None = None
) -> float:
    """Write the label maps of cases, and return the mean seconds per case, reading and writing included.

    Each pixel keeps the class that the network gives it: the paper knows no post-processing, and the rows are
    about networks. What lies in the folder is replaced: a label map there may come from other weights.

    Args:
        run: with ``model.onnx``.
        data: folder of the dataset.
        cases: their ids.
        threads: of one inference; None takes all cores.
        into: folder of the label maps; the run's own if not given.
    """
    began = time.perf_counter()
    into = into or run.predictions
    if into.is_dir():
        for old in into.iterdir():
            old.unlink()
    model = replace(load_model(run.path, threads=threads, engine=ENGINE), postprocessing=NETWORK_ALONE)
    for case in open_dataset(data).select(cases):
        segment_scan(case.read(), model).save(into / run.prediction(case.id).name)
    return (time.perf_counter() - began) / max(1, len(cases))


def check(found: Evaluation, run: RunFolder) -> None:
    """Raise InputError unless each prediction was scored and none is missing or too many."""
    if found.failed:
        why = "; ".join(f"{case}: {reason}" for case, reason in found.failed.items())
        raise InputError(f"{run.name}: {len(found.failed)} cases could not be scored: {why}")
    if missing := found.summary["cases"]["without_prediction"]:
        raise InputError(f"{run.name}: no prediction for {', '.join(missing)}; run it again")
    if extra := found.summary["extra_predictions"]:
        raise InputError(f"{run.name}: predictions that belong to no test case: {', '.join(extra)}")


def make_thresholds(data: Path, path: Path) -> Thresholds:
    """Return what counts as low contrast over the whole dataset, and keep it in a file.

    All cases are test cases once, so the thresholds are those of the pooled test set whatever folds are run.
    """
    if path.is_file():
        return read_thresholds(path)
    found = region_thresholds(data)
    write_json(path, asdict(found))
    return found


def read_thresholds(path: Path) -> Thresholds:
    """Read the thresholds.

    Raises:
        InputError: missing, or not what :func:`make_thresholds` wrote.
    """
    try:
        return Thresholds(**read_json(path))
    except TypeError as error:
        raise InputError(f"{path} holds no thresholds: {error}; remove it, it is made again") from error
