"""nnU-Net's own pipeline on our split: write, plan, train, predict, bring back, score. Each once."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import platform
import shutil
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...datasets import Dataset, Split
from ...errors import UsageError
from ...evaluation import evaluate
from ...files import write_json
from ..layout import Folder, RunFolder, read_json
from ..score import check, make_thresholds
from .back import bring_back
from .package import Folders, Package, processes
from .raw import CLASSES, DATASET_ID, RULE, RawDataset, write_raw, write_splits
from .record import fit_record
from .settings import Settings

logger = logging.getLogger(__name__)

#: Name of the row and of its folder.
ROW = "nnunetv2"
#: The plan that nnU-Net makes unless another planner is asked for.
PLANS = "nnUNetPlans"
#: Raised when what a fold does changes.
VERSION = 1


@dataclass(frozen=True)
class Bridge:
    """The pipeline on one dataset and split.

    Attributes:
        package: nnU-Net's environment.
        settings: what is trained.
        dataset: labelled cases; ``data_hash`` of its files.
        split: into folds.
        folder: of the reproduction; everything of nnU-Net lies in ``nnunetv2/`` there.
    """

    package: Package
    settings: Settings
    dataset: Dataset
    data_hash: str = field(repr=False)
    split: Split = field(repr=False)
    folder: Folder

    @property
    def root(self) -> Path:
        """Folder of everything of nnU-Net."""
        return self.folder.root / ROW

    @property
    def folders(self) -> Folders:
        """``nnUNet_raw``, ``nnUNet_preprocessed`` and ``nnUNet_results``."""
        return Folders.under(self.root)

    @property
    def model_name(self) -> str:
        """Name of a trained model's folder, as nnU-Net gives it."""
        return f"{self.settings.trainer}__{PLANS}__{self.settings.configuration}"

    @property
    def device(self) -> str:
        """What it runs on."""
        if self.settings.device != "auto":
            return self.settings.device
        return "cuda" if self.package.cuda else "cpu"

    def run(self, fold: int) -> RunFolder:
        """Return where the predictions and scores of a fold go: the same files as any other row's."""
        return RunFolder(self.root / self.model_name / f"fold{fold}" / "seed0", ROW, fold, 0)

    def hash(self, fold: int) -> str:
        """64 hexadecimal digits over all that decides the result."""
        made_of = {
            "version": [VERSION, RULE],
            "data": self.data_hash,
            "split": self.split.hash,
            "fold": fold,
            "model": self.model_name,
            "nnunetv2": self.package.versions["nnunetv2"],
        }
        return hashlib.sha256(json.dumps(made_of, sort_keys=True).encode()).hexdigest()

    def checked(self, fold: int) -> RunFolder:
        """Return the folder of a fold, empty or of this very experiment.

        Raises:
            UsageError: the folder holds another experiment.
        """
        run = self.run(fold)
        for path in (run.fit, run.score):
            if path.is_file() and read_json(path).get("hash") != self.hash(fold):
                raise UsageError(
                    f"{run.path} holds another experiment (other data, split or version of nnunetv2); choose "
                    "another folder with -o, or remove that one"
                )
        return run

    def do(self, fold: int) -> None:
        """Do what is not done yet of a fold.

        Raises:
            InputError: a step failed, with the end of what nnU-Net said.
            UsageError: the folder holds another experiment.
            Interrupted: Ctrl-C; the same call goes on.
        """
        if not self.checked(fold).score.is_file():
            raw = self.prepare()
            self.train(raw, fold)
            self.predict_and_score(raw, fold)

    def prepare(self) -> RawDataset:
        """Write the raw dataset, and let nnU-Net plan and preprocess it."""
        raw = write_raw(self.dataset, self.split, self.folders.raw, self.data_hash)
        ready = self.root / f"prepared_{self.settings.configuration}.json"
        made_from = {**read_json(raw.about)["made_from"], "nnunetv2": self.package.versions["nnunetv2"]}
        if not (ready.is_file() and read_json(ready) == made_from):
            number = processes()
            words = ["-d", DATASET_ID, "-c", self.settings.configuration, "-npfp", number, "-np", number]
            words += ["--clean", "--verify_dataset_integrity"]
            self._call("nnUNetv2_plan_and_preprocess", words, "plan")
            write_json(ready, made_from)
        write_splits(self.split, self.folders.preprocessed / raw.name / "splits_final.json")
        return raw

    def train(self, raw: RawDataset, fold: int) -> None:
        """Train a fold, or go on with it from nnU-Net's last checkpoint."""
        run = self.run(fold)
        if run.fit.is_file():
            return
        began = time.perf_counter()
        words: list[object] = [DATASET_ID, self.settings.configuration, fold, "-p", PLANS]
        words += ["-tr", self.settings.trainer, "-device", self.device, "--c"]
        self._call("nnUNetv2_train", words, f"train_fold{fold}")
        seconds = time.perf_counter() - began
        prepared = self.folders.preprocessed / raw.name
        trained = self.package.ask(
            "fold",
            [
                prepared / f"{PLANS}.json",
                prepared / "dataset.json",
                self.settings.configuration,
                fold,
                self.model_folder(raw) / f"fold_{fold}" / "checkpoint_final.pth",
            ],
            self.folders,
            self.root / "logs" / f"record_fold{fold}.log",
        )
        found = fit_record(trained, seconds)
        self.split.save(run.split)
        write_json(run.fit, {**found, **self._identity(raw, fold), "device": self._device(found["device"])})

    def model_folder(self, raw: RawDataset) -> Path:
        """Return the folder of the trained model, as ``nnUNetv2_predict_from_modelfolder -m`` takes it."""
        return self.folders.results / raw.name / self.model_name

    def predict_and_score(self, raw: RawDataset, fold: int) -> None:
        """Predict the tested cases of a fold, bring them back, score them; ``score.json`` is written last."""
        began, run = time.perf_counter(), self.run(fold)
        cases = self.dataset.select(self.split.parts(fold)["test"])
        given, made = (self.root / "test" / self.model_name / f"fold{fold}" / d for d in ("images", "maps"))
        for path in (given, made, run.predictions):
            shutil.rmtree(path, ignore_errors=True)
        given.mkdir(parents=True)
        for case in cases:
            _same_file(raw.image(case.id), given / raw.image(case.id).name)
        words: list[object] = ["-i", given, "-o", made, "-d", DATASET_ID, "-c", self.settings.configuration]
        words += ["-f", fold, "-p", PLANS, "-tr", self.settings.trainer, "-device", self.device]
        number = min(processes(), 3)
        words += ["-npp", number, "-nps", number, "--disable_progress_bar"]
        self._call("nnUNetv2_predict", words, f"predict_fold{fold}")
        seconds = time.perf_counter() - began
        for case in cases:
            bring_back(case, made / f"{case.id}.nii.gz", run.prediction(case.id))
        self._score(run, fold, began, seconds / max(1, len(cases)))

    def _score(self, run: RunFolder, fold: int, began: float, seconds_per_case: float) -> None:
        data = self.dataset.root
        found = evaluate(
            data,
            run.predictions,
            run.path,
            split=run.split,
            fold=fold,
            slices=False,
            regions=True,
            thresholds=make_thresholds(data, self.folder.thresholds),
        )
        check(found, run)
        score = {
            "hash": self.hash(fold),
            "cases": [case.id for case in found.cases],
            "seconds_per_case": round(seconds_per_case, 3),
            "minutes": round((time.perf_counter() - began) / 60, 3),
        }
        write_json(run.score, score)

    def _call(self, tool: str, words: list[Any], log: str) -> None:
        logger.info("%s on %s", tool, self.device)
        name = f"{log}.log" if log == "plan" else f"{log}_{self.model_name}.log"
        self.package.call(tool, words, self.folders, self.root / "logs" / name)

    def _identity(self, raw: RawDataset, fold: int) -> dict[str, Any]:
        return {
            "hash": self.hash(fold),
            "row": ROW,
            "fold": fold,
            "seed": 0,
            "split": self.split.hash,
            "data": self.data_hash,
            "versions": self.package.versions,
            "outputs": CLASSES,
            "model_folder": str(self.model_folder(raw).relative_to(self.folder.root)),
        }

    def _device(self, gpu: str | None) -> str:
        return gpu if self.device == "cuda" and gpu else platform.machine()


def _same_file(source: Path, target: Path) -> None:
    """Put a file in a second place: a link where the disk can, else a copy."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
