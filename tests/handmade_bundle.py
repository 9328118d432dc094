"""A bundle around the model made by hand (``handmade.py``), and archives of it."""

import shutil
import tarfile
import zipfile
from pathlib import Path

import yaml

from cafrnet.bundles.label_file import write_labels_file
from cafrnet.bundles.layout import CARD, FILES, LABELS, SUMS, write_sums
from handmade import write_grey_model

CARD_VALUES = {
    "format": 1,
    "name": "grey",
    "version": "1",
    "title": "Reads structures off grey values",
    "intended_use": "Tests.",
    "limits": ["Not a medical device."],
    "licence": "Apache-2.0",
    "data": [{"name": "stairs", "licence": "CC0-1.0", "citation": "drawn by hand"}],
    "split": {"hash": "0" * 64},
    "recipe": {"model": "cafr_net", "model_args": {}},
    "metrics": [
        {
            "name": "DSC",
            "value": 1.0,
            "low": 0.9,
            "high": 1.0,
            "data": "stairs",
            "command": "cafrnet evaluate DATA out",
        }
    ],
    "not_trained": [],
    "label_table": 1,
    "weights": {
        "storage": "fp32",
        "parameters": 44,
        "source_sha256": "1" * 64,
        "left_out": [],
        "agreement": {"L5": 1.0},
    },
    "cafrnet": "0.1.0.dev0",
}


def write_grey_bundle(folder: Path, **changes: object) -> Path:
    """Write a whole bundle; ``changes`` replace or (None) remove keys of its card."""
    write_grey_model(folder)
    write_labels_file(folder / LABELS, 22, ())
    card = {k: v for k, v in {**CARD_VALUES, **changes}.items() if v is not None}
    (folder / CARD).write_text(yaml.safe_dump(card, sort_keys=False))
    write_sums(folder)
    return folder


def zipped(bundle: Path, path: Path, prefix: str = "") -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in (*FILES, SUMS):
            archive.write(bundle / name, prefix + name)
    return path


def tarred(bundle: Path, path: Path, prefix: str = "") -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for name in (*FILES, SUMS):
            archive.add(bundle / name, prefix + name)
    return path


def copied(bundle: Path, path: Path) -> Path:
    return Path(shutil.copytree(bundle, path))
