"""Folders of a reproduction without any training: untrained networks, models made by hand, drawn scores."""

import csv
import json
from pathlib import Path

import nibabel as nib
import yaml
from safetensors.torch import save_file

from cafrnet.datasets import Split
from cafrnet.experiments.layout import Folder, RunFolder
from cafrnet.learning.recipes import load_recipe
from cafrnet.learning.training.module import network_for
from handmade import stairs, write_grey_model

NET = {"size": 64, "patch": 8, "width": 32, "heads": 2, "tap_channels": [8, 8, 8], "clr_channels": 8}
NET |= {"decoder_channels": [16, 16, 16]}
WORDS = [f"model_args={NET}", "pixel_mm=2.0", "preprocessing.size=64", "contrast=none"]


def put_config(run: RunFolder, split: Split, *words: str, fold: int | None = None) -> None:
    """Write ``config.yaml`` and ``split.json`` of a run."""
    run.path.mkdir(parents=True, exist_ok=True)
    recipe = load_recipe("cafr_net", [*WORDS, *words])
    config = {"recipe": recipe.model_dump(mode="json"), "fold": fold}
    run.config.write_text(yaml.safe_dump(config))
    split.save(run.split)


def put_network(run: RunFolder, split: Split, *words: str) -> RunFolder:
    """Write a run with an untrained network."""
    put_config(run, split, *words)
    network = network_for(load_recipe("cafr_net", [*WORDS, *words]))
    save_file({f"network.{k}": v for k, v in network.state_dict().items()}, run.path / "best.safetensors")
    return run


def put_grey_model(run: RunFolder, split: Split) -> RunFolder:
    """Write a run whose model reads ids off grey values."""
    put_config(run, split)
    write_grey_model(run.path)
    return run


def holdout(*test: str, train: tuple[str, ...] = ("a",), val: tuple[str, ...] = ("b",)) -> Split:
    """Return a split with these test cases."""
    return Split("drawn", 0, "holdout", train=train, val=val, test=test)


def run_of(root: Path, row: str = "cafr_net", fold: int = 0, seed: int = 0) -> RunFolder:
    """Return a run's folder."""
    return Folder(root).run(row, fold, seed)


def put_scores(run: RunFolder, scores: dict[str, dict[int, float]]) -> RunFolder:
    """Write ``cases.csv`` (case -> id -> DSC) and the marks of a finished run."""
    run.path.mkdir(parents=True, exist_ok=True)
    with run.cases.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["case", "id", "status", "dsc", "hd95_mm"])
        for case, own in scores.items():
            writer.writerows([case, i, "found", dsc, 10 * (1 - dsc)] for i, dsc in own.items())
    for path in (run.fit, run.score):
        path.write_text("{}")
    if not run.model.exists():
        run.model.write_bytes(b"none")
    return run


def put_journal(run: RunFolder, train: list[float], val: list[float]) -> RunFolder:
    """Write ``journal.csv`` with these Dice values, an epoch of ten steps each."""
    run.path.mkdir(parents=True, exist_ok=True)
    lines = ["epoch,step,train_dice,val_dice"]
    lines += [f"{k},{10 * (k + 1)},{t},{v}" for k, (t, v) in enumerate(zip(train, val, strict=True))]
    run.journal.write_text("\n".join(lines) + "\n")
    return run


def put_stairs(root: Path, cases: int = 2) -> Path:
    """Write a dataset of the handmade spine whose grey values say what they are."""
    image, labels, affine = stairs()
    for k in range(1, cases + 1):
        for folder, name, array in (("MR", f"Case{k}", image), ("Mask", f"mask_case{k}", labels)):
            path = root / "train" / folder / f"{name}.nii.gz"
            path.parent.mkdir(parents=True, exist_ok=True)
            nib.save(nib.Nifti1Image(array, affine), path)
    values = {i: [i] for i in range(22)}
    (root / "dataset.yaml").write_text(f"name: stairs\nvalues: {json.dumps(values)}\n".replace('"', ""))
    return root
