"""Where bundles live: the default one inside the package, added ones in the user's own data folder."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import yaml

from ..errors import UsageError, nearest
from .layout import CARD, is_bundle, read_yaml

#: The bundle that ships with the package, if this version has one.
DEFAULT = Path(__file__).parent / "default"
VARIABLE = "CAFRNET_HOME"


def home() -> Path:
    """Return the folder for what belongs to this user; it may not exist yet.

    ``CAFRNET_HOME`` if it is set; else the platform's place for data: ``$XDG_DATA_HOME`` or
    ``~/.local/share`` on Linux, ``~/Library/Application Support`` on macOS, ``%LOCALAPPDATA%`` on Windows.
    """
    if chosen := os.environ.get(VARIABLE):
        return Path(chosen).expanduser().absolute()
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Application Support"
    else:
        base = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")
    return base / "cafrnet"


def bundle_home() -> Path:
    """Return the folder that holds the added bundles, one folder each."""
    return home() / "bundles"


def default_folder() -> Path | None:
    """Return the folder of the bundle that ships with the package; None if this version has none."""
    return DEFAULT if DEFAULT.is_dir() else None


def installed() -> dict[str, Path]:
    """Return name -> folder: ``"default"`` first if there is one, then what was added, by name.

    No file is opened.
    """
    shipped = default_folder()
    found = {"default": shipped} if shipped else {}
    folder = bundle_home()
    if folder.is_dir():
        found |= {p.name: p for p in sorted(folder.iterdir()) if is_bundle(p) and not p.name.startswith(".")}
    return found


def find(word: str | os.PathLike[str] | None) -> Path:
    """Return the folder of a model: of a run, or of a bundle.

    Args:
        word: a folder, the name of an added bundle, ``"default"`` or the name on its card, or None for the
            default bundle. A folder goes before a bundle of the same name, and an added one before the
            default one.

    Raises:
        UsageError: no such folder or bundle (the nearest name is given), or no default bundle.
    """
    if word is None or word == "default":
        if shipped := default_folder():
            return shipped
        raise UsageError(
            "no trained model ships with this version of cafrnet: name one with --model RUN "
            "(a folder written by `cafrnet train`) or --model BUNDLE (see `cafrnet bundle list`)"
        )
    path = Path(word)
    if path.is_dir():
        return path
    text, known = os.fspath(word), installed()
    if text in known:
        return known[text]
    if (shipped := default_folder()) and _name_on_card(shipped) == text:
        return shipped
    if path.exists() or len(path.parts) > 1:
        what = "is not a folder" if path.exists() else "does not exist"
        raise UsageError(f"{path} {what}; a folder with model.onnx and preprocessing.json was expected")
    if known:
        raise UsageError(f"{text!r} is no folder and no bundle{nearest(text, known)}")
    raise UsageError(f"{text!r} is no folder, and no bundle was added yet; see `cafrnet bundle add --help`")


def _name_on_card(folder: Path) -> str | None:
    """Return the name of a bundle, None where its card can't be read: what opens the bundle will say why."""
    try:
        card = read_yaml(folder / CARD)
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return None
    return card.get("name") if isinstance(card, dict) else None
