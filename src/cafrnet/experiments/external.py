"""The same models on another dataset: what they are worth where they were not trained."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from ..datasets import Case, Dataset, open_dataset
from ..errors import CAFRNetError, InputError, UsageError
from ..evaluation import evaluate
from ..files import sha256, write_json
from .figures.subject import doubts
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
    own: Dataset,
    taken: Collection[str],
    problems: list[str],
) -> Table:
    """Test every finished model on all labelled cases of another dataset.

    Predictions stay in the model's label ids; the truth's values are read through that dataset's own sets, so
    that classes which it doesn't mark are left out of every score. A case's score is the mean over all models
    of a row (folds and seeds).

    Args:
        data: the other dataset.
        rows: scores on the models' own data.
        runs: row -> the runs behind them.
        folder: of the reproduction.
        context: of the models.
        own: the dataset that they were trained on.
        taken: names of the tables that there are.
        problems: runs that could not be tested are named here.

    Raises:
        UsageError: no model to test, no labelled case, two datasets of one name, or an image that the models
            were trained on.
    """
    if not rows:
        raise UsageError(
            "no finished model of Tables 3 and 4 to test on another dataset; ask for table3 or table4 as well"
        )
    dataset = open_dataset(data)
    table = f"external_{dataset.name}"
    if table in taken:
        raise UsageError(
            f"another external dataset is called {dataset.name!r} too; one table would overwrite the other, "
            "so give one of them another name, in its dataset.yaml"
        )
    cases = [case.id for case in dataset if case.labels is not None]
    if not cases:
        raise UsageError(f"{data} has no labelled case; external validation needs truths")
    need_unseen(dataset, own)
    data_hash = hash_dataset(dataset)
    lines: list[dict[str, Cell]] = []
    left_out: list[str] = []
    for name, scores in rows.items():
        found = []
        for run in runs[name]:
            try:
                tested, missing = _test(run, dataset, data_hash, cases, folder.external(dataset.name, run))
            except CAFRNetError as error:
                problems.append(f"{run.name} on {dataset.name}: {error}")
                continue
            found.append(tested)
            left_out = missing
        lines.append(_line(scores, found))
    caption = (
        f"Models of: {context.caption()} Tested on {dataset.name} ({len(cases)} labelled cases, hash "
        f"{data_hash[:8]}), none of whose image files is one of those above, byte for byte; mean ± standard "
        "deviation over cases, all models of a row averaged per case first. "
        + (f"Not annotated there, left out of every score: {', '.join(left_out)}." if left_out else "")
    )
    title = f"External validation on {dataset.name}"
    return Table(table, title, caption, COLUMNS, tuple(lines), tuple(doubts(rows.values())))


def need_unseen(dataset: Dataset, own: Dataset) -> None:
    """Raise UsageError if an image file of a dataset is one of another's, byte for byte.

    The same scan in another file format, or another scan of the same patient, can't be told from here.
    """
    seen = {_image_hash(case) for case in own}
    same = [case.id for case in dataset if _image_hash(case) in seen]
    if len(same) == len(dataset):
        raise UsageError(f"{dataset.root} holds the scans that the models were trained on; give others")
    if same:
        raise UsageError(
            f"{dataset.root}: the images of {', '.join(same[:5])}{' ...' if len(same) > 5 else ''} are among "
            "those that the models were trained on; give a dataset without them"
        )


def _image_hash(case: Case) -> str:
    if not case.image.is_dir():
        return sha256(case.image)
    hashes = sorted(sha256(file) for file in case.image.rglob("*") if file.is_file())
    return hashlib.sha256("".join(hashes).encode()).hexdigest()


def _test(
    run: RunFolder, dataset: Dataset, data_hash: str, cases: list[str], out: Path
) -> tuple[RunScores, list[str]]:
    """Predict and score, or read what an earlier call found with the same model on the same data.

    Returns:
        The scores, and what the dataset does not annotate.
    """
    mark, about = out / "score.json", {"model": run.model_hash, "data": data_hash, "cases": cases}
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
