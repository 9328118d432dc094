"""From a run to a bundle: weights stored once, checked against the run, described, and hashed."""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from torch import nn

from ...bundles import Bundle, open_bundle
from ...bundles.label_file import write_labels_file
from ...bundles.layout import CARD, LABELS, MODEL, PREPROCESSING, write_sums
from ...errors import UsageError
from ...files import write_text
from ...inference import load_model
from ..export.check import compare, judge
from ..export.examples import CHECK_SEED, case_examples, phantom_examples
from ..export.onnx import export_onnx
from ..export.source import Source, open_source
from .describe import describe_run
from .half import store_half
from .trained import COUNTERS, ONNX_PREFIX, TRAINED, same_weights

#: Seeded phantoms on which a bundle must agree with its run.
PHANTOMS = 4


def make_bundle(
    run: str | os.PathLike[str],
    out: str | os.PathLike[str],
    additions: Mapping[str, Any],
    *,
    name: str | None = None,
    most_bytes: int | None = None,
    fixtures: str | os.PathLike[str] | None = None,
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
        fixtures: labelled data on which it must agree with the run besides seeded phantoms; of the run's own
            dataset only the validation cases are used.

    Raises:
        UsageError: not a run, the folder is in use, something on the card is missing, or too large.
        InputError: damaged files, or the bundle's labels differ from the run's (Dice below 0.995), or the run
            finds nothing on which that could be shown.
    """
    out = Path(out)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(f"{out} is not an empty folder; name a new one for the bundle")
    source = _finished(Path(run))
    card = describe_run(
        source.folder,
        additions,
        name=name,
        not_trained=list(source.model.not_trained),
        weights=_weights(source),
    )  # what is wrong with the card is said before the work
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".bundle-", dir=out.parent) as bench:
        folder = Path(bench) / "bundle"
        folder.mkdir()
        size, metadata = source.model.preprocessing.size, source.metadata
        card["weights"]["left_out"] = export_half(source.segmenter, size, folder / MODEL, metadata)
        shutil.copyfile(source.folder / PREPROCESSING, folder / PREPROCESSING)
        _check_size(folder, most_bytes)
        card["weights"]["agreement"] = _agreement(source, folder, fixtures)
        write_labels_file(folder / LABELS, source.model.num_classes, source.model.not_trained)
        write_text(folder / CARD, yaml.safe_dump(card, sort_keys=False, allow_unicode=True, width=110))
        write_sums(folder)
        open_bundle(folder)
        if out.exists():
            out.rmdir()
        os.rename(folder, out)
    return open_bundle(out)


def _finished(run: Path) -> Source:
    """Return a run's weights, its network and its exported model.

    Raises:
        UsageError: a bundle, or no run. InputError: not finished, or damaged.
    """
    source = open_source(run)
    if source.model.bundle:
        raise UsageError(f"{run} is a bundle already; name the run that it was made from")
    return source


def _weights(source: Source) -> dict[str, Any]:
    return {
        "storage": "fp16, computed in fp32",
        "parameters": int(sum(p.numel() for p in source.segmenter.parameters())),
        "source_sha256": source.sha256,
        "left_out": [],
        "agreement": {},
    }


def export_half(segmenter: nn.Module, size: int, path: Path, metadata: dict[str, Any]) -> list[str]:
    """Write a network as ONNX, each weight under its name and the large ones in fp16.

    Args:
        segmenter, size, path, metadata: as in :func:`.export_onnx`.

    Returns:
        The weights that are not in the file, since no logit depends on them (CLR's fused map).
    """
    import onnx

    for library in ("torch.onnx", "onnxscript", "onnx_ir"):  # they tell of kernels that nobody asked for
        logging.getLogger(library).setLevel(logging.ERROR)
    export_onnx(segmenter, size, path, metadata, fold=False)
    proto = onnx.load(path)
    store_half(proto)
    onnx.save(proto, path)
    stored = {tensor.name.removeprefix(ONNX_PREFIX) for tensor in proto.graph.initializer}
    missing = [name for names in same_weights(segmenter) if not stored & set(names) for name in names]
    return sorted(name for name in missing if name != TRAINED and not name.endswith(COUNTERS))


def _agreement(source: Source, folder: Path, fixtures: str | os.PathLike[str] | None) -> dict[str, Any]:
    """Compare the new model with the network that it was made from, and return how far they agree.

    Raises:
        InputError: too little, or it can't be shown.
    """
    settings, made = source.model.preprocessing, load_model(folder)
    found = {"phantoms": compare(source, made, phantom_examples(settings, PHANTOMS, CHECK_SEED))}
    if fixtures is not None:
        found["fixtures"] = compare(source, made, case_examples(settings, source.cases(fixtures, "val")))
    judge("fp16", found)
    return {where: comparison.to_dict() for where, comparison in found.items()}


def _check_size(folder: Path, most_bytes: int | None) -> None:
    size = sum(path.stat().st_size for path in folder.iterdir())
    if most_bytes is not None and size > most_bytes:
        raise UsageError(
            f"the bundle would have {size / 1e6:.1f} MB, at most {most_bytes / 1e6:.1f} were asked for; "
            "train a smaller network, or allow more with --most-mb"
        )
