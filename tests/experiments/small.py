"""A dataset of ten small spines, and a training that takes no time: its network reads the grey values."""

import csv
import shutil
from pathlib import Path

import nibabel as nib
import yaml

from cafrnet.datasets import Split
from cafrnet.experiments.scores import RowScores, RunScores
from handmade import stairs, write_grey_model

#: Ids of ``stairs``; a network that doesn't know one misses it.
ALL = (0, 1, 2, 3, 4, 5, 6, 11, 12, 13, 14, 15, 20, 21)
#: DSC of a network that doesn't know L1 and takes it for L2, which is as large: (9 + 2/3 + 0) of 11.
WITHOUT_L1 = (9 + 2 / 3) / 11


def write_spines(root: Path, cases: int = 10, mark: int = 10) -> Path:
    """Write spines; those with another ``mark`` (0 to 10, read as background) are other scans."""
    for folder in ("train/MR", "train/Mask"):
        (root / folder).mkdir(parents=True)
    image, labels, affine = stairs()
    for k in range(1, cases + 1):
        grey = image.copy()
        grey[0, 0, 1] = k  # no two files are the same
        grey[0, 0, 2] = mark
        nib.save(nib.Nifti1Image(grey, affine), root / f"train/MR/Case{k}.nii.gz")
        nib.save(nib.Nifti1Image(labels, affine), root / f"train/Mask/mask_case{k}.nii.gz")
    (root / "dataset.yaml").write_text("name: spines\nvalues:\n  0: [0]\n")
    return root


class Training:
    """Stands for ``cafrnet.learning.training.run``: writes what a training leaves, and counts.

    ``missing``: model name or "no lafr" -> ids that it never learns. ``rising``: models whose validation Dice
    still rises. ``broken``: models that fail. ``interrupted``: models that are stopped the first time.
    """

    def __init__(self, missing=None, rising=(), broken=(), interrupted=()):
        self.missing, self.rising, self.broken = missing or {}, rising, broken
        self.interrupted, self.begun, self.resumed = set(interrupted), [], []

    def train(self, recipe, data, split, out, *, fold=None, progress=False):
        out = Path(out)
        assert not out.exists() or not any(out.iterdir())
        out.mkdir(parents=True, exist_ok=True)
        self.begun.append(out)
        shutil.copy(split, out / "split.json")
        config = {"recipe": recipe.model_dump(mode="json"), "data": str(data), "fold": fold}
        (out / "config.yaml").write_text(yaml.safe_dump(config))
        assert Split.load(split).parts(fold)["train"]
        (out / "last.ckpt").write_bytes(b"")
        if recipe.model in self.broken:
            raise ValueError("the loss became nan")
        if recipe.model in self.interrupted:
            self.interrupted.remove(recipe.model)
            raise KeyboardInterrupt
        self._finish(recipe, out)

    def resume(self, out, *, data=None, progress=False):
        from cafrnet.learning.recipes.load import check

        self.resumed.append(Path(out))
        config = yaml.safe_load((Path(out) / "config.yaml").read_text())
        self._finish(check(config["recipe"], "test"), Path(out))

    def _finish(self, recipe, out):
        word = recipe.model if recipe.model_args.get("lafr", True) else "no lafr"
        lost = self.missing.get(word, ())
        write_grey_model(out, trained=[i for i in ALL if i not in lost])
        t = recipe.training
        with (out / "journal.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, ("epoch", "step", "val_dice", "step_s", "epoch_s"))
            writer.writeheader()
            for epoch in range(t.epochs):
                dice = 0.5 + 0.02 * epoch if recipe.model in self.rising else 0.8
                step = (epoch + 1) * t.steps_per_epoch
                row = {"epoch": epoch, "step": step, "val_dice": dice, "step_s": 0.1, "epoch_s": 6}
                writer.writerow(row)


def install(monkeypatch, training: Training) -> Training:
    from cafrnet.learning.training import run

    monkeypatch.setattr(run, "train", training.train)
    monkeypatch.setattr(run, "resume", training.resume)
    return training


def run_scores(
    dsc: dict[str, float], *, fold=0, seed=0, converged=True, fit=None, structures=(), **metrics
) -> RunScores:
    """Return scores of one run: case -> DSC; other metrics as dictionaries over cases."""
    cases = {c: {"dsc": v, **{m: found.get(c) for m, found in metrics.items()}} for c, v in dsc.items()}
    fit = {
        "converged": converged,
        "steps": 500,
        "planned_steps": 500,
        **(fit or {}),
        "minutes": 1.0,
        "ms_per_step": 10.0,
        "gpu_mb": None,
        "process_mb": 100.0,
    }
    return RunScores(f"run{seed}", fold, seed, fit, cases, tuple(structures))


def row_scores(name: str, *runs: RunScores, planned: int | None = None, **more) -> RowScores:
    return RowScores(name, name, runs, planned or len(runs), **more)
