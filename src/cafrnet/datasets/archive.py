"""Taking a zip apart: every member is checked before the first byte is written."""

from __future__ import annotations

import logging
import os
import shutil
import stat
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from ..errors import InputError

logger = logging.getLogger(__name__)

#: Limits against archives made to fill a disk.
MOST_MEMBERS = 100_000
MOST_BYTES = 128 * 2**30
#: Images compress 2 to 10 times, label maps up to some hundred times, bombs a thousand times.
LARGEST_RATIO = 400
SMALL_BYTES = 2**24
#: What some systems add to an archive; it is left out.
_JUNK = ("__MACOSX", ".DS_Store", "Thumbs.db")


def extract(
    archive: Path, folder: Path, expected: Sequence[str] = (), *, most_bytes: int = MOST_BYTES
) -> list[Path]:
    """Extract a zip into an existing folder.

    Args:
        archive: the zip.
        folder: where its members go.
        expected: names of folders, for example ``("images", "masks")``. An archive that holds none of them
            at its top is put into the one that has its own name (``images.zip``), or into the only one.
        most_bytes: limit of the extracted size.

    Returns:
        The files written.

    Raises:
        InputError: not a zip, damaged (CRC), encrypted, above the limits, or with a member that is absolute,
            leaves the folder, is a link, or comes twice; or the disk is full. Files written before a damaged
            member stay: extract to a temporary folder.
    """
    try:
        with zipfile.ZipFile(archive) as source:
            members = _checked(source, archive, most_bytes)
            target = folder / _prefix(members, archive, expected)
            return [_write(source, member, target) for member in members]
    except FileNotFoundError:
        raise InputError(f"{archive}: no such file") from None
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
        raise InputError(f"{archive} is not a whole zip file ({error}); get it again") from error
    except OSError as error:
        raise InputError(
            f"{archive} could not be extracted to {folder}: {error.strerror or error}"
        ) from error


def _checked(source: zipfile.ZipFile, archive: Path, most_bytes: int) -> list[zipfile.ZipInfo]:
    """Return the files of an archive, or raise InputError for the first member that is not acceptable."""
    infos = source.infolist()
    if len(infos) > MOST_MEMBERS:
        raise InputError(f"{archive} holds {len(infos)} files, at most {MOST_MEMBERS} are accepted")
    seen: set[str] = set()
    for info in infos:
        if reason := _wrong(info, seen):
            raise InputError(f"{archive}: member {info.filename!r} {reason}; nothing was extracted")
        seen.add(info.filename.casefold())
    total = sum(info.file_size for info in infos)
    if total > most_bytes:
        raise InputError(f"{archive} would take {total} bytes, at most {most_bytes} are accepted")
    files = [i for i in infos if not i.is_dir() and not set(PurePosixPath(i.filename).parts) & set(_JUNK)]
    if len(files) < len(infos):
        logger.debug("%s: %d folders and system files left out", archive, len(infos) - len(files))
    if not files:
        raise InputError(f"{archive} holds no files")
    return files


def wrong_name(name: str) -> str:
    """Say what is wrong with the name of a member of an archive; empty if nothing is."""
    path = PurePosixPath(name)
    if path.is_absolute() or "\\" in name or ":" in name or "\0" in name:
        return "has an absolute or foreign name"
    return "leaves the folder" if ".." in path.parts else ""


def _wrong(info: zipfile.ZipInfo, seen: set[str]) -> str:
    """Say what is wrong with a member; empty if nothing is."""
    # orig_filename is the name as it stands in the archive; zipfile cuts at NUL and translates backslashes.
    if reason := wrong_name(info.orig_filename):
        return reason
    kind = stat.S_IFMT(info.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "is a link or a device"
    if info.flag_bits & 0x1:
        return "is encrypted"
    if info.filename.casefold() in seen:
        return "comes twice"
    if info.file_size > LARGEST_RATIO * info.compress_size + SMALL_BYTES:
        return f"grows from {info.compress_size} to {info.file_size} bytes"
    return ""


def _prefix(members: Sequence[zipfile.ZipInfo], archive: Path, expected: Sequence[str]) -> str:
    """Return the folder that the archive's content belongs into; empty if it brings its own."""
    tops = {PurePosixPath(m.filename).parts[0] for m in members}
    if not expected or tops & set(expected):
        return ""
    if archive.stem in expected:
        return archive.stem
    if len(expected) == 1:
        return expected[0]
    raise InputError(
        f"{archive} holds {', '.join(sorted(tops)[:5])} at its top; {' or '.join(expected)} was expected, "
        f"or a zip of that name"
    )


def _write(source: zipfile.ZipFile, member: zipfile.ZipInfo, folder: Path) -> Path:
    target = folder / member.filename
    target.parent.mkdir(parents=True, exist_ok=True)
    with (
        source.open(member) as packed,
        open(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644), "wb") as file,
    ):
        shutil.copyfileobj(packed, file, 2**20)
    return target
