"""What `segment IN... -o OUT` means: a list of scans and where their results go."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import UsageError
from ..files import stem
from ..scan.formats import is_dicom_folder, is_scan


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


def plan_jobs(inputs: Sequence[str | os.PathLike[str]], out: str | os.PathLike[str], *, png: bool = False) -> list[Job]:
    """Expand files, folders, DICOM folders and globs into jobs.

    Args:
        inputs: a folder stands for every scan below it and keeps its subfolders; a folder that holds DICOM
            files is one scan.
        out: folder, or ``x.nii.gz`` for a single input.
        png: whether PNG files found in folders count (they need a pixel size).

    Raises:
        UsageError: nothing found, two inputs with one output name, or a file name for several inputs.
    """
    out = Path(out)
    single = out.name.lower().endswith((".nii.gz", ".nii"))
    if out.exists() and not single and not out.is_dir():
        raise UsageError(f"{out} is a file; a folder, or a name that ends in .nii.gz, was expected after -o")
    found = [pair for one in inputs for pair in _expand(Path(one), None if single else out, png)]
    if not found:
        raise UsageError(f"no scan found in {', '.join(map(str, inputs))}")
    if single and len(found) > 1:
        raise UsageError(f"{len(found)} scans came and one output name, {out}; give a folder after -o")
    jobs = []
    for source, relative in found:
        if single:
            base, labels = out.with_name(stem(out)), out
        else:
            base = out / relative / stem(source)
            suffix = ".png" if source.suffix.lower() == ".png" else ".nii.gz"
            labels = base.with_name(base.name + "_seg" + suffix)
        jobs.append(
            Job(
                source,
                labels,
                base.with_name(base.name + "_preview.png"),
                base.with_name(base.name + ".json"),
            )
        )
    _refuse_collisions(jobs)
    return jobs


def _refuse_collisions(jobs: Iterable[Job]) -> None:
    by_output: dict[str, list[Path]] = {}
    for job in jobs:
        by_output.setdefault(str(job.record).lower(), []).append(job.source)
    clashes = [sources for sources in by_output.values() if len(sources) > 1]
    if clashes:
        named = "; ".join(" and ".join(map(str, c)) for c in clashes[:5])
        raise UsageError(f"these inputs would get the same output name: {named}. Segment them into separate folders")


def _expand(path: Path, out: Path | None, png: bool) -> Iterator[tuple[Path, Path]]:
    """Yield (scan, its subfolder below the input)."""
    if not path.exists() and glob.has_magic(str(path)):
        matches = sorted(glob.glob(str(path), recursive=True))
        if not matches:
            raise UsageError(f"{path} matches nothing")
        for match in matches:
            yield from _expand(Path(match), out, png)
    elif path.is_dir() and not is_dicom_folder(path):
        yield from _walk(path, path, out, png)
    else:  # a file, a DICOM folder, or something missing that the reader will name
        yield path, Path()


def _walk(folder: Path, root: Path, out: Path | None, png: bool) -> Iterator[tuple[Path, Path]]:
    for entry in sorted(folder.iterdir()):
        if entry.name.startswith(".") or (out is not None and out != root and entry == out):
            continue
        relative = folder.relative_to(root)
        if entry.is_dir():
            if is_dicom_folder(entry):
                yield entry, relative
            else:
                yield from _walk(entry, root, out, png)
        elif is_scan(entry) and (png or entry.suffix.lower() != ".png") and not _is_output(entry):
            yield entry, relative


def _is_output(path: Path) -> bool:
    """Whether a file is a label map that `segment` wrote beside its record."""
    name = stem(path)
    return name.endswith("_seg") and path.with_name(name.removesuffix("_seg") + ".json").exists()
