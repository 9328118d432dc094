"""Adding a bundle: fetched, its hash compared, unpacked with care, verified, and only then in its place."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from ..datasets.archive import extract
from ..datasets.tarball import extract_tar
from ..datasets.transfer import Progress, Remote, announced_bytes, fetch
from ..errors import InputError, UsageError
from ..files import sha256
from .bundle import Bundle, open_bundle
from .card import check_name
from .layout import FILES, SUMS
from .places import bundle_home, home

#: Largest bundle, packed or not. The contract allows 40 MB for the default one.
MOST_BYTES = 2**28


def add_bundle(
    source: str | os.PathLike[str],
    digest: str,
    *,
    overwrite: bool = False,
    progress: Progress | None = None,
    try_out: Callable[[Path], object] | None = None,
) -> Bundle:
    """Install a bundle for this user, whole or not at all.

    Args:
        source: a folder, a zip or tar.gz file, or an http(s) address of one of these two.
        digest: SHA-256 of the archive, compared before it is opened; of ``SHA256SUMS`` for a folder.
        overwrite: replace another bundle of the same name.
        progress: is told how far a download is.
        try_out: called with the folder before it is put in place; what it raises stops the installation.

    Returns:
        The bundle, in its place under :func:`~cafrnet.bundles.home`. One that is there already with the
        same hashes stays.

    Raises:
        UsageError: no such file, a foreign kind of address, not a hash, another bundle of that name.
        InputError: another hash, a damaged or hostile archive, a bundle that is not whole or of another
            label table, no network, no space.
    """
    digest = _hash(digest)
    with _workshop() as bench:
        folder = _bundle_in(_brought(str(source), digest, bench, progress))
        bundle = open_bundle(folder)
        check_name(bundle.name)
        target = bundle_home() / bundle.name
        if _is_there(bundle, target, overwrite):
            return open_bundle(target)
        ready = bench / "ready"
        ready.mkdir()
        for name in (*FILES, SUMS):
            shutil.copyfile(folder / name, ready / name)
        open_bundle(ready)
        if try_out:
            try_out(ready)
        _put(ready, target, bench / "old")
    return open_bundle(target)


def _hash(text: str) -> str:
    digest = text.strip().lower().removeprefix("sha256:")
    if not re.fullmatch(r"[0-9a-f]{64}", digest):
        raise UsageError(f"the hash {text!r} came; a SHA-256 of 64 hexadecimal digits was expected")
    return digest


@contextmanager
def _workshop() -> Iterator[Path]:
    """Yield a temporary folder on the disk where bundles live; nothing of it stays."""
    try:
        bundle_home().mkdir(parents=True, exist_ok=True)
        bench = Path(tempfile.mkdtemp(prefix=".adding-", dir=bundle_home()))
    except OSError as error:
        raise InputError(
            f"{bundle_home()} can't be written ({error.strerror}); set CAFRNET_HOME to another folder"
        ) from error
    try:
        yield bench
    except OSError as error:
        raise InputError(f"the bundle could not be written: {error.strerror or error}") from error
    finally:
        shutil.rmtree(bench, ignore_errors=True)


def _brought(source: str, digest: str, bench: Path, progress: Progress | None) -> Path:
    """Return a folder with what the source holds, its hash compared."""
    if "://" in source:
        archive = _download(source, digest, progress)
        try:
            return _unpacked(archive, bench)
        finally:
            archive.unlink()
    path = Path(source)
    if path.is_dir():
        if not (path / SUMS).is_file():
            raise InputError(f"{path} is no whole bundle: {SUMS} is missing")
        _compare(path / SUMS, digest)
        return path
    if not path.is_file():
        raise UsageError(
            f"{path}: no such file or folder; a bundle's folder, archive or address was expected"
        )
    _compare(path, digest)
    return _unpacked(path, bench)


def _compare(path: Path, digest: str) -> None:
    if (found := sha256(path)) != digest:
        raise InputError(f"{path} has the SHA-256 {found}, {digest} was given; nothing was installed")


def _download(url: str, digest: str, progress: Progress | None) -> Path:
    """Fetch an archive; a transfer that breaks off goes on at the next call."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise UsageError(f"{url}: an address that begins with https:// or http:// was expected")
    name = Path(parts.path).name or "bundle"
    size = announced_bytes(url)
    if size > MOST_BYTES:
        raise InputError(f"{url} has {size} bytes, at most {MOST_BYTES} are accepted for a bundle")
    target = home() / "downloads" / digest
    fetch(Remote(name, url, size, sha256=digest), target, progress=progress)
    return target


def _unpacked(archive: Path, bench: Path) -> Path:
    folder = bench / "unpacked"
    folder.mkdir()
    take = extract if zipfile.is_zipfile(archive) else extract_tar
    take(archive, folder, most_bytes=MOST_BYTES)
    return folder


def _bundle_in(folder: Path) -> Path:
    """Return the folder that holds the bundle: this one, or the only one in it."""
    inside = [p for p in folder.iterdir() if p.is_dir()]
    return inside[0] if not (folder / SUMS).exists() and len(inside) == 1 else folder


def _is_there(bundle: Bundle, target: Path, overwrite: bool) -> bool:
    """Whether the same bundle is in place already.

    Raises:
        UsageError: another one is, and it is not to be replaced.
    """
    if not target.exists():
        return False
    try:
        there = open_bundle(target)
    except (InputError, UsageError):  # damaged, or no folder at all
        if overwrite:
            return False
        raise UsageError(f"{target} holds a damaged bundle; add --overwrite to replace it") from None
    if there.sha256 == bundle.sha256:
        return True
    if overwrite:
        return False
    raise UsageError(
        f"there is a bundle {bundle.name!r} already, version {there.card.version} (this is "
        f"{bundle.card.version}); add --overwrite to replace it"
    )


def _put(ready: Path, target: Path, old: Path) -> None:
    """Move a finished folder to its place; what was there comes back if that fails."""
    ready.chmod(0o755)
    if target.exists():
        os.rename(target, old)
    try:
        os.rename(ready, target)
    except OSError:
        if old.exists():
            os.rename(old, target)
        raise
