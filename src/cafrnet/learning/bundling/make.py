"""From a run to a bundle: weights stored once, checked against the run, described, and hashed."""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
import yaml

from ...bundles import Bundle, open_bundle
from ...bundles.label_file import write_labels_file
from ...bundles.layout import CARD, LABELS, MODEL, PREPROCESSING, write_sums
from ...errors import InputError, UsageError
from ...files import write_text
from ...inference import Model, load_model
from ...scan import Scan
from ..export.onnx import export_onnx
from ..training.module import Segmenter, network_for
from .agreement import agreement
from .describe import describe_run
from .half import store_half
from .trained import COUNTERS, ONNX_PREFIX, TRAINED, Trained, read_trained


def make_bundle(
    run: str | os.PathLike[str],
    out: str | os.PathLike[str],
    additions: Mapping[str, Any],
    *,
    name: str | None = None,
    most_bytes: int | None = None,
    scans: Iterable[Scan] | None = None,
) -> Bundle:
    """Turn a finished run into a bundle: whole or not at all.

    The weights are stored as fp16 in an ONNX file that keeps the name of each, so that training can start
    from them again; everything is computed in fp32.

    Args:
        run: finished run folder.
        out: folder of the bundle, new or empty.
        additions: what the run does not know, see :func:`.describe.read_additions`.
        name: of the bundle; else the one in the additions.
        most_bytes: largest size; None for no limit.
        scans: on which it must agree with the run; None takes seeded phantoms.

    Raises:
        UsageError: not a run, the folder is in use, something on the card is missing, or too large.
        InputError: damaged files, or the bundle's label maps differ from the run's (Dice below 0.995).
    """
    run, out = Path(run), Path(out)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(f"{out} is not an empty folder; name a new one for the bundle")
    trained, source = _finished(run)
    weights = _weights(trained, source)
    card = describe_run(
        run, additions, name=name, not_trained=list(source.not_trained), weights={**weights, "agreement": {}}
    )  # what is wrong with the card is said before the work
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".bundle-", dir=out.parent) as bench:
        folder = Path(bench) / "bundle"
        folder.mkdir()
        weights["left_out"] = _export(trained, source, folder / MODEL)
        shutil.copyfile(run / PREPROCESSING, folder / PREPROCESSING)
        _check_size(folder, most_bytes)
        card["weights"] = {**weights, "agreement": agreement(run, folder, scans)}
        write_labels_file(folder / LABELS, source.num_classes, source.not_trained)
        write_text(folder / CARD, yaml.safe_dump(card, sort_keys=False, allow_unicode=True, width=110))
        write_sums(folder)
        open_bundle(folder)
        if out.exists():
            out.rmdir()
        os.rename(folder, out)
    return open_bundle(out)


def _finished(run: Path) -> tuple[Trained, Model]:
    """Return a run's weights and its exported model.

    Raises:
        UsageError: a bundle, or no run. InputError: not finished, or damaged.
    """
    source = load_model(run)
    if source.bundle:
        raise UsageError(f"{run} is a bundle already; name the run that it was made from")
    return read_trained(source.path), source


def _weights(trained: Trained, source: Model) -> dict[str, Any]:
    return {
        "storage": "fp16, computed in fp32",
        "parameters": int(sum(p.numel() for p in network_for(trained.recipe).parameters())),
        "source_sha256": source.hashes[MODEL],
        "left_out": [],
    }


def _export(trained: Trained, source: Model, path: Path) -> list[str]:
    """Write the model with the run's own metadata, each weight under its name.

    Returns:
        The weights that are not in the file, since no logit depends on them (CLR's fused map).
    """
    import onnx

    for library in ("torch.onnx", "onnxscript", "onnx_ir"):  # they tell of kernels that nobody asked for
        logging.getLogger(library).setLevel(logging.ERROR)
    segmenter = Segmenter(network_for(trained.recipe), trained.trained)
    try:
        segmenter.load_state_dict({**trained.weights, TRAINED: torch.from_numpy(trained.trained)})
    except RuntimeError as error:
        raise InputError(
            f"{trained.source}: best.safetensors is of another network: {_one_line(error)}"
        ) from error
    export_onnx(segmenter, source.preprocessing.size, path, dict(source.engine.metadata), fold=False)
    proto = onnx.load(path)
    store_half(proto)
    onnx.save(proto, path)
    stored = {tensor.name.removeprefix(ONNX_PREFIX) for tensor in proto.graph.initializer}
    return sorted(name for name in trained.weights if name not in stored and not name.endswith(COUNTERS))


def _check_size(folder: Path, most_bytes: int | None) -> None:
    size = sum(path.stat().st_size for path in folder.iterdir())
    if most_bytes is not None and size > most_bytes:
        raise UsageError(
            f"the bundle would have {size / 1e6:.1f} MB, at most {most_bytes / 1e6:.1f} were asked for; "
            "train a smaller network"
        )


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
