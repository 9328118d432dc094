"""What `segment IN... -o OUT` means: a list of scans and where their results go."""

from __future__ import annotations

import glob
import logging
import os
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import UsageError
from ..files import check_folder, stem
from ..scan.formats import DICOM, FORMATS, PNG, is_dicom, is_dicom_folder, is_scan
from .record import is_output

logger = logging.getLogger(__name__)

#: Endings of a name after -o that stands for the label map of a single input.
SINGLE = (".nii.gz", ".nii", ".png")
_IMAGES = (".mha", ".mhd", ".nrrd", ".nhdr", ".dcm", ".hdr", ".img", ".mgz", ".tif", ".tiff", ".jpg", ".jpeg")
#: Endings after -o that look like a file but that no label map is written in.
NOT_WRITTEN = (*_IMAGES, ".gz", ".zip", ".json", ".txt", ".csv", ".yaml", ".pdf")


@dataclass(frozen=True)
class Job:
    """One scan and its outputs.

    Attributes:
        source: file or DICOM folder.
        labels: label map to write; its suffix decides the format.
        preview: picture to write.
        record: JSON to write, last of all.
    """

    source: Path
    labels: Path
    preview: Path
    record: Path

    @property
    def outputs(self) -> tuple[Path, Path, Path]:
        """All three, in the order in which they are written."""
        return self.labels, self.preview, self.record


@dataclass(frozen=True)
class _Found:
    """A scan, its subfolder below the input, and the DICOM study it belongs to."""

    source: Path
    relative: Path = Path()
    study: tuple[str, str] | None = None


def plan_jobs(
    inputs: Sequence[str | os.PathLike[str]], out: str | os.PathLike[str], *, png: bool = False
) -> list[Job]:
    """Expand files, folders, DICOM folders and globs into jobs.

    Args:
        inputs: a folder stands for every scan below it and keeps its subfolders. A folder of DICOM files is
            one scan, and so is a folder whose DICOM subfolders all belong to one study of one patient: which
            of its series is read is decided when it is read. What cafrnet itself wrote is left out, and so
            are hidden files.
        out: folder, or for a single input the name of its label map, ``x.nii.gz``.
        png: whether PNG files found in folders count (they need a pixel size).

    Raises:
        UsageError: nothing found, two inputs with one output name, a file name for several inputs, or an
            output name that is an input.
    """
    for word in (*inputs, out):
        if not str(word):
            raise UsageError("an empty name came for an input or for -o; is a shell variable not set?")
    out = Path(out)
    single = out.name.lower().endswith(SINGLE) and not out.is_dir()
    if not single and not out.is_dir() and (out.exists() or out.name.lower().endswith(NOT_WRITTEN)):
        what = "is a file" if out.exists() else "looks like a file"
        raise UsageError(f"{out} {what}; a folder, or a name that ends in .nii.gz, was expected after -o")
    expanded = [found for one in inputs for found in _expand(Path(one), None if single else out, png)]
    found = [one for one in dict.fromkeys(expanded) if not _skip_output(one.source)]
    if not found:
        why = " besides what cafrnet wrote itself" if expanded else ""
        known = ", ".join(s for f in FORMATS for s in f.suffixes if png or f is not PNG)
        more = "" if png else ", or .png with --pixel-mm MM"
        raise UsageError(
            f"no scan found in {', '.join(map(str, inputs))}{why}; expected DICOM or files that end in "
            f"{known}{more}"
        )
    if single and len(found) > 1:
        raise UsageError(f"{len(found)} scans came and one output name, {out}; give a folder after -o")
    jobs = [_job(one, out, single) for one in found]
    _refuse_collisions(jobs)
    return jobs


def check_writable(jobs: Sequence[Job]) -> None:
    """Raise UsageError when a folder of the results can't be written to; nothing is left behind."""
    for folder in dict.fromkeys(job.labels.parent for job in jobs):
        check_folder(folder)


def _job(found: _Found, out: Path, single: bool) -> Job:
    is_png = found.source.suffix.lower() == ".png" and not found.source.is_dir()
    if single:
        if out.suffix.lower() == ".png" and not is_png:
            raise UsageError(f"{out}: only the labels of a PNG are written as PNG; end the name in .nii.gz")
        base, labels = out.with_name(stem(out)), out
    else:
        base = out / found.relative / stem(found.source)
        labels = base.with_name(base.name + "_seg" + (".png" if is_png else ".nii.gz"))
    preview, record = base.with_name(base.name + "_preview.png"), base.with_name(base.name + ".json")
    return Job(found.source, labels, preview, record)


def _refuse_collisions(jobs: Sequence[Job]) -> None:
    """Raise UsageError where two scans would share an output, or one would overwrite a scan."""
    by_output: dict[str, list[Path]] = {}
    for job in jobs:
        name = unicodedata.normalize("NFC", str(job.record)).casefold()  # as some file systems compare names
        by_output.setdefault(name, []).append(job.source)
    clashes = [sources for sources in by_output.values() if len(sources) > 1]
    if clashes:
        named = "; ".join(" and ".join(map(str, c)) for c in clashes[:5])
        raise UsageError(
            f"these inputs would get the same output name: {named}. Segment them into separate folders"
        )
    sources = {os.path.realpath(job.source) for job in jobs}
    for job in jobs:
        for output in job.outputs:
            if os.path.realpath(output) in sources:
                raise UsageError(f"{output} is an input and would be overwritten; give another name after -o")


def _skip_output(path: Path) -> bool:
    skip = path.is_file() and is_output(path)
    if skip:
        logger.info("%s: written by cafrnet itself, not taken for a scan", path)
    return skip


def _expand(path: Path, out: Path | None, png: bool) -> Iterable[_Found]:
    """Find the scans that one word of the command line stands for."""
    if path.is_dir():
        return _folder(path, path, out, png)
    if path.exists() or not glob.has_magic(str(path)):
        return [_Found(path)]  # a file, or something missing that the reader will name
    matches = [Path(match) for match in _matches(path)]
    if not matches:
        raise UsageError(f"{path} matches nothing")
    return [found for match in matches for found in _matched(match, out, png)]


def _matched(match: Path, out: Path | None, png: bool) -> Iterable[_Found]:
    if match.is_dir():
        return _folder(match, match, out, png)
    return [_Found(match)] if is_scan(match) or is_dicom(match) else []


def _matches(pattern: Path) -> list[str]:
    """Expand a glob; a part of it that exists as it stands is no pattern, whatever brackets it has."""
    fixed = Path(pattern.anchor)
    parts = list(pattern.parts[1:] if pattern.anchor else pattern.parts)
    while parts and (fixed / parts[0]).exists():
        fixed /= parts.pop(0)
    return sorted(glob.glob(os.path.join(glob.escape(str(fixed)), *parts), recursive=True))


def _folder(
    folder: Path, root: Path, out: Path | None, png: bool, above: frozenset[str] = frozenset()
) -> list[_Found]:
    """Find the scans in a folder and below, in order of their paths.

    A folder of DICOM files is one scan with all that lies below it. A folder without such files of its own,
    and with at least two DICOM folders below (or a DICOMDIR), all of one study, is the scan instead of them.
    """
    relative = folder.relative_to(root)
    study = _study(folder)
    found = [] if study is None else [_Found(folder, relative.parent, study)]
    above |= {os.path.realpath(folder)}
    for entry in _entries(folder):
        if entry.is_dir():
            loop, is_out = os.path.realpath(entry) in above, out is not None and _same(entry, out)
            if not (loop or is_out or study):
                found += _folder(entry, root, out, png, above)
        elif study and entry.name.lower().endswith(DICOM.suffixes):
            continue  # of the series, or no DICOM file, which its reader says and ignores
        elif is_scan(entry) and not is_dicom(entry) and (png or entry.suffix.lower() != ".png"):
            found.append(_Found(entry, relative))
    below = [one for one in found if one.study]
    enough = len(below) > 1 or (folder / "DICOMDIR").exists()
    if study is None and enough and len({one.study for one in below}) == 1:
        logger.info("%s: its DICOM folders belong to one study and are one input", folder)
        found = [one for one in found if not one.study] + [_Found(folder, relative.parent, below[0].study)]
    return found


def _study(folder: Path) -> tuple[str, str] | None:
    """Return study and patient of the DICOM images that lie in a folder itself; None without any."""
    if not is_dicom_folder(folder):
        return None
    from ..scan.dicom_frames import study_of

    return study_of(folder)


def _entries(folder: Path) -> Iterator[Path]:
    try:
        yield from sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))
    except OSError as error:
        raise UsageError(f"{folder} could not be read: {error.strerror or error}") from error


def _same(a: Path, b: Path) -> bool:
    return b.exists() and os.path.samefile(a, b)
