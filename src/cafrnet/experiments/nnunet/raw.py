"""A labelled dataset as nnU-Net's raw dataset, and our folds as its splits.

nnU-Net gives each voxel one class. A truth value that stands for a set of classes can't be said there:

- a set with background in it is background (spider-space marks no sacrum: S is background there);
- any other set of several classes, and "unknown", become nnU-Net's *ignore label*, which takes no part in its
  losses. Background is not treated so: without any certain background a network calls everything something.

Classes are the paper's 0-19; the canal and the posterior elements are background, as in every row of Table 3.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from ...datasets import Case, Dataset, Split
from ...errors import InputError, UsageError
from ...files import whole_file, write_json
from ...labels import TABLE, UNKNOWN, ValueSets
from ...scan import Scan
from ..layout import read_json

#: Number that nnU-Net knows the dataset by. Its folders are ours alone, so it collides with nobody's.
DATASET_ID = 501
#: Outputs of the paper's models.
CLASSES = 20
#: nnU-Net wants its ignore label to be the highest one.
IGNORE = CLASSES
#: Types that voxels keep in the copy; others become float32.
KEPT = ("uint8", "int16", "uint16", "float32")
#: Raised when another label would be written for the same truth.
RULE = 1


@dataclass(frozen=True)
class RawDataset:
    """A raw dataset on disk.

    Attributes:
        root: folder that nnU-Net calls ``nnUNet_raw``.
        name: ``Dataset501_<name>``.
    """

    root: Path
    name: str

    @property
    def folder(self) -> Path:
        """Folder of this dataset."""
        return self.root / self.name

    @property
    def about(self) -> Path:
        """``dataset.json``, written last: it is there when everything else is."""
        return self.folder / "dataset.json"

    def image(self, case: str) -> Path:
        """Return the image of a case."""
        return self.folder / "imagesTr" / f"{case}_0000.nii.gz"

    def labels(self, case: str) -> Path:
        """Return the truth of a case."""
        return self.folder / "labelsTr" / f"{case}.nii.gz"


def class_of(sets: ValueSets) -> dict[int, int]:
    """Return the one class, or :data:`IGNORE`, that each truth value gets in nnU-Net's labels."""
    found = {}
    for value, ids in sets.within(CLASSES).values.items():
        unsure = ids == (UNKNOWN,) or (len(set(ids)) > 1 and 0 not in ids)
        found[value] = IGNORE if unsure else 0 if 0 in ids else ids[0]
    return found


def write_raw(dataset: Dataset, split: Split, root: Path, data_hash: str) -> RawDataset:
    """Write all cases of a split as one raw dataset; nothing is done where it is there already.

    All folds share it, as nnU-Net does it: a plan sees the sizes and spacings of all cases, its network only
    the training cases of a fold.

    Args:
        dataset: labelled cases.
        split: into folds.
        root: becomes ``nnUNet_raw``.
        data_hash: of the dataset, to know the copy by.

    Raises:
        InputError: a case that can't be read or written.
        UsageError: a case whose name nnU-Net can't take.
    """
    raw = RawDataset(root, f"Dataset{DATASET_ID}_{_plain(dataset.name)}")
    made_from = {
        "data": data_hash,
        "cases": hashlib.sha256(repr(split.ids).encode()).hexdigest(),
        "rule": RULE,
    }
    if raw.about.is_file() and read_json(raw.about).get("made_from") == made_from:
        return raw
    if raw.folder.exists():
        shutil.rmtree(raw.folder)
    ignored = False
    for case in dataset.select(list(split.ids)):
        if not case.id.isascii() or "/" in case.id:
            raise UsageError(f"case {case.id!r}: nnU-Net takes plain file names only; rename the case")
        ignored |= _write_case(case, raw)
    write_json(raw.about, {**_description(len(split.ids), ignored), "made_from": made_from})
    return raw


def _plain(name: str) -> str:
    """Return a name of letters, digits and hyphens."""
    return "".join(c if c.isalnum() and c.isascii() else "-" for c in name) or "spines"


def _write_case(case: Case, raw: RawDataset) -> bool:
    """Write image and truth of a case; returns whether some of it is to be ignored."""
    scan = case.read()
    table = class_of(case.sets)
    truth = case.read_truth(scan)
    lookup = np.full(max(table) + 1, IGNORE, np.uint8)
    for value, label in table.items():
        lookup[value] = label
    labels = lookup[truth]
    voxels = scan.voxels
    _save(voxels if voxels.dtype.name in KEPT else voxels.astype(np.float32), scan, raw.image(case.id))
    _save(labels, scan, raw.labels(case.id))
    return bool((labels == IGNORE).any())


def _save(array: np.ndarray, scan: Scan, path: Path) -> None:
    """Write voxels where the scan lies, with one affine in both of the header's places."""
    image = nib.Nifti1Image(array, scan.affine)
    image.set_sform(scan.affine, code=1)
    image.set_qform(scan.affine, code=1, strip_shears=True)
    with whole_file(path) as temporary:
        nib.save(image, temporary)


def _description(cases: int, ignored: bool) -> dict[str, Any]:
    labels = {TABLE[i].name: i for i in range(CLASSES)}
    return {
        "channel_names": {"0": "MRI"},
        "labels": {**labels, "ignore": IGNORE} if ignored else labels,
        "numTraining": cases,
        "file_ending": ".nii.gz",
        # turns every array the same way round inside and back again; ITK refuses slightly skewed directions
        "overwrite_image_reader_writer": "NibabelIOWithReorient",
    }


def write_splits(split: Split, path: Path) -> None:
    """Write ``splits_final.json``: for each fold its training cases, and those that nnU-Net validates on.

    The tested cases of a fold are in neither. nnU-Net keeps its last weights, so that the validating cases
    choose nothing; they only give the curve that it prints.

    Raises:
        UsageError: a split without folds.
        InputError: it could not be written.
    """
    if split.kind != "folds":
        raise UsageError("the split has no folds; make one with 'cafrnet data split --folds 5'")
    parts = [split.parts(fold) for fold in range(len(split.folds))]
    wanted = [{"train": part["train"], "val": part["val"]} for part in parts]
    if path.is_file() and _read_list(path) == wanted:
        return
    write_json(path, wanted)


def _read_list(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path} can't be read as JSON: {error}; remove it, it is made again") from error
