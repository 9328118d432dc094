"""The layout of the MRSpineSeg challenge: ``train/MR/Case{N}``, ``train/Mask/mask_case{N}``.

Also the layout of cafrnet's own phantoms. Case numbers have gaps, the capital C of the images is a small c
in the masks, and an image may be a DICOM folder ``train/MR/Case3/``.
"""

from __future__ import annotations

import re
from pathlib import Path

from ..files import stem
from ..labels import SCHEMES
from .case import Case, Dataset
from .description import Description, describe
from .layout import keyed, patients_of, volumes

LAYOUT = "SpineMRI (train/MR/Case{N}.nii.gz or a DICOM folder, train/Mask/mask_case{N}.nii.gz)"

DEFAULT = Description(
    name="SpineMRI",
    sets=SCHEMES["spinemri"].sets,
    licence="competition and scientific research only; no commercial use, no redistribution",
    citation=(
        "Pang et al., SpineParseNet: Spine Parsing for Volumetric MR Image by a Two-Stage Segmentation "
        "Framework With Semantic Image Representation, IEEE Transactions on Medical Imaging 40 (2021)"
    ),
)

_NAME = re.compile(r"^(?:mask_)?case_?0*(\d+)$", re.IGNORECASE)


def number(path: Path) -> str | None:
    """Return the case number in a file name (``mask_case7.nii.gz`` -> ``"7"``), or None."""
    found = _NAME.match(stem(path))
    return found.group(1) if found else None


def matches(root: Path) -> bool:
    """Whether the folder has this layout."""
    return any(number(p) for p in volumes(root / "train" / "MR"))


def open(root: Path) -> Dataset:
    """List the cases. The case number is the patient, unless ``patients.csv`` says otherwise.

    Raises:
        UsageError: two files with one case number, or an unusable ``dataset.yaml`` or ``patients.csv``.
    """
    about = describe(root, DEFAULT)
    images = keyed(volumes(root / "train" / "MR"), number)
    masks = keyed((p for p in volumes(root / "train" / "Mask") if p.is_file()), number)
    patients = _patients(root, {n: stem(image) for n, image in images.items()})
    cases = tuple(
        Case(stem(images[n]), images[n], masks.get(n), patients[n], sets=about.sets, dataset=about.name)
        for n in sorted(images, key=int)
    )
    return Dataset.of(root, about, cases, [masks[n] for n in sorted(masks, key=int) if n not in images])


def _patients(root: Path, names: dict[str, str]) -> dict[str, str]:
    """Return case number -> patient; the number itself where the dataset says nothing."""
    found = patients_of(root, names)
    return {n: n if found[n] == name else found[n] for n, name in names.items()}
