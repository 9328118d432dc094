"""Where everything of one reproduction lies. Nothing else in the house puts these paths together.

::

    DIR/manifest.json                     what was run, enough to run it again
    DIR/split.json                        the folds, a copy
    DIR/splits/                           splits with fewer training cases, for the learning curve
    DIR/thresholds.json                   what counts as low contrast, pooled over all test cases
    DIR/runs/<row>/fold<k>/seed<s>/       one training: see RunFolder
    DIR/external/<name>/<row>/fold<k>/seed<s>/   the same models on another dataset
    DIR/nnunetv2/                         the real nnU-Net: raw, preprocessed, results, logs, and its runs
    DIR/probes/*.csv                      robustness, pathology, LAFR's maps, embeddings: every case
    DIR/tables/<name>.csv|md|tex          DIR/figures/<name>.png|txt (the caption)
    DIR/index.html                        everything on one page
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..files import sha256

#: What a finished run can do without; patterns within its folder.
LARGE = ("*.ckpt", "*.onnx", "*.safetensors", "predictions/", "tensorboard/")

_PLACE = re.compile(r"fold(\d+)/seed(\d+)")


@dataclass(frozen=True)
class RunFolder:
    """One training of one row on one fold with one seed.

    Files: those of every run (``config.yaml split.json journal.csv model.onnx ...``), and

    - ``fit.json``: what training took (hash of the job, minutes, steps, peak memory, converged);
    - ``predictions/<case>_seg.nii.gz``: of the test cases of the fold, on their native grid;
    - ``cases.csv cases_after_shift.csv regions.csv summary.json``: what the evaluator wrote;
    - ``score.json``: written last: the run is finished (hash of the job, minutes).

    A finished run may lose its large files (:data:`LARGE`): its scores stay in every table, and it is not
    trained again. What needs its model or its label maps says that they are gone.
    """

    path: Path
    row: str
    fold: int
    seed: int

    @property
    def model(self) -> Path:
        """``model.onnx``; the folder itself is what ``load_model`` takes."""
        return self.path / "model.onnx"

    @property
    def journal(self) -> Path:
        """``journal.csv``: one line per epoch."""
        return self.path / "journal.csv"

    @property
    def config(self) -> Path:
        """``config.yaml``: the recipe that was trained."""
        return self.path / "config.yaml"

    @property
    def split(self) -> Path:
        """``split.json`` that it was trained with."""
        return self.path / "split.json"

    @property
    def fit(self) -> Path:
        """``fit.json``."""
        return self.path / "fit.json"

    @property
    def score(self) -> Path:
        """``score.json``."""
        return self.path / "score.json"

    @property
    def predictions(self) -> Path:
        """Folder of the label maps."""
        return self.path / "predictions"

    @property
    def cases(self) -> Path:
        """``cases.csv`` of the evaluator."""
        return self.path / "cases.csv"

    @property
    def regions(self) -> Path:
        """``regions.csv`` of the evaluator."""
        return self.path / "regions.csv"

    @property
    def summary(self) -> Path:
        """``summary.json`` of the evaluator."""
        return self.path / "summary.json"

    def prediction(self, case: str) -> Path:
        """Return the label map of a test case."""
        return self.predictions / f"{case}_seg.nii.gz"

    @property
    def trained(self) -> bool:
        """Whether there is nothing left to train: a model, or scores of one that was not kept."""
        return self.fit.is_file() and (self.model.is_file() or self.score.is_file())

    @property
    def finished(self) -> bool:
        """Whether there are scores."""
        return self.fit.is_file() and self.score.is_file()

    @property
    def model_hash(self) -> str:
        """SHA-256 of ``model.onnx``.

        Raises:
            InputError: the model was not kept.
        """
        if not self.model.is_file():
            raise InputError(
                f"{self.name} was kept without its model, which is needed here; without its score.json "
                "the same command trains it again"
            )
        return sha256(self.model)

    @property
    def name(self) -> str:
        """``row/fold0/seed0``, for messages."""
        return f"{self.row}/fold{self.fold}/seed{self.seed}"


@dataclass(frozen=True)
class Folder:
    """The folder of one reproduction."""

    root: Path

    @property
    def manifest(self) -> Path:
        """``manifest.json``."""
        return self.root / "manifest.json"

    @property
    def split(self) -> Path:
        """``split.json``."""
        return self.root / "split.json"

    @property
    def thresholds(self) -> Path:
        """``thresholds.json``."""
        return self.root / "thresholds.json"

    @property
    def tables(self) -> Path:
        """Folder of the tables."""
        return self.root / "tables"

    @property
    def figures(self) -> Path:
        """Folder of the figures."""
        return self.root / "figures"

    @property
    def probes(self) -> Path:
        """Folder of what the probes write: robustness, pathology, attention, embeddings."""
        return self.root / "probes"

    @property
    def index(self) -> Path:
        """``index.html``."""
        return self.root / "index.html"

    @property
    def begun(self) -> bool:
        """Whether anything was computed from the data: thresholds, or a run, finished or not."""
        return self.thresholds.is_file() or any(self._all())

    def run(self, row: str, fold: int, seed: int) -> RunFolder:
        """Return the folder of one training, whether it is there or not."""
        return RunFolder(self.root / "runs" / row / f"fold{fold}" / f"seed{seed}", row, fold, seed)

    def external(self, dataset: str, run: RunFolder) -> Path:
        """Return where a run's predictions and scores on another dataset go."""
        return self.root / "external" / dataset / run.row / f"fold{run.fold}" / f"seed{run.seed}"

    def small_split(self, train_cases: int, fold: int, seed: int) -> Path:
        """Return the split of a fold with fewer training cases."""
        return self.root / "splits" / f"train{train_cases}-fold{fold}-seed{seed}.json"

    def runs(self, row: str | None = None, *, finished: bool = True) -> list[RunFolder]:
        """Return the runs that are there, by row, fold and seed.

        Args:
            row: of this row only.
            finished: only those with scores; else all with a model.
        """
        found = [r for r in self._all() if row in (None, r.row) and (r.finished if finished else r.trained)]
        return sorted(found, key=lambda r: (r.row, r.fold, r.seed))

    def _all(self) -> Iterator[RunFolder]:
        base = self.root / "runs"
        for path in base.glob("*/fold*/seed*"):
            row = path.relative_to(base).parts[0]
            place = _PLACE.fullmatch("/".join(path.parts[-2:]))
            if place:
                yield RunFolder(path, row, int(place[1]), int(place[2]))

    @cached_property
    def about(self) -> dict[str, Any]:
        """What the manifest says.

        Raises:
            InputError: there is none, or it can't be read.
        """
        return read_json(self.manifest)


def read_json(path: Path) -> dict[str, Any]:
    """Read a table of values.

    Raises:
        InputError: missing, not JSON, or no table.
    """
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; 'cafrnet reproduce ... -o DIR' writes it") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{path} can't be read as JSON: {error}") from error
    if not isinstance(raw, dict):
        raise InputError(f"{path} holds a {type(raw).__name__}, a table was expected")
    return raw
