"""VerSe (CT): ``rawdata/sub-verseNNN/*_ct.nii.gz``, ``derivatives/sub-verseNNN/*_seg-vert_msk.nii.gz``."""

from __future__ import annotations

from pathlib import Path

from ..files import stem
from ..labels import SCHEMES
from .case import Case, Dataset
from .description import Description, describe
from .layout import keyed, natural_key, volumes

LAYOUT = "VerSe (rawdata/sub-*/*_ct.nii.gz, derivatives/sub-*/*_seg-vert_msk.nii.gz)"

DEFAULT = Description(
    name="VerSe",
    sets=SCHEMES["verse"].sets,
    licence="CC BY-SA 4.0",
    citation=(
        "Sekuboyina et al., VerSe: A vertebrae labelling and segmentation benchmark for multi-detector CT "
        "images, Medical Image Analysis 73 (2021)"
    ),
)

IMAGE_END, MASK_END = "_ct", "_seg-vert_msk"


def _files(root: Path, part: str, ending: str) -> dict[str, Path]:
    """Index the files of ``rawdata`` or ``derivatives`` by their stem without its ending."""
    folders = sorted((root / part).glob("sub-*"), key=lambda p: natural_key(p.name))
    files = [p for folder in folders if folder.is_dir() for p in volumes(folder) if p.is_file()]
    return keyed(files, lambda p: stem(p).removesuffix(ending) if stem(p).endswith(ending) else None)


def matches(root: Path) -> bool:
    """Whether the folder has this layout."""
    return (root / "rawdata").is_dir() and bool(_files(root, "rawdata", IMAGE_END))


def open(root: Path) -> Dataset:
    """List the scans; the folder ``sub-verseNNN`` is the patient.

    Raises:
        UsageError: two files of one name, or an unusable ``dataset.yaml``.
    """
    about = describe(root, DEFAULT)
    images, masks = _files(root, "rawdata", IMAGE_END), _files(root, "derivatives", MASK_END)
    cases = tuple(
        Case(
            stem(images[k]),
            images[k],
            masks.get(k),
            patient=images[k].parent.name,
            sets=about.sets,
            dataset=about.name,
        )
        for k in sorted(images, key=natural_key)
    )
    return Dataset.of(root, about, cases, [masks[k] for k in masks if k not in images])
