"""A journal of a batch: one JSON line for each case, on the disk before the next case is looked at.

The journal is for people and for their scripts. What is finished is decided by the records beside the label
maps alone, so a journal may be cut short, moved or deleted.
"""

from __future__ import annotations

import json
import logging
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

logger = logging.getLogger(__name__)


class Journal:
    """Appends lines to a file, each of them whole and synced.

    A line that a killed process left half-written stays as it is; the next one begins on a line of its own.
    A disk that takes no more lines is named once and stops no case.

    Args:
        path: made with its folder when the first line is written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lost = 0

    def append(self, entry: dict[str, Any]) -> None:
        """Write one line: ``entry`` with the time (UTC)."""
        line = json.dumps({"time": datetime.now(UTC).isoformat(timespec="milliseconds"), **entry})
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o666)
            try:
                text = ("\n" if _is_torn(descriptor) else "") + line + "\n"
                _write_whole(descriptor, text.encode())
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        except OSError as error:
            self._lost += 1
            if self._lost == 1:
                logger.warning(
                    "%s: lines of the journal could not be written (%s); results are not affected",
                    self.path,
                    error.strerror or error,
                )


def _is_torn(descriptor: int) -> bool:
    """Whether the file ends in the middle of a line."""
    size = os.fstat(descriptor).st_size
    if not size:
        return False
    os.lseek(descriptor, size - 1, os.SEEK_SET)
    return os.read(descriptor, 1) != b"\n"


def _write_whole(descriptor: int, data: bytes) -> None:
    while data:  # a nearly full disk takes a part
        data = data[os.write(descriptor, data) :]


def read_journal(path: Path) -> list[dict[str, Any]]:
    """Return the whole lines of a journal, oldest first; what is torn is left out with a warning.

    Raises:
        OSError: there is no such file.
    """
    entries, torn = [], 0
    for line in path.read_bytes().splitlines():
        try:
            entries.append(json.loads(line))
        except ValueError:
            torn += 1
    if torn:
        logger.warning("%s: %d torn line(s) left out", path, torn)
    return entries
