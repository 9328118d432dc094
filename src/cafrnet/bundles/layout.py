"""The five files of a bundle, and ``SHA256SUMS``, which holds the hash of the four others.

The form of ``SHA256SUMS`` is that of the program ``sha256sum``, so ``sha256sum -c`` understands it, too.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from ..errors import InputError
from ..files import sha256, write_text

MODEL, CARD, PREPROCESSING, LABELS = "model.onnx", "card.yaml", "preprocessing.json", "labels.yaml"
#: What the sums are of.
FILES = (MODEL, CARD, PREPROCESSING, LABELS)
SUMS = "SHA256SUMS"
#: What systems leave in a folder; it is no part of a bundle and does no harm.
IGNORED = (".DS_Store", "Thumbs.db", "desktop.ini")

_LINE = re.compile(r"^([0-9a-f]{64})[ \t][ *](\S+)$")


def read_yaml(path: Path) -> Any:
    """Read a small YAML file, with libyaml where PyYAML has it: a card is read at every start.

    Raises:
        OSError, UnicodeDecodeError, yaml.YAMLError: as they come.
    """
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return yaml.load(path.read_text(encoding="utf-8"), Loader=loader)  # a safe loader in both cases


def is_bundle(folder: Path) -> bool:
    """Whether a folder is meant as a bundle: it has a card or sums (a run has neither)."""
    return (folder / SUMS).is_file() or (folder / CARD).is_file()


def write_sums(folder: Path) -> None:
    """Write ``SHA256SUMS`` for the four files of a folder."""
    write_text(folder / SUMS, "".join(f"{sha256(folder / name)}  {name}\n" for name in FILES))


def read_sums(folder: Path) -> dict[str, str]:
    """Return what ``SHA256SUMS`` says: name -> 64 hexadecimal digits.

    Raises:
        InputError: missing, not in its form, a file named twice, or other files than the four.
    """
    path = folder / SUMS
    try:
        lines = path.read_text(encoding="ascii").splitlines()
    except FileNotFoundError:
        raise InputError(f"{folder} is no whole bundle: {SUMS} is missing; get the bundle again") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} can't be read ({error}); get the bundle again") from error
    sums: dict[str, str] = {}
    for line in lines:
        found = _LINE.match(line)
        if not found or found[2] in sums:
            raise InputError(f"{path}: the line {line[:100]!r} is none of sums; get the bundle again")
        sums[found[2]] = found[1]
    if set(sums) != set(FILES):
        raise InputError(
            f"{path} names {', '.join(sorted(sums)) or 'nothing'}; {', '.join(FILES)} were expected"
        )
    return sums
