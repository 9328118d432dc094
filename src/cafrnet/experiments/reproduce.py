"""The paper's experimental section on any labelled dataset: ``cafrnet reproduce`` as a function."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ..datasets import Dataset, Split, make_split, open_dataset
from ..errors import UsageError
from .engines import Clock, Outcome, Progress, run_jobs
from .job import Place, plan
from .layout import Folder
from .manifest import hash_dataset, identity, need_same, note_runs, write_manifest
from .nnunet.bridge import Bridge
from .nnunet.package import Package
from .nnunet.row import real_row
from .nnunet.settings import Settings
from .protocol import FOLDS, Budget, budget
from .study import make_study, resolve
from .write import Work, Written, write_all


@dataclass(frozen=True)
class Options:
    """What a user may want otherwise; see ``docs/reproduce.md``.

    Attributes:
        steps, folds, seeds: instead of the budget's.
        changes: words for all rows alike, such as ``training.lr=5e-4``.
        sizes: of the three networks with two sizes; None takes the budget's.
        rows: only these rows; a name that is no row is taken as a recipe and becomes a row of Table 3.
        split: file of a split into folds; None makes one with seed 0, or takes the folder's.
        engine, workers, ray_address: see :func:`~.engines.run_jobs`.
        minutes: after which nothing new is started.
        threads: of latency and memory.
        external: folders of other datasets on which all models are tested.
        predictions: name -> folder of label maps from elsewhere, scored as a row of Table 3.
        nnunet: the real nnU-Net as a row of Table 3; None for no such row.
        train: whether anything is trained; False writes tables from what is there.
    """

    steps: int | None = None
    folds: tuple[int, ...] | None = None
    seeds: tuple[int, ...] | None = None
    changes: tuple[str, ...] = ()
    sizes: str | None = None
    rows: tuple[str, ...] = ()
    split: Path | None = None
    engine: str = "local"
    workers: int = 1
    ray_address: str | None = None
    minutes: float | None = None
    threads: int = 2
    external: tuple[Path, ...] = ()
    predictions: dict[str, Path] = field(default_factory=dict)
    nnunet: Settings | None = None
    train: bool = True


@dataclass(frozen=True)
class Result:
    """What a reproduction gave.

    Attributes:
        folder: with everything.
        outcomes: of all jobs.
        written: tables, figures, page, and what could not be made.
    """

    folder: Folder
    outcomes: tuple[Outcome, ...]
    written: Written

    @property
    def complete(self) -> bool:
        """Whether everything that was asked for is there."""
        return not self.written.problems and all(o.status in ("done", "skipped") for o in self.outcomes)


def reproduce(
    what: Sequence[str],
    data: str | Path,
    out: str | Path,
    *,
    budget_name: str = "small",
    options: Options | None = None,
    command: Sequence[str] = ("cafrnet.experiments.reproduce",),
    progress: Progress | None = None,
) -> Result:
    """Run the experiments, or go on with them, and write every table.

    Args:
        what: of :data:`~.study.WHAT`, or ``all``.
        data: folder of a labelled dataset.
        out: folder of the reproduction, new or one to go on with.
        budget_name: ``smoke``, ``small`` or ``full``.
        options: what is wanted otherwise.
        command: for the manifest.
        progress: called after each job.

    Raises:
        UsageError: nothing could start: unknown words, a folder of another reproduction, too few patients.
        Interrupted: Ctrl-C; the same call goes on.
    """
    options = options or Options()
    clock = Clock.after(options.minutes)
    wanted = resolve(what)
    if options.nnunet and "table3" not in wanted:
        raise UsageError(f"the real nnU-Net is a row of table3, which was not asked for: {', '.join(wanted)}")
    spent = budget(budget_name, steps=options.steps, folds=options.folds, seeds=options.seeds)
    dataset, folder = open_dataset(data), Folder(Path(out))
    split = the_split(dataset, folder, options.split, spent)
    same = identity(spent, options.changes, hash_dataset(dataset), split.hash)
    need_same(folder, same)
    study = make_study(wanted, spent, split, sizes=options.sizes, only=options.rows)
    place = Place(folder, Path(data).resolve(), same["data"], split.hash)
    jobs = plan(study.asked(), spent, options.changes, place)
    bridge = None
    if options.nnunet:
        package = Package.find(options.nnunet.python, options.nnunet.trainer)
        bridge = Bridge(package, options.nnunet, dataset, same["data"], split, folder)
    split.save(folder.split)
    study.write_small_splits(split, folder, spent.seeds)
    write_manifest(
        folder,
        command=command,
        what=wanted,
        budget=spent,
        same=same,
        dataset=dataset,
        data=place.data,
        jobs=jobs,
        options=_plain(options),
    )
    outcomes: list[Outcome] = []
    try:
        if options.train:
            outcomes = run_jobs(
                jobs.jobs,
                engine=options.engine,
                workers=options.workers,
                clock=clock,
                progress=progress,
                ray_address=options.ray_address,
            )
    finally:
        manifest = note_runs(folder, outcomes)
    real = real_row(bridge, spent.folds, clock, train=options.train) if bridge else None
    work = Work(study, jobs, dataset, split, spent, folder, place.data, manifest, clock, real)
    written = write_all(
        work,
        outcomes,
        threads=options.threads,
        workers=options.workers,
        external=options.external,
        predictions=options.predictions,
    )
    return Result(folder, tuple(outcomes), written)


def the_split(dataset: Dataset, folder: Folder, given: Path | None, spent: Budget) -> Split:
    """Return the split of a reproduction: the folder's own, the given one, or a new one with seed 0.

    Raises:
        UsageError: a given split that is not the folder's, that has no folds, or fewer than are to be tested.
    """
    there = Split.load(folder.split, dataset) if folder.split.is_file() else None
    asked = Split.load(given, dataset) if given else None
    if there and asked and there.hash != asked.hash:
        raise UsageError(
            f"{given} is not the split of {folder.root} ({asked.hash[:8]} and {there.hash[:8]}): rows of two "
            "splits can't be compared; choose another folder with -o"
        )
    split = there or asked or make_split(dataset, seed=0, folds=FOLDS)
    if split.kind != "folds":
        raise UsageError(f"{given} has no folds; make one with 'cafrnet data split --folds {FOLDS}'")
    if wrong := [k for k in spent.folds if k >= len(split.folds)]:
        raise UsageError(f"fold {wrong[0]} was asked for; the split has {len(split.folds)}, counted from 0")
    return split


def _plain(options: Options) -> dict[str, Any]:
    """Return options as JSON takes them."""
    plain = asdict(options)
    plain["split"] = None if options.split is None else str(options.split)
    if options.nnunet:
        plain["nnunet"]["python"] = str(options.nnunet.python)
    plain["external"] = [str(path) for path in options.external]
    plain["predictions"] = {name: str(path) for name, path in options.predictions.items()}
    return plain
