"""What the exporter wrote into a model file, and the shapes of its sides; the same for every engine."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from ...errors import InputError
from .out_of_memory import says_so

#: What the keys of our entries begin with.
PREFIX = "cafrnet."


def decode(raw: Mapping[str, str], path: Path) -> dict[str, object]:
    """Return our entries of a file's metadata, decoded.

    Raises:
        InputError: an entry that is no JSON.
    """
    try:
        return {k.removeprefix(PREFIX): json.loads(v) for k, v in raw.items() if k.startswith(PREFIX)}
    except ValueError as error:
        raise InputError(f"{path}: the metadata in it is damaged ({error}); export it again") from error


def damaged(path: Path, kind: str, error: Exception) -> InputError:
    """Return the error for a file that an engine can't read, or finds no memory for."""
    return _refusal(path, f"is damaged or no {kind} model", error, "copy or export it again")


def cannot_run(path: Path, name: str, error: Exception) -> InputError:
    """Return the error for a network that an engine reads and can't run."""
    todo = "export it again" if path.suffix == ".xml" else "take --engine onnxruntime"
    return _refusal(path, f"is whole, but {name} can't run its network", error, todo)


def _refusal(path: Path, what: str, error: Exception, todo: str) -> InputError:
    if says_so(error):
        return InputError(f"{path}: not enough memory to load the model; give more")
    return InputError(f"{path} {what} ({' '.join(str(error).split())}); {todo}")


def check_sides(images: list[int], logits: list[int], path: Path) -> None:
    """Raise InputError unless a network has one image as input and its logits as output.

    Args:
        images, logits: the number of axes of each input and output.
        path: of the file.
    """
    if images != [4] or logits != [4]:
        raise InputError(f"{path} has other inputs or outputs than one image and its logits")
