"""``cafrnet export``: a run or bundle in another form, checked against its source before it is there."""

from __future__ import annotations

import json
import logging
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ... import __version__
from ...errors import InputError, UsageError, nearest
from ...files import sha256, write_json
from ...inference import load_model
from ...inference.engines import files_of, model_file
from ..bundling.half import store_half
from .check import Comparison, Scans, compare, judge
from .examples import CALIBRATION_SEED, CHECK_SEED, case_examples, draw_slices, phantom_examples
from .onnx import export_onnx
from .openvino import convert, need_openvino
from .quantise import PLANS, Plan, quantise
from .source import Source, open_source

logger = logging.getLogger(__name__)

FORMS = ("onnx", "openvino")
PRECISIONS = ("fp32", "fp16", "int8")
#: Phantoms that an export is tried on; phantoms and slices of each scan that int8 takes its ranges from.
PHANTOMS, CALIBRATION_PHANTOMS, SLICES_PER_SCAN = 4, 16, 4
#: The record beside the model: agreement, hashes, how it was made.
RECORD = "export.json"


@dataclass(frozen=True)
class _Wish:
    """What was asked for."""

    to: str
    precision: str
    calibrate: str | None
    fixtures: str | None


def export(
    run: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    to: str = "onnx",
    precision: str = "fp32",
    calibrate: str | os.PathLike[str] | None = None,
    fixtures: str | os.PathLike[str] | None = None,
) -> dict[str, Any]:
    """Write a trained model in another form or precision, as a folder that ``segment --model`` takes.

    Args:
        run: a run or bundle.
        out: the folder to make; it must not exist, or be empty.
        to: ``"onnx"`` (``model.onnx``) or ``"openvino"`` (``model.xml`` and ``model.bin``).
        precision: ``"fp32"``; ``"fp16"`` (weights stored in half the bytes, computed in fp32); ``"int8"``.
        calibrate: labelled data that int8 takes its ranges from; of the run's own dataset only training cases
            are used. None takes seeded phantoms.
        fixtures: labelled data that the export is tried on besides seeded phantoms; of the run's own dataset
            only validation cases are used.

    Returns:
        The record that lies beside the model as ``export.json``: hashes, precision, and how far it agrees
        with its source.

    Raises:
        UsageError: an unknown form or precision, a folder that is in use, no such run or dataset.
        MissingExtraError: ``"openvino"`` without OpenVINO.
        InputError: the export does not agree with its source, or could not be written. Nothing is left then.
    """
    wish = _Wish(to, precision, _text(calibrate), _text(fixtures))
    target = Path(out)
    _check_wish(wish, target)
    source = open_source(run)
    tests = _tests(source, wish)
    with _bench(target) as bench:
        plain = bench / "fp32.onnx"
        _quieten()
        export_onnx(source.segmenter, source.model.preprocessing.size, plain, source.metadata)
        folder = bench / "export"
        if precision == "int8":
            record = _quantised(source, plain, folder, wish, tests)
        else:
            record = _made(source, plain, folder, wish, tests)
        plain.unlink()
        _put(folder, target)
    return record


def _text(path: str | os.PathLike[str] | None) -> str | None:
    return None if path is None else os.fspath(path)


def _check_wish(wish: _Wish, target: Path) -> None:
    """Raise UsageError before any work."""
    for what, word, known in (("form", wish.to, FORMS), ("precision", wish.precision, PRECISIONS)):
        if word not in known:
            raise UsageError(f"no {what} {word!r} of a model{nearest(word, known)}")
    if wish.calibrate and wish.precision != "int8":
        raise UsageError(f"--calibrate is for --precision int8, {wish.precision} came")
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise UsageError(f"{target} is there already; name another folder after -o, or remove it")
    if wish.to == "openvino":
        need_openvino()


def _tests(source: Source, wish: _Wish) -> dict[str, Scans]:
    """Return the sets of scans that the export is tried on, by name."""
    settings = source.model.preprocessing
    tests: dict[str, Scans] = {"phantoms": lambda: phantom_examples(settings, PHANTOMS, CHECK_SEED)}
    if wish.fixtures:
        cases = source.cases(wish.fixtures, "val")
        tests["fixtures"] = lambda: case_examples(settings, cases)
    return tests


def _quantised(
    source: Source, plain: Path, folder: Path, wish: _Wish, tests: dict[str, Scans]
) -> dict[str, Any]:
    """Try the plans until one keeps the accuracy."""
    slices = _calibration(source, wish)
    refused = []
    for plan in PLANS:
        whole = plain.with_name("int8.onnx")
        quantise(plain, whole, slices, plan)
        try:
            return _made(source, whole, folder, wish, tests, plan=plan, slices=len(slices))
        except InputError as error:
            if not isinstance(error, _Refused):
                raise
            logger.info("int8, %s: %s", plan.name, error)
            refused.append(f"{plan.name}: {error}")
            shutil.rmtree(folder)
    raise InputError(f"no plan for int8 keeps the accuracy. {refused[-1]}")


class _Refused(InputError):
    """An export that does not agree with its source."""


def _calibration(source: Source, wish: _Wish) -> np.ndarray:
    """Return the slices that int8 takes its ranges from."""
    settings, rng = source.model.preprocessing, np.random.default_rng(CALIBRATION_SEED)
    if wish.calibrate:
        return draw_slices(
            case_examples(settings, source.cases(wish.calibrate, "train")), SLICES_PER_SCAN, rng
        )
    logger.warning("int8 is calibrated on phantoms; --calibrate DIR takes training scans, which is better")
    return draw_slices(
        phantom_examples(settings, CALIBRATION_PHANTOMS, CALIBRATION_SEED), SLICES_PER_SCAN, rng
    )


def _made(
    source: Source,
    plain: Path,
    folder: Path,
    wish: _Wish,
    tests: dict[str, Scans],
    *,
    plan: Plan | None = None,
    slices: int = 0,
) -> dict[str, Any]:
    """Write one export, try it as the runtime loads it, and complete it.

    Raises:
        InputError: it does not agree.
    """
    about: dict[str, Any] = {
        "precision": wish.precision,
        "source_sha256": source.sha256,
        "exported_with": __version__,
    }
    if plan is not None:
        about["int8"] = {
            "plan": plan.name,
            "calibrated_on": f"{slices} slices of {'training scans' if wish.calibrate else 'phantoms'}",
        }
    _write(plain, folder, source, wish, about)
    engine = "onnxruntime" if wish.to == "onnx" else "openvino"
    made = load_model(folder, engine=engine)
    if made.engine.image_shape[0] is not None:
        raise InputError(f"the export takes {made.engine.image_shape[0]} slices only; nothing was written")
    found = {name: compare(source, made, scans()) for name, scans in tests.items()}
    try:
        judge(wish.precision, found)
    except InputError as error:
        raise _Refused(str(error)) from error
    _write(plain, folder, source, wish, {**about, "agreement": _summary(found)})
    files = files_of(model_file(folder))
    record = {
        **about,
        "form": wish.to,
        "engine": engine,
        "agreement": {name: c.to_dict() for name, c in found.items()},
        "files": {f.name: {"sha256": sha256(f), "bytes": f.stat().st_size} for f in files},
    }
    write_json(folder / RECORD, record)
    load_model(folder, engine=engine)  # what was written last is what is loaded
    return record


def _write(plain: Path, folder: Path, source: Source, wish: _Wish, about: dict[str, Any]) -> None:
    """Write model and preprocessing into a folder."""
    import onnx

    folder.mkdir(exist_ok=True)
    source.model.preprocessing.save(folder / "preprocessing.json")
    if wish.to == "openvino":
        metadata = {**source.metadata, **about}
        convert(plain, folder / "model.xml", metadata, half=wish.precision == "fp16")
        return
    proto = onnx.load(plain)
    if wish.precision == "fp16":
        store_half(proto)
    for key, value in about.items():
        entry = proto.metadata_props.add()
        entry.key, entry.value = f"cafrnet.{key}", json.dumps(value)
    onnx.save(proto, folder / "model.onnx")


def _summary(found: dict[str, Comparison]) -> dict[str, Any]:
    """Return what goes into the file itself: the lowest agreement and the Dice against truth of each set."""
    whole = {name: c.to_dict() for name, c in found.items()}
    return {
        name: {key: c[key] for key in ("scans", "lowest", "dice_against_truth")} for name, c in whole.items()
    }


@contextmanager
def _bench(target: Path) -> Iterator[Path]:
    """Yield a temporary folder on the disk of the target; nothing of it stays.

    Raises:
        InputError: the system refused to write.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        bench = Path(tempfile.mkdtemp(prefix=".export-", dir=target.parent))
    except OSError as error:
        raise InputError(f"{target} could not be written: {error.strerror or error}") from error
    try:
        yield bench
    except OSError as error:
        raise InputError(f"{target} could not be written: {error.strerror or error}") from error
    finally:
        shutil.rmtree(bench, ignore_errors=True)


def _put(folder: Path, target: Path) -> None:
    """Move the finished folder to its place in one step."""
    folder.chmod(0o755)
    if target.exists():
        target.rmdir()
    os.rename(folder, target)


def _quieten() -> None:
    """Quieten what the exporter's libraries tell of kernels that nobody asked for."""
    for library in ("torch.onnx", "onnxscript", "onnx_ir"):
        logging.getLogger(library).setLevel(logging.ERROR)
