"""A model, ready to be used on any number of scans: loaded once."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from ..errors import InputError, UsageError
from ..files import sha256
from ..labels import TABLE
from ..preprocessing import Preprocessing
from .engines import Engine, open_engine


@dataclass(frozen=True, eq=False)
class Model:
    """A network with everything that belongs to it.

    Attributes:
        path: folder of the run or bundle.
        engine: runs the network.
        preprocessing: how a scan becomes its input.
        num_classes: outputs, ids 0 to ``num_classes - 1``.
        not_trained: names of the structures that it can never predict.
    """

    path: Path
    engine: Engine
    preprocessing: Preprocessing
    num_classes: int
    not_trained: tuple[str, ...]

    @cached_property
    def hashes(self) -> dict[str, str]:
        """SHA-256 of the files that decide the result."""
        return {name: sha256(self.path / name) for name in ("model.onnx", "preprocessing.json")}


def load_model(path: str | os.PathLike[str] | None = None, *, threads: int | None = None) -> Model:
    """Load a model from a run or bundle folder.

    Args:
        path: folder with ``model.onnx`` and ``preprocessing.json``. None asks for the default bundle, which
            no version ships yet.
        threads: of one inference; None takes all cores.

    Raises:
        UsageError: no such folder, or no default bundle. InputError: a damaged file, a model of another label
            table, or a ``preprocessing.json`` that is not the one the model was trained with.
    """
    if path is None:
        raise UsageError(
            "no trained model ships with this version of cafrnet: name one with --model RUN "
            "(a folder written by `cafrnet train`)"
        )
    folder = Path(path)
    if not folder.is_dir():
        raise UsageError(f"{folder} is not a model folder; expected one with model.onnx and preprocessing.json")
    engine = open_engine(folder / "model.onnx", threads)
    preprocessing = Preprocessing.load(folder / "preprocessing.json")
    meta: dict[str, Any] = engine.metadata
    try:
        table, num_classes, trained = meta["label_table"], int(meta["num_classes"]), set(meta["trained"])
        trained_with = Preprocessing.from_dict(dict(meta["preprocessing"]), str(folder / "model.onnx"))
    except (KeyError, TypeError) as error:
        raise InputError(f"{folder / 'model.onnx'} was not written by cafrnet: it lacks {error}") from error
    if table != TABLE.version:
        raise InputError(
            f"{folder} was made for label table version {table}, this is version {TABLE.version}; "
            "use the cafrnet version it was made with or export the model again"
        )
    if trained_with != preprocessing:
        raise InputError(
            f"{folder / 'preprocessing.json'} differs from what the model was trained with; restore the file"
        )
    missing = tuple(TABLE[i].name for i in range(num_classes) if i not in trained)
    return Model(folder, engine, preprocessing, num_classes, missing)
