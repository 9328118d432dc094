"""Fetching one large file over HTTP: resumed where it broke off, retried, and checked at the end."""

from __future__ import annotations

import hashlib
import http.client
import json
import logging
import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ..errors import InputError

logger = logging.getLogger(__name__)

#: Told the name, the bytes there are and the bytes there will be.
Progress = Callable[[str, int, int], None]

CHUNK_BYTES = 2**18
#: Failures in a row without a single new byte before giving up.
MOST_FAILURES = 6
#: The same where nobody listens at the address, which waiting seldom changes.
MOST_REFUSALS = 2
#: Answers that may be other ones a moment later.
_PASSING = {408, 425, 429, 500, 502, 503, 504}
_LARGEST_RECORD_BYTES = 2**24


@dataclass(frozen=True)
class Remote:
    """A file that a record offers.

    Attributes:
        name: plain file name.
        url: where its bytes are.
        size: in bytes.
        md5, sha256: 32 and 64 hexadecimal digits; whatever is given is compared.
    """

    name: str
    url: str
    size: int
    md5: str = ""
    sha256: str = ""


class _Passing(Exception):
    """A failure that may be gone at the next try."""


def read_json(url: str, *, timeout_s: float = 30.0, pause: Callable[[float], None] = time.sleep) -> Any:
    """Fetch a JSON document.

    Raises:
        InputError: no answer after several tries, an answer other than 200, or not JSON.
    """
    for failures in range(1, MOST_FAILURES + 1):
        try:
            with _open(url, {}, timeout_s) as answer:
                return json.loads(answer.read(_LARGEST_RECORD_BYTES))
        except _Passing as error:
            _wait(url, error, failures, pause)
        except ValueError as error:
            raise InputError(f"{url} did not answer with JSON ({error})") from error
        except (OSError, http.client.HTTPException) as error:
            _wait(url, error, failures, pause)
    raise AssertionError("unreachable: _wait raises at the last failure")


def announced_bytes(url: str, *, timeout_s: float = 30.0, pause: Callable[[float], None] = time.sleep) -> int:
    """Ask how many bytes an address holds; none of them is fetched.

    Raises:
        InputError: no answer after several tries, an answer other than 200, or one that doesn't say.
    """
    for failures in range(1, MOST_FAILURES + 1):
        try:
            with _open(url, {}, timeout_s, method="HEAD") as answer:
                length = answer.headers.get("Content-Length", "")
        except (_Passing, OSError, http.client.HTTPException) as error:
            _wait(url, error, failures, pause)
        else:
            if not length.isdigit():
                raise InputError(f"{url} does not say how long it is; fetch it by hand and name the file")
            return int(length)
    raise AssertionError("unreachable: _wait raises at the last failure")


def fetch(
    remote: Remote,
    target: Path,
    *,
    progress: Progress | None = None,
    timeout_s: float = 30.0,
    pause: Callable[[float], None] = time.sleep,
) -> None:
    """Fetch a file to ``target``, which is whole and has the stated size and sums, or absent.

    What has come so far stands in ``target.part``, and a later call goes on from there.

    Args:
        remote: the file.
        target: where it goes; if it is already there with the right size and sums, nothing is fetched.
        progress: is told of each piece.
        timeout_s: silence of the server after which the connection is given up and tried again.
        pause: waits between tries, in seconds.

    Raises:
        InputError: the server refuses, sends another size or sum than was stated, or stays silent; no
            space on the disk.
    """
    part = target if target.exists() else target.with_name(target.name + ".part")
    with _disk(part):
        target.parent.mkdir(parents=True, exist_ok=True)
    if part.exists() and part.stat().st_size > remote.size:
        part.unlink()
    _check_space(remote, part)
    failures = 0
    while (have := _size(part)) < remote.size:
        try:
            _continue(remote, part, have, progress, timeout_s)
        except (_Passing, OSError, http.client.HTTPException) as error:
            failures = 1 if _size(part) > have else failures + 1
            _wait(remote.url, error, failures, pause)
    _check_sums(remote, part)
    part.replace(target)


def _check_sums(remote: Remote, part: Path) -> None:
    """Remove what came and raise InputError unless it has the stated sums."""
    for name, stated in (("MD5", remote.md5), ("SHA256", remote.sha256)):
        if not stated:
            continue
        with part.open("rb") as file:
            found = hashlib.file_digest(file, partial(hashlib.new, name, usedforsecurity=False)).hexdigest()
        if found != stated:
            part.unlink()
            raise InputError(
                f"{remote.name}: its {name} is {found}, {stated} was stated; it was removed, run again"
            )


def _continue(remote: Remote, part: Path, have: int, progress: Progress | None, timeout_s: float) -> None:
    """Append what the server sends from byte ``have`` on; return when it stops sending."""
    headers = {"Range": f"bytes={have}-"} if have else {}
    with _open(remote.url, headers, timeout_s) as answer:
        if have and answer.status != 206:
            logger.info("%s: the server can't resume, starting over", remote.name)
            have = 0
        _check_length(remote, answer, have)
        with _disk(part):
            file = part.open("r+b" if have else "wb", buffering=0)
        with file:
            file.seek(have)
            while chunk := answer.read1(CHUNK_BYTES):  # what is there, without waiting for more
                have += len(chunk)
                if have > remote.size:
                    raise InputError(
                        f"{remote.name}: more came than the {remote.size} bytes its record states"
                    )
                with _disk(part):
                    rest = memoryview(chunk)
                    while rest:  # an unbuffered file may take less than it is given
                        rest = rest[file.write(rest) :]
                if progress:
                    progress(remote.name, have, remote.size)
    if have < remote.size:
        raise _Passing(f"the connection ended after {have} of {remote.size} bytes")


@contextmanager
def _disk(path: Path) -> Iterator[None]:
    """Turn what the disk refuses into an InputError: unlike the network, it isn't tried again."""
    try:
        yield
    except OSError as error:
        raise InputError(f"{path} could not be written: {error.strerror or error}") from error


def _check_length(remote: Remote, answer: Any, have: int) -> None:
    """Raise InputError if the server announces another length than the record stated."""
    if answer.status == 206:
        span = answer.headers.get("Content-Range", "")
        start, total = span.removeprefix("bytes ").partition("-")[0], span.rpartition("/")[2]
        if start != str(have):
            raise InputError(
                f"{remote.name}: bytes from {have} were asked, {span!r} came; remove the .part file"
            )
    else:
        total = answer.headers.get("Content-Length", "")
    if total.isdigit() and int(total) != remote.size:
        raise InputError(
            f"{remote.name}: the server has {total} bytes, its record states {remote.size}; try later"
        )


def _open(url: str, headers: dict[str, str], timeout_s: float, method: str = "GET") -> Any:
    request = urllib.request.Request(url, headers={"User-Agent": "cafrnet", **headers}, method=method)
    try:
        return urllib.request.urlopen(request, timeout=timeout_s)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code in _PASSING:
            raise _Passing(f"the server answers {error.code} {error.reason}") from None
        raise InputError(
            f"{url}: the server answers {error.code} {error.reason}; is the address right?"
        ) from None


def _wait(url: str, error: Exception, failures: int, pause: Callable[[float], None]) -> None:
    """Wait longer after each failure; raise InputError at the last one."""
    reason = getattr(error, "reason", None) or error
    most = MOST_REFUSALS if isinstance(reason, ConnectionRefusedError) else MOST_FAILURES
    if failures >= most:
        raise InputError(f"{urlsplit(url).netloc} can't be reached: {reason}; try again later") from error
    seconds = float(2 ** (failures - 1))
    logger.warning("%s; trying again in %g s", reason, seconds)
    pause(seconds)


def _check_space(remote: Remote, part: Path) -> None:
    missing, free = remote.size - _size(part), shutil.disk_usage(part.parent).free
    if missing > free:
        raise InputError(f"{part.parent}: {remote.name} needs {missing} more bytes, {free} are free")


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
