"""A model, ready to be used on any number of scans: loaded once."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from ..anatomy.options import NamingOptions
from ..anatomy.prices import NamingModel
from ..bundles import Bundle, find, open_bundle
from ..bundles.layout import is_bundle
from ..errors import InputError, UsageError
from ..files import sha256
from ..labels import TABLE
from ..preprocessing import Preprocessing
from .calibration import Calibration
from .engines import Engine, files_of, model_file, open_engine
from .memory import MemoryLimit, bound


@dataclass(frozen=True, eq=False)
class Model:
    """A network with everything that belongs to it.

    Attributes:
        path: folder of the run or bundle.
        engine: runs the network.
        preprocessing: how a scan becomes its input.
        num_classes: outputs, ids 0 to ``num_classes - 1``.
        not_trained: names of the structures that it can never predict.
        calibration: how far its probabilities can be trusted; None before ``cafrnet calibrate``.
        naming: what was fitted for naming the column; the defaults where nothing was.
        views: of test-time augmentation (:mod:`.views`); none is the rule.
        postprocessing: which steps lead from its answer to names; all is the rule.
        bundle: the bundle that it comes from, verified; None for a run.
        memory: the limit that its engine keeps; None for no limit.
    """

    path: Path
    engine: Engine
    preprocessing: Preprocessing
    num_classes: int
    not_trained: tuple[str, ...]
    calibration: Calibration | None = None
    naming: NamingModel = field(default_factory=NamingModel)
    views: tuple[str, ...] = ()
    postprocessing: NamingOptions = field(default_factory=NamingOptions)
    bundle: Bundle | None = None
    memory: MemoryLimit | None = None

    def __repr__(self) -> str:
        """Say in a few words what it is; what belongs to it is long."""
        named = f"bundle {self.bundle.name} {self.bundle.card.version}" if self.bundle else f"run {self.path}"
        state = "calibrated" if self.calibration else "not calibrated"
        return f"<Model of {named}: {self.num_classes} classes, {self.engine.name}, {state}>"

    @cached_property
    def not_trained_ids(self) -> tuple[int, ...]:
        """The ids of :attr:`not_trained`."""
        return tuple(TABLE[name].id for name in self.not_trained)

    @cached_property
    def hashes(self) -> dict[str, str]:
        """SHA-256 of the files that decide the result."""
        files = [*files_of(model_file(self.path)), self.path / "preprocessing.json"]
        known = self.bundle.hashes if self.bundle else {}
        return {file.name: known.get(file.name) or sha256(file) for file in files}


def load_model(
    path: str | os.PathLike[str] | None = None,
    *,
    threads: int | None = None,
    engine: str = "auto",
    max_memory_mb: float | None = None,
) -> Model:
    """Load a model from a run, a bundle or an export. A bundle's files are all hashed first.

    Args:
        path: folder with ``model.onnx`` (or an export's ``model.xml``) and ``preprocessing.json``, or the
            name of an added bundle. None and ``"default"`` ask for the bundle that ships with the package.
        threads: of one inference; None takes all cores.
        engine: what runs it, see :func:`~.engines.open_engine`.
        max_memory_mb: of the whole process, see :mod:`.memory`; None for no limit.

    Raises:
        UsageError: no such folder, bundle or engine, no default bundle, or too little memory for the model.
            MissingExtraError: the engine is not installed. InputError: a damaged file, a bundle whose files
            differ from its hashes, a model of another label table, or a ``preprocessing.json`` that is not
            the one the model was trained with.
    """
    if threads is not None and threads < 1:
        raise UsageError(f"{threads} threads came, at least 1 was expected")
    folder = find(path)
    bundle = open_bundle(folder) if is_bundle(folder) else None
    file = model_file(folder)
    opened = open_engine(file, threads, engine)
    preprocessing = Preprocessing.load(folder / "preprocessing.json")
    meta: dict[str, Any] = opened.metadata
    try:
        table, num_classes, trained = meta["label_table"], int(meta["num_classes"]), set(meta["trained"])
        trained_with = Preprocessing.from_dict(dict(meta["preprocessing"]), str(file))
    except KeyError as error:
        raise InputError(f"{file} was not written by cafrnet: it lacks {error}") from error
    except (TypeError, ValueError) as error:
        raise InputError(f"{file}: the metadata in it is damaged ({error})") from error
    if table != TABLE.version:
        raise InputError(
            f"{folder} was made for label table version {table}, this is version {TABLE.version}; "
            "use the cafrnet version it was made with or export the model again"
        )
    if trained_with != preprocessing:
        raise InputError(
            f"{folder / 'preprocessing.json'} differs from what the model was trained with; restore the file"
        )
    _check_shapes(opened, num_classes, preprocessing.size, file)
    if not trained <= set(range(num_classes)):
        raise InputError(
            f"{file}: it says that the ids {sorted(map(str, trained))} were trained, "
            f"and has {num_classes} outputs"
        )
    missing = tuple(TABLE[i].name for i in range(num_classes) if i not in trained)
    stored = meta.get("calibration")
    calibration = None if stored is None else Calibration.from_dict(stored, str(file))
    naming = NamingModel.from_dict(meta.get("naming", {}), str(file))
    memory = None
    if max_memory_mb is not None:
        opened, memory = bound(opened, max_memory_mb, preprocessing.size)
    return Model(
        folder, opened, preprocessing, num_classes, missing, calibration, naming, bundle=bundle, memory=memory
    )


def _check_shapes(engine: Engine, num_classes: int, size: int, path: Path) -> None:
    """Raise InputError unless the network takes any number of images and gives the logits that it should."""
    if not 1 < num_classes <= len(TABLE):
        raise InputError(f"{path} has {num_classes} outputs, 2 to {len(TABLE)} were expected")
    sides = (
        ("images", engine.image_shape, (None, 1, size, size)),
        ("logits", engine.logits_shape, (None, num_classes, size, size)),
    )
    for what, has, wanted in sides:
        pairs = list(zip(has, wanted, strict=True))
        if any(h is not None and h != w for h, w in pairs):
            came, expected = (" x ".join("any" if n is None else str(n) for n in s) for s in (has, wanted))
            raise InputError(
                f"{path}: its {what} have the shape {came}, {expected} was expected; export the model again"
            )
