"""What an export starts from, and what it must agree with: a run's or a bundle's weights in PyTorch."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from ...bundles import find
from ...datasets import Case, Split, open_dataset
from ...errors import InputError, UsageError
from ...inference import Model, load_model
from ..bundling import read_trained
from ..bundling.trained import read_config
from ..training.module import Segmenter, network_for

#: Slices that go through PyTorch together.
SLICES_AT_ONCE = 4


@dataclass(frozen=True, eq=False)
class Source:
    """A trained network with what belongs to it.

    Attributes:
        folder: of the run or bundle.
        segmenter: in fp32, on the CPU, in eval mode.
        model: as the runtime loads it: preprocessing, metadata, which classes were trained.
        sha256: of the file that the weights come from.
    """

    folder: Path
    segmenter: nn.Module
    model: Model
    sha256: str

    @property
    def metadata(self) -> dict[str, Any]:
        """What the source's own ``model.onnx`` says of itself."""
        return dict(self.model.engine.metadata)

    def labels(self, images: np.ndarray) -> np.ndarray:
        """Return the labels [s, y, x] uint8 that PyTorch finds in images [s, y, x] of the model grid."""
        found = np.empty(images.shape, np.uint8)
        for first in range(0, len(images), SLICES_AT_ONCE):
            part = torch.from_numpy(np.ascontiguousarray(images[first : first + SLICES_AT_ONCE, None]))
            with torch.inference_mode():
                found[first : first + len(part)] = self.segmenter(part).logits.argmax(dim=1).numpy()
        return found

    def cases(self, data: str | os.PathLike[str], part: str) -> list[Case]:
        """Return the labelled cases of a folder that may be used for a purpose.

        Args:
            data: any dataset.
            part: ``"train"`` or ``"val"``. Of the dataset that the run learnt from it is that part of the
                run's split, never its test cases; of any other it is all of it.

        Raises:
            UsageError: no dataset, or no labelled case in it.
        """
        dataset = open_dataset(data)
        cases: list[Case] = list(dataset)
        if (parts := self._split(dataset.name, {case.id for case in cases})) is not None:
            cases = dataset.select(parts[part])
        labelled = [case for case in cases if case.labels is not None]
        if not labelled:
            what = f"no labelled case of the {part} part of the run's split" if parts else "no labelled case"
            raise UsageError(f"{data} holds {what}; name another folder")
        return labelled

    def _split(self, dataset: str, ids: set[str]) -> dict[str, list[str]] | None:
        """Return the parts of the run's split, if the run learnt from this dataset."""
        path = self.folder / "split.json"
        if not path.is_file():
            return None
        split = Split.load(path)
        if split.dataset != dataset or not set(split.ids) <= ids:
            return None
        return split.parts(read_config(self.folder).get("fold"))


def open_source(run: str | os.PathLike[str]) -> Source:
    """Open a run or bundle for export.

    Raises:
        UsageError: neither. InputError: unfinished, damaged, or weights of another network.
    """
    folder = find(run)
    trained = read_trained(folder)
    model = load_model(folder, engine="onnxruntime")
    segmenter = Segmenter(network_for(trained.recipe), trained.trained)
    _load(segmenter, trained.weights, trained.left_out, str(folder))
    return Source(folder, segmenter.eval(), model, trained.sha256)


def _load(
    segmenter: nn.Module, weights: dict[str, torch.Tensor], left_out: frozenset[str], source: str
) -> None:
    """Fill a network; only what no logit depends on may be missing.

    Raises:
        InputError: something else is missing, or the shapes are others.
    """
    try:
        missing, unknown = segmenter.load_state_dict(weights, strict=False)
    except RuntimeError as error:
        raise InputError(f"{source}: its weights are of another network ({_one_line(error)})") from error
    needed = [
        n for n in missing if n not in left_out and n != "trained" and not n.endswith("batches_tracked")
    ]
    if needed or unknown:
        raise InputError(
            f"{source}: its weights are of another network (missing {needed[:3]}, unknown {unknown[:3]}); "
            "export with the cafrnet version that trained it"
        )


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())


def batches(images: np.ndarray, size: int) -> Iterator[np.ndarray]:
    """Yield [n, 1, y, x] of images [s, y, x], ``size`` slices at a time."""
    for first in range(0, len(images), size):
        yield np.ascontiguousarray(images[first : first + size, None])
