"""The same models on another dataset: what they are worth where they were not trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from ..datasets import Dataset, open_dataset
from ..errors import CAFRNetError, InputError, UsageError
from ..evaluation import evaluate
from ..files import write_json
from .layout import Folder, RunFolder, read_json
from .manifest import hash_dataset
from .score import check, predict
from .scores import RowScores, RunScores, read_scores
from .tables.comparison import mean_of
from .tables.context import Context
from .tables.table import Cell, Column, Nothing, Table

COLUMNS = (
    Column("method", "Method"),
    Column("dsc", "DSC (%)", 2, 100.0),
    Column("hd95_mm", "HD95 (mm)", 2),
    Column("iou", "mIoU (%)", 2, 100.0),
    Column("dsc_after_shift", "DSC after best shift (%)", 2, 100.0),
    Column("levels_right", "levels right (%)", 1, 100.0),
    Column("missed_rate", "missed (%)", 1, 100.0),
    Column("cases", "cases"),
    Column("models", "models"),
    Column("own", "DSC on its own data (%)", 2, 100.0),
)


def external(
    data: Path,
    rows: Mapping[str, RowScores],
    runs: Mapping[str, Sequence[RunFolder]],
    folder: Folder,
    context: Context,
    data_hash: str,
    problems: list[str],
) -> Table:
    """Test every finished model on all labelled cases of another dataset.

    Predictions stay in the model's label ids; the truth's values are read through that dataset's own sets, so
    that classes which it doesn't mark are left out of every score. A case's score is the mean over all models
    of a row (folds and seeds): none of them saw it.

    Args:
        data: the other dataset.
        rows: scores on the models' own data.
        runs: row -> finished runs.
        folder: of the reproduction.
        context: of the models.
        data_hash: of the dataset that they were trained on.
        problems: runs that could not be tested are named here.

    Raises:
        UsageError: the dataset is the one that the models were trained on, or has no labelled case.
    """
    dataset = open_dataset(data)
    cases = [case.id for case in dataset if case.labels is not None]
    if not cases:
        raise UsageError(f"{data} has no labelled case; external validation needs truths")
    if hash_dataset(dataset) == data_hash:
        raise UsageError(f"{data} is the dataset that the models were trained on; give another one")
    lines: list[dict[str, Cell]] = []
    left_out: list[str] = []
    for name, own in rows.items():
        found = []
        for run in runs[name]:
            try:
                scores, missing = _test(run, dataset, cases, folder.external(dataset.name, run))
            except CAFRNetError as error:
                problems.append(f"{run.name} on {dataset.name}: {error}")
                continue
            found.append(scores)
            left_out = missing
        lines.append(_line(own, found))
    caption = (
        f"Models of: {context.caption()} Tested on {dataset.name} ({len(cases)} labelled cases), none of "
        "which they saw; mean ± standard deviation over cases, all models of a row averaged per case "
        "first. "
        + (f"Not annotated there, left out of every score: {', '.join(left_out)}." if left_out else "")
    )
    return Table(
        f"external_{dataset.name}", f"External validation on {dataset.name}", caption, COLUMNS, tuple(lines)
    )


def _test(run: RunFolder, dataset: Dataset, cases: list[str], out: Path) -> tuple[RunScores, list[str]]:
    """Predict and score, or read what an earlier call found with the same model.

    Returns:
        The scores, and what the dataset does not annotate.
    """
    mark, about = out / "score.json", {"model": run.model_hash, "cases": cases}
    if not (mark.is_file() and read_json(mark) == about):
        there = RunFolder(out, run.row, run.fold, run.seed)
        predict(run, dataset.root, cases, into=there.predictions)
        scored = evaluate(dataset.root, there.predictions, out, slices=False)
        check(scored, there)
        write_json(mark, about)
    try:
        missing = list(read_json(out / "summary.json")["not_annotated"])
    except KeyError as error:
        raise InputError(f"{out / 'summary.json'} lacks {error}; remove {mark} and run again") from error
    # all models of a row are averaged per case, like seeds
    return read_scores(out, run.name, 0, 1000 * run.seed + run.fold), missing


def _line(own: RowScores, found: Sequence[RunScores]) -> dict[str, Cell]:
    line: dict[str, Cell] = {"method": own.label, "own": mean_of(own, "dsc"), "models": len(found)}
    if not found:
        return {**line, "dsc": Nothing("no model could be tested")}
    scores = RowScores(own.name, own.label, tuple(found), len(found))
    line |= {
        c.key: mean_of(scores, c.key) for c in COLUMNS if c.key not in ("method", "cases", "models", "own")
    }
    return {**line, "cases": len(scores.cases)}
