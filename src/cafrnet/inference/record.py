"""The JSON beside each label map, and how cafrnet tells its own files from those of others.

A scan's folder may hold ``scan.json`` already (BIDS keeps the scanner's settings there) or a
``scan_seg.nii.gz`` that somebody drew by hand. Neither is ever replaced unasked, nor is a label map or a
preview that cafrnet wrote ever taken for a scan.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import zlib
from pathlib import Path
from typing import Any

from ..files import sha256, stem
from ..report.preview import MARK as PREVIEW_MARK
from ..scan.formats import is_dicom
from ..scan.nifti import MARK as NIFTI_MARK
from ..scan.png import PIXEL_KEY

#: What the first bytes of a label map or preview of ours hold.
MARKS = (NIFTI_MARK, PREVIEW_MARK.encode(), PIXEL_KEY.encode())
#: The mark of a NIfTI-2 file ends before this byte, that of a PNG before its pixels.
HEAD_BYTES = 540
#: Keys that every record has.
KEYS = ("input", "model", "options", "timings_s", "cafrnet")


def read_record(path: Path) -> dict[str, Any] | None:
    """Return a JSON that `segment` wrote; None for any other file, and for none."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return record if isinstance(record, dict) and all(key in record for key in KEYS) else None


def is_output(path: Path) -> bool:
    """Whether a file is a label map or preview of cafrnet's: by its mark, or by its name and the record."""
    if path.suffix.lower() == ".json":
        return read_record(path) is not None
    name = stem(path)
    for ending in ("_seg", "_preview"):
        if name.endswith(ending) and read_record(path.with_name(name.removesuffix(ending) + ".json")):
            return True
    head = _head(path)
    return any(mark in head for mark in MARKS)


def _head(path: Path) -> bytes:
    try:
        with gzip.open(path) if path.suffix.lower() == ".gz" else open(path, "rb") as file:
            return file.read(HEAD_BYTES)
    except (OSError, EOFError, zlib.error):
        return b""


def identity(source: Path) -> dict[str, Any]:
    """Return path and hash of an input; for a folder the hash over its DICOM files' names and hashes."""
    if not source.is_dir():
        return {"path": str(source), "sha256": sha256(source) if source.exists() else None}
    digest = hashlib.sha256()
    for file in sorted(source.rglob("*")):
        if file.is_file() and not file.name.startswith(".") and is_dicom(file):
            digest.update(f"{file.relative_to(source).as_posix()}\0{sha256(file)}\n".encode())
    return {"path": str(source), "sha256": digest.hexdigest()}
