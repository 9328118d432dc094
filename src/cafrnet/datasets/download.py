"""Getting a public dataset: its terms, its record, its files, and the folder that comes of them.

Tested against a server on this machine that breaks off, is slow and lies. **Not tested against the real
hosts**, which could not be reached from where this was written.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ..errors import InputError, UsageError, nearest
from . import spider, spinemri
from .archive import extract
from .case import Dataset
from .registry import ADAPTERS, open_dataset
from .transfer import Progress, Remote, fetch, read_json


@dataclass(frozen=True)
class Source:
    """Where a dataset comes from, and on which terms.

    Attributes:
        title: what it is.
        record_url: answers with JSON that lists the files.
        terms: shown before anything is fetched.
        wanted: the record's files that are fetched; ``.zip`` ones are extracted.
        folders: what the extracted files bring.
        files: reads the record's answer: file name -> file.
    """

    title: str
    record_url: str
    terms: str
    wanted: tuple[str, ...]
    folders: tuple[str, ...]
    files: Callable[[Any], dict[str, Remote]]


def _figshare(record: Any) -> dict[str, Remote]:
    return {
        f["name"]: Remote(
            f["name"], f["download_url"], int(f["size"]), f.get("computed_md5") or f["supplied_md5"]
        )
        for f in record["files"]
    }


def _zenodo(record: Any) -> dict[str, Remote]:
    found = {}
    for f in record["files"]:
        # Some answers have the bytes under "content" and only a description under "self".
        url = f["links"].get("content") or f["links"]["self"]
        found[f["key"]] = Remote(f["key"], url, int(f["size"]), f["checksum"].removeprefix("md5:"))
    return found


SOURCES: dict[str, Source] = {
    "spinemri": Source(
        title="SpineMRI, the training set of the MRSpineSeg challenge: 172 T2 volumes, 19 classes",
        record_url="https://api.figshare.com/v2/articles/29161781",
        terms=f"""SpineMRI (MRSpineSeg challenge). Owner: Southern Medical University.
Use: {spinemri.DEFAULT.licence}.
Weights trained on it are for non-commercial use only, and must say so.
The owner asks for a signed agreement. The terms of the figshare copy (item 29161781) could not be seen when
this was written: read them there before you go on.
Cite: {spinemri.DEFAULT.citation}.""",
        wanted=("train.zip",),
        folders=("train",),
        files=_figshare,
    ),
    "spider": Source(
        title="SPIDER: 447 lumbar MRI series of 218 patients",
        record_url="https://zenodo.org/api/records/10159290",
        terms=f"""SPIDER, Zenodo record 10159290. Licence: {spider.DEFAULT.licence} (name the authors).
Cite: {spider.DEFAULT.citation}.""",
        wanted=("images.zip", "masks.zip", "overview.csv", "radiological_gradings.csv"),
        folders=("images", "masks"),
        files=_zenodo,
    ),
}


def get_source(name: str) -> Source:
    """Return a source by name.

    Raises:
        UsageError: unknown name; the nearest is named.
    """
    try:
        return SOURCES[name]
    except KeyError:
        raise UsageError(f"no dataset {name!r} to download{nearest(name, SOURCES)}") from None


def download(
    name: str,
    out: str | os.PathLike[str],
    *,
    accept_licence: bool = False,
    zips: Sequence[str | os.PathLike[str]] = (),
    record_url: str | None = None,
    progress: Progress | None = None,
    **transfer: Any,
) -> Dataset:
    """Get a dataset into a new folder, which is whole or absent.

    Fetched files wait in ``<out>.download`` until the folder stands, so that a broken transfer goes on where
    it stopped when the same call is made again.

    Args:
        name: ``"spinemri"`` or ``"spider"``.
        out: the dataset's folder; must not exist, or be empty.
        accept_licence: that the terms (``get_source(name).terms``) were read and are accepted.
        zips: files already at hand, instead of the network; only their own check sums (CRC) are checked.
        record_url: another address of the record, for a mirror.
        progress: is told of each piece of each file.
        transfer: ``timeout_s`` and ``pause`` of :func:`cafrnet.datasets.transfer.fetch`.

    Raises:
        UsageError: unknown name, terms not accepted, or ``out`` is there already.
        InputError: the transfer failed for good, or a zip is not acceptable or holds something else.
    """
    source, out = get_source(name), Path(out)
    if not accept_licence:
        raise UsageError(f"the terms of {name} must be accepted before it is fetched: add --accept-licence")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(f"{out} is there already; name another folder, or remove it")
    if zips:
        return _build(name, source, [Path(z) for z in zips], out)
    waiting = out.with_name(out.name + ".download")
    remotes = _remotes(source, record_url or source.record_url, transfer)
    for remote in remotes:
        fetch(remote, waiting / remote.name, progress=progress, **transfer)
    dataset = _build(name, source, [waiting / r.name for r in remotes], out)
    shutil.rmtree(waiting)
    return dataset


def _remotes(source: Source, url: str, transfer: Mapping[str, Any]) -> list[Remote]:
    """Return the wanted files as the record states them."""
    try:
        offered = source.files(read_json(url, **transfer))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"{url}: its answer is not a record with files ({error!r})") from error
    if missing := [n for n in source.wanted if n not in offered]:
        raise InputError(f"{url} offers {', '.join(offered) or 'nothing'}; {', '.join(missing)} is missing")
    for remote in (remotes := [offered[n] for n in source.wanted]):
        schemes = {"https", urlsplit(url).scheme} & {"http", "https"}
        if urlsplit(remote.url).scheme not in schemes:
            raise InputError(
                f"{url} gives the address {remote.url}; one with {' or '.join(schemes)} was expected"
            )
    return remotes


def _build(name: str, source: Source, files: Sequence[Path], out: Path) -> Dataset:
    """Make the dataset's folder beside where it goes, look at it, and move it there."""
    temporary = out.with_name(f".{os.getpid()}-{out.name}")
    try:
        temporary.mkdir(parents=True)
        for file in files:
            if file.suffix.lower() == ".zip":
                extract(file, temporary, source.folders)
            else:
                shutil.copyfile(file, temporary / file.name)
        if not ADAPTERS[name].matches(temporary):
            raise InputError(
                f"{', '.join(map(str, files))}: the layout of {name} is not in there; "
                f"expected was {ADAPTERS[name].LAYOUT}"
            )
        if out.exists():
            out.rmdir()
        temporary.rename(out)
    except OSError as error:
        raise InputError(f"{out} could not be written: {error.strerror or error}") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return open_dataset(out)
