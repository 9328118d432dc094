"""Slices without labels: from a dataset's cases, or from any folder of scans."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ...datasets import Split, open_dataset
from ...datasets.layout import pair_key
from ...errors import InputError, UsageError
from ...files import stem
from ...inference.inputs import plan_jobs
from ...preprocessing import Preprocessing, prepare
from ...scan import read_scan
from ..codes import TruthCodes
from ..types import Image

logger = logging.getLogger(__name__)

#: What truth codes stand for where there is no truth: everything is code 0.
NO_TRUTH = TruthCodes.of([], 2)


def no_truth(image: Image) -> Tensor:
    """Return a truth that says nothing, for an augmentation that moves one along: [B, H, W] uint8 zeros."""
    return torch.zeros(len(image), *image.shape[2:], dtype=torch.uint8, device=image.device)


@dataclass(frozen=True, eq=False)
class Unlabelled:
    """Slices on the model grid.

    Attributes:
        images: [n, H, W] float16 in [0, 1]; slices of nothing but zeros are left out.
        sources: the scans that they come from.
    """

    images: Tensor
    sources: tuple[str, ...]


def find_scans(
    data: str | os.PathLike[str] | None,
    split: str | os.PathLike[str] | None,
    fold: int | None,
    scans: Sequence[str | os.PathLike[str]],
) -> list[str]:
    """List the scans that may be learnt from.

    Args:
        data, split, fold: a dataset and its split: the scans of the training part, label maps unread.
        scans: files, folders, DICOM folders or globs; what is named like a label map is left out, and said.

    Raises:
        UsageError: nothing was named or found, or a dataset came without its split.
    """
    if data and not split:
        raise UsageError(
            "data= came without split=; only the training part may be learnt from, even without labels. For "
            "scans that no test will ever use, name their folder with scans="
        )
    found = []
    if data and split:
        dataset = open_dataset(data)
        found = [str(c.image) for c in dataset.select(Split.load(split, dataset).parts(fold)["train"])]
    if scans:
        sources = [job.source for job in plan_jobs(list(scans), "unused")]
        labels = [s for s in sources if pair_key(s) != stem(s).casefold() or s.parent.name.lower() == "mask"]
        if labels:
            logger.warning(
                "%d files are named like label maps and left out, %s first", len(labels), labels[0]
            )
        found += [str(s) for s in sources if s not in labels]
    if not found:
        raise UsageError("no scan came; name data=DIR split=FILE, or scans=DIR")
    return list(dict.fromkeys(found))


def read_slices(paths: Sequence[str], settings: Preprocessing) -> Unlabelled:
    """Read scans and bring their slices to the model grid; a bad scan is logged and left out.

    Raises:
        InputError: none could be used.
    """
    slices, sources = [], []
    for path in paths:
        try:
            images = prepare(read_scan(path), settings).images.astype(np.float16)
        except InputError as error:
            logger.error("%s left out of pretraining: %s", path, error)
        else:
            slices.append(images[images.any(axis=(1, 2))])
            sources.append(path)
    if not slices:
        raise InputError(f"none of the {len(paths)} scans could be read; each one's reason is said above")
    return Unlabelled(torch.from_numpy(np.concatenate(slices)), tuple(sources))
