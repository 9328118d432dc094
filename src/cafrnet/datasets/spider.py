"""SPIDER: ``images/<patient>_<t1|t2|t2_SPACE>.mha`` and ``masks/`` with the same names.

Reading a case needs the ``itk`` extra. Two or three series of one patient share the patient.
"""

from __future__ import annotations

import re
from pathlib import Path

from ..files import stem
from ..labels import SCHEMES
from .case import Case, Dataset
from .description import Description, describe
from .layout import keyed, natural_key, volumes

LAYOUT = "SPIDER (images/<patient>_<t1|t2|t2_SPACE>.mha, masks/ with the same names)"

DEFAULT = Description(
    name="SPIDER",
    sets=SCHEMES["spider"].sets,
    licence="CC BY 4.0",
    citation=(
        "van der Graaf et al., Lumbar spine segmentation in MR images: a dataset and a public benchmark, "
        "Scientific Data 11 (2024)"
    ),
)

_NAME = re.compile(r"^(\d+)_(?:t1|t2|t2_space)$", re.IGNORECASE)


def _key(path: Path) -> str | None:
    return stem(path).casefold() if path.is_file() and _NAME.match(stem(path)) else None


def matches(root: Path) -> bool:
    """Whether the folder has this layout."""
    return (root / "masks").is_dir() and any(_key(p) for p in volumes(root / "images"))


def open(root: Path) -> Dataset:
    """List the series, each a case of its patient.

    Raises:
        UsageError: two files of one name, or an unusable ``dataset.yaml``.
    """
    about = describe(root, DEFAULT)
    images, masks = keyed(volumes(root / "images"), _key), keyed(volumes(root / "masks"), _key)
    cases = tuple(
        Case(
            stem(images[k]),
            images[k],
            masks.get(k),
            patient=k.partition("_")[0],
            sets=about.sets,
            dataset=about.name,
        )
        for k in sorted(images, key=natural_key)
    )
    return Dataset.of(root, about, cases, [masks[k] for k in masks if k not in images])
