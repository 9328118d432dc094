"""Which corrected label map belongs to which scan: by name."""

from __future__ import annotations

import logging
from pathlib import Path

from ...errors import UsageError
from ...files import stem
from ...scan import is_segmentation
from ..layout import keyed, natural_key, pair_key, volumes

logger = logging.getLogger(__name__)

#: What may be a corrected label map; pictures and records beside it are left alone.
MAPS = (".nii.gz", ".nii", ".nrrd", ".mha", ".mhd")


def find_pairs(scans: Path, corrected: Path) -> list[tuple[str, tuple[Path | None, Path]]]:
    """Pair the label maps of one folder with the scans of another, or of the same one.

    Returns:
        Name, and (scan, label map), in natural order of the names; the scan is None where there is none.
        Scans without a label map are left out, which is logged.

    Raises:
        UsageError: no such folder, no label maps, or two files of one name.
    """
    for folder in (scans, corrected):
        if not folder.is_dir():
            raise UsageError(f"{folder}: no such folder")
    together = scans.resolve() == corrected.resolve()
    candidates = [p for p in volumes(corrected) if p.is_file() and p.name.lower().endswith(MAPS)]
    maps = keyed((p for p in candidates if not together or _is_map(p)), pair_key)
    images = keyed((p for p in volumes(scans) if not _is_map(p)), pair_key)
    if not maps:
        raise UsageError(
            f"{corrected} holds no label maps; names like scan_seg.nii.gz or scan.seg.nrrd were expected"
        )
    if left := sorted(set(images) - set(maps), key=natural_key):
        logger.info("%d scans without a corrected label map are left out: %s", len(left), ", ".join(left))
    return [(key, (images.get(key), maps[key])) for key in sorted(maps, key=natural_key)]


def _is_map(path: Path) -> bool:
    """Whether a name is that of a label map and not of a scan."""
    return is_segmentation(path) or pair_key(path) != stem(path).casefold()
