"""Taking a tar.gz apart: every member is checked before the first byte is written, as in a zip."""

from __future__ import annotations

import os
import shutil
import tarfile
import zlib
from pathlib import Path

from ..errors import InputError
from .archive import MOST_BYTES, MOST_MEMBERS, wrong_name


def extract_tar(archive: Path, folder: Path, *, most_bytes: int = MOST_BYTES) -> list[Path]:
    """Extract a tar.gz into an existing folder; only plain files and folders are taken.

    Args:
        archive: the file.
        folder: where its members go.
        most_bytes: limit of the extracted size.

    Returns:
        The files written.

    Raises:
        InputError: no tar.gz, damaged, above the limits, or with a member that is absolute, leaves the
            folder, is a link or a device, or comes twice; or the disk is full. Extract to a temporary folder.
    """
    try:
        with tarfile.open(archive, "r:gz") as source:
            return [_write(source, member, folder) for member in _checked(source, archive, most_bytes)]
    except FileNotFoundError:
        raise InputError(f"{archive}: no such file") from None
    except (tarfile.TarError, EOFError, zlib.error, UnicodeError, ValueError) as error:
        raise InputError(f"{archive} is no whole zip or tar.gz file ({error}); get it again") from error
    except OSError as error:  # gzip's complaints are OSErrors, too
        raise InputError(f"{archive} could not be extracted: {error.strerror or error}") from error


def _checked(source: tarfile.TarFile, archive: Path, most_bytes: int) -> list[tarfile.TarInfo]:
    """Return the files of an archive, or raise InputError for the first member that is not acceptable.

    Sizes are added up as the headers come, so that a bomb is refused before it is unpacked.
    """
    seen: set[str] = set()
    files, total = [], 0
    for member in source:
        total += member.size
        if reason := _wrong(member, seen):
            raise InputError(f"{archive}: member {member.name!r} {reason}; nothing was extracted")
        if total > most_bytes or len(seen) >= MOST_MEMBERS:
            raise InputError(
                f"{archive} would take {total} bytes or more in {len(seen) + 1} files, at most {most_bytes} "
                f"in {MOST_MEMBERS} are accepted; nothing was extracted"
            )
        seen.add(member.name.casefold())
        if not member.isdir():
            files.append(member)
    if not files:
        raise InputError(f"{archive} holds no files")
    return files


def _wrong(member: tarfile.TarInfo, seen: set[str]) -> str:
    """Say what is wrong with a member; empty if nothing is."""
    if reason := wrong_name(member.name):
        return reason
    if member.type not in (tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.DIRTYPE):
        return "is a link or a device"
    return "comes twice" if member.name.casefold() in seen else ""


def _write(source: tarfile.TarFile, member: tarfile.TarInfo, folder: Path) -> Path:
    target = folder / member.name
    target.parent.mkdir(parents=True, exist_ok=True)
    packed = source.extractfile(member)
    assert packed is not None  # a plain file, as checked
    with packed, open(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644), "wb") as file:
        shutil.copyfileobj(packed, file, 2**20)
    return target
