"""What `relabel SEG... -o OUT` means: a list of label maps and where their results go."""

from __future__ import annotations

import glob
import os
from collections.abc import Sequence
from pathlib import Path

from ..errors import UsageError
from ..files import stem
from ..scan import is_segmentation
from .inputs import NOT_WRITTEN, SINGLE, Job


def plan_relabelling(inputs: Sequence[str | os.PathLike[str]], out: str | os.PathLike[str]) -> list[Job]:
    """Expand label maps and globs into jobs.

    Args:
        inputs: label maps, or globs of them.
        out: folder, in which each keeps its name (other formats become .nii.gz, ``scan.seg.nrrd`` becomes
            ``scan_seg.nii.gz``); or, for a single one, the name of the new label map.

    Raises:
        UsageError: nothing found, a folder, two with one output name, an output that is another's input, a
            file name for several, or a name that no label map is written in.
    """
    if not all(str(word) for word in (*inputs, out)):
        raise UsageError("an empty name came for an input or for -o; is a shell variable not set?")
    out = Path(out)
    single = out.name.lower().endswith(SINGLE) and not out.is_dir()
    if not single and not out.is_dir() and (out.exists() or out.name.lower().endswith(NOT_WRITTEN)):
        raise UsageError(f"{out}: a folder, or a name that ends in .nii.gz, was expected after -o")
    sources = list(dict.fromkeys(path for word in inputs for path in _expand(Path(word))))
    if single and len(sources) > 1:
        raise UsageError(f"{len(sources)} label maps came and one output name, {out}; give a folder after -o")
    jobs = [_job(source, out if single else out / _written_name(source)) for source in sources]
    _refuse_collisions(jobs)
    return jobs


def bases(labels: Path) -> list[Path]:
    """Return the names, without extension, that record and preview of a label map may have."""
    name = stem(labels)
    return [labels.with_name(n) for n in dict.fromkeys((name.removesuffix("_seg") or name, name))]


def _expand(path: Path) -> list[Path]:
    if path.is_dir():
        raise UsageError(f"{path} is a folder; name its label maps, for example {path / '*_seg.nii.gz'}")
    if path.exists() or not glob.has_magic(str(path)):
        return [path]
    found = [Path(p) for p in sorted(glob.glob(str(path), recursive=True)) if not Path(p).is_dir()]
    if not found:
        raise UsageError(f"{path} matches nothing")
    return found


def _written_name(source: Path) -> str:
    if is_segmentation(source):  # lies beside scan.nii.gz as scan.seg.nrrd
        return stem(source) + "_seg.nii.gz"
    return source.name if source.name.lower().endswith(SINGLE) else stem(source) + ".nii.gz"


def _job(source: Path, labels: Path) -> Job:
    if labels.suffix.lower() == ".png" and source.suffix.lower() != ".png":
        raise UsageError(f"{labels}: only the labels of a PNG are written as PNG; end the name in .nii.gz")
    base = bases(labels)[0]
    return Job(
        source, labels, base.with_name(base.name + "_preview.png"), base.with_name(base.name + ".json")
    )


def _refuse_collisions(jobs: Sequence[Job]) -> None:
    """Raise UsageError where two label maps would share an output, or one would overwrite another's input."""
    by_output: dict[str, Job] = {}
    for job in jobs:
        name = os.path.realpath(job.record).casefold()
        if name in by_output:
            raise UsageError(
                f"{by_output[name].source} and {job.source} would get the same output name; "
                "relabel them into separate folders"
            )
        by_output[name] = job
    sources = {os.path.realpath(job.source): job for job in jobs}
    for job in jobs:
        other = sources.get(os.path.realpath(job.labels), job)
        if other is not job:
            raise UsageError(
                f"{job.labels} is an input and would be overwritten; give another folder after -o"
            )
