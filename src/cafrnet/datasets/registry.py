"""From a folder to a dataset: the one place that decides which adapter a folder gets.

Adding a layout is one file with ``LAYOUT``, ``matches`` and ``open``, and its name in ``ADAPTERS``.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Protocol

from ..errors import UsageError
from . import nnunet_raw, plain, spider, spinemri, verse
from .case import Dataset


class Adapter(Protocol):
    """What a module has to have to be an adapter."""

    #: One line that shows the layout.
    LAYOUT: str

    def matches(self, root: Path) -> bool:
        """Whether the folder has this layout (no file is opened)."""

    def open(self, root: Path) -> Dataset:
        """List the cases (no scan is read)."""


ADAPTERS: dict[str, Adapter] = {
    "spinemri": spinemri,  # type: ignore[dict-item]
    "spider": spider,  # type: ignore[dict-item]
    "verse": verse,  # type: ignore[dict-item]
    "nnunet_raw": nnunet_raw,  # type: ignore[dict-item]
    "plain": plain,  # type: ignore[dict-item]
}


def open_dataset(root: str | os.PathLike[str]) -> Dataset:
    """Open a dataset by its layout; nothing is read but names and ``dataset.yaml``.

    Args:
        root: the folder that holds ``train/`` (SpineMRI), ``images/`` (SPIDER, plain), ``rawdata/`` (VerSe)
            or ``imagesTr/`` (nnU-Net).

    Raises:
        UsageError: no such folder, a layout that none or more than one adapter knows, or no cases.
    """
    root = Path(root)
    if not root.is_dir():
        raise UsageError(
            f"{root}: {'a file' if root.exists() else 'no such folder'}; a dataset's folder was expected"
        )
    found = [name for name, adapter in ADAPTERS.items() if adapter.matches(root)]
    if len(found) > 1:
        raise UsageError(
            f"{root} has more than one layout ({', '.join(found)}); move each into its own folder"
        )
    if not found:
        raise UsageError(_unknown(root))
    dataset = ADAPTERS[found[0]].open(root)
    if not dataset.cases:
        raise UsageError(f"{root} holds no case; its layout is {ADAPTERS[found[0]].LAYOUT}")
    return dataset


def _unknown(root: Path) -> str:
    """Say what was found in a folder of no known layout, and which layouts there are."""
    entries = sorted(
        p.name + ("/" if p.is_dir() else "") for p in root.iterdir() if not p.name.startswith(".")
    )
    shown = ", ".join(entries[:8]) + (f" and {len(entries) - 8} more" if len(entries) > 8 else "")
    near = [p for p in (root.resolve().parent, *sorted(root.iterdir())) if p.is_dir()]
    better = next((p for p in near for a in ADAPTERS.values() if a.matches(p)), None)
    hint = f" Did you mean {better}?" if better else ""
    layouts = "; ".join(adapter.LAYOUT for adapter in ADAPTERS.values())
    return f"{root} holds {shown or 'nothing'}, which is no known layout.{hint} Known are: {layouts}"
