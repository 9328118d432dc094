"""Files that are either whole or absent: write to a temporary name, then rename. And their hashes."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from .errors import InputError, UsageError

#: Double suffixes that belong together when a stem is taken.
COMPOUND_SUFFIXES = (".nii.gz", ".seg.nrrd")
#: Age in s at which a temporary file is nobody's any more: writing takes seconds.
LEFT_AFTER_S = 600.0


def stem(path: str | os.PathLike[str]) -> str:
    """Return the file name without its extension (``scan.nii.gz`` -> ``scan``).

    A folder keeps its name, ``.`` and ``..`` included, which have one. So does a file whose "extension" is a
    number: DICOM files are often named by their UID, ``1.2.840.7``, and would all get one stem.
    """
    path = Path(path)
    name = path.name if path.name not in ("", "..") else Path(os.path.abspath(path)).name
    if path.is_dir():
        return name
    for suffix in COMPOUND_SUFFIXES:
        if name.lower().endswith(suffix):
            return name[: -len(suffix)]
    return name if Path(name).suffix[1:].isdigit() else Path(name).stem


@contextmanager
def whole_file(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path beside ``path`` that becomes ``path`` only if the block ends without an error.

    The temporary name is hidden and keeps the extension, so that writers that look at it work.
    On any error, a full disk included, the temporary file is removed and an old ``path`` stays as it was.

    Raises:
        InputError: the system refused to write (no space, no permission), with the reason.
    """
    target = Path(path)
    temporary = target.with_name(f".{os.getpid()}-{target.name}")  # sweep() knows this form
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        os.replace(temporary, target)
    except OSError as error:
        raise InputError(f"{target} could not be written: {error.strerror or error}") from error
    finally:
        with suppress(
            OSError
        ):  # a file stands where a folder should, a name is too long: nothing was written
            temporary.unlink(missing_ok=True)


def check_folder(folder: str | os.PathLike[str]) -> None:
    """Raise UsageError when files can't be written into a folder; nothing is left behind.

    The nearest folder that exists is tried, since folders are made only with the first file.
    """
    folder = Path(folder)
    nearest = next(p for p in (folder, *folder.absolute().parents) if os.path.lexists(p))
    try:
        with tempfile.TemporaryFile(dir=nearest):
            pass
    except OSError as error:
        raise UsageError(f"{folder} can't be written to: {nearest}: {error.strerror or error}") from error


def sweep(targets: Iterable[Path]) -> int:
    """Remove what killed processes left of these files under temporary names; returns how many.

    A temporary file counts as left when no process of its number runs on this machine, or after
    :data:`LEFT_AFTER_S`, since on a shared disk its process may be another machine's.
    """
    folders: dict[Path, set[str]] = {}
    for target in targets:
        folders.setdefault(target.parent, set()).add(target.name)
    swept = 0
    for folder, names in folders.items():
        for path in folder.glob(".*-*"):
            pid, name = path.name[1:].split("-", 1)
            with suppress(OSError):  # gone meanwhile
                if name in names and pid.isdigit() and _is_left(path, int(pid)):
                    path.unlink()
                    swept += 1
    return swept


def _is_left(path: Path, pid: int) -> bool:
    if time.time() - path.stat().st_mtime > LEFT_AFTER_S:
        return True
    if os.name == "nt":  # where signal 0 is no question
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):
        return False
    return False


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write ``text`` as UTF-8, whole or not at all."""
    with whole_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: str | os.PathLike[str], value: Any) -> None:
    """Write ``value`` as indented JSON; NaN and infinity are refused, since JSON has no word for them."""
    write_text(path, json.dumps(value, indent=2, allow_nan=False) + "\n")


def sha256(path: str | os.PathLike[str]) -> str:
    """Return the SHA-256 of a file as 64 hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
