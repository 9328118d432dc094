"""One bundle on disk: verified before anything in it is used."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from ..errors import CAFRNetError, InputError, UsageError
from ..files import sha256
from .card import Card, read_card
from .label_file import check_labels
from .layout import CARD, FILES, IGNORED, LABELS, MODEL, SUMS, read_sums

#: How ONNX writes that a weight lies in another file: the key ``location`` of its ``external_data``.
_ELSEWHERE = b"\x0a\x08location\x12"


@dataclass(frozen=True)
class Bundle:
    """A bundle whose files have been verified.

    Attributes:
        path: its folder.
        card: what it says of itself.
        hashes: file -> SHA-256, as verified.
        sha256: of ``SHA256SUMS``, and so of the whole bundle.
    """

    path: Path
    card: Card
    hashes: dict[str, str] = field(repr=False)
    sha256: str = ""

    @property
    def name(self) -> str:
        """The name on its card."""
        return self.card.name


def open_bundle(folder: Path) -> Bundle:
    """Verify a bundle and read its card. Every file is hashed: about 10 ms for 10 MB.

    Raises:
        UsageError: no such folder. InputError: a file is missing or differs from its hash, the model keeps
            weights in another file, the card is damaged, or it was made for another label table.
    """
    if not folder.is_dir():
        raise UsageError(f"{folder}: no such folder; a bundle's folder was expected")
    hashes = read_sums(folder)
    for name, stated in hashes.items():
        if reason := _wrong(folder / name, stated):
            raise InputError(f"{folder / name} {reason}; the bundle is not used. Get it again")
    if reason := _weights_elsewhere(folder / MODEL):
        raise InputError(reason)
    check_labels(folder / LABELS)
    return Bundle(folder, read_card(folder / CARD), hashes, sha256(folder / SUMS))


def problems(folder: Path) -> list[str]:
    """Return all that is wrong with a bundle's files, one sentence each; empty when nothing is.

    Unlike :func:`open_bundle` it does not stop at the first, and files that don't belong there count.
    """
    try:
        sums = read_sums(folder)
    except InputError as error:
        return [str(error)]
    found = [
        f"{folder / name} {reason}"
        for name, stated in sums.items()
        if (reason := _wrong(folder / name, stated))
    ]
    if (folder / MODEL).is_file() and (reason := _weights_elsewhere(folder / MODEL)):
        found.append(reason)
    extra = sorted(p.name for p in folder.iterdir() if p.name not in (*FILES, SUMS, *IGNORED))
    found += [f"{folder / name} is no file of a bundle" for name in extra]
    for name, read in ((LABELS, check_labels), (CARD, read_card)):
        if (folder / name).is_file():
            try:
                read(folder / name)
            except CAFRNetError as error:
                found.append(str(error))
    return found


def _wrong(path: Path, stated: str) -> str:
    """Say how a file differs from what the sums state; empty if it does not."""
    if not path.is_file():
        return "is missing"
    try:
        hashed = sha256(path)
    except OSError as error:
        return f"can't be read ({error.strerror})"
    return "" if hashed == stated else f"has the SHA-256 {hashed[:12]}..., {SUMS} states {stated[:12]}..."


def _weights_elsewhere(model: Path) -> str:
    """Say that a model takes weights from a file that no hash covers; empty if it does not."""
    if _ELSEWHERE not in model.read_bytes():
        return ""
    return (
        f"{model} keeps weights in another file, which no hash covers; the bundle is not used. Get it again"
    )
