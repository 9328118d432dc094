"""Everything on one page that needs nothing else: tables, figures inside it, the manifest."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..files import write_text
from .layout import Folder
from .protocol import planned
from .tables.table import Nothing, Table

_KINDS = {".png": "image/png", ".svg": "image/svg+xml"}


@dataclass
class Written:
    """What was written.

    Attributes:
        tables: in the order of the page.
        figures: path -> caption.
        problems: what could not be used or made, a line each.
        notes: what there is nothing to show of, a line each; no failure.
    """

    tables: list[Table] = field(default_factory=list)
    figures: dict[Path, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def write_page(folder: Folder, written: Written, manifest: Mapping[str, Any], partial: str = "") -> None:
    """Write ``index.html``; every text is escaped, every figure is inside the file.

    Args:
        folder: of the reproduction.
        written: what there is to show; problems stand at the top.
        manifest: shown at the end.
        partial: why not everything is there; shown at the top.

    Raises:
        InputError: a figure that can't be read, or the page can't be written.
    """
    from jinja2 import Environment

    text = resources.files(__package__).joinpath("page.html").read_text(encoding="utf-8")
    page = Environment(autoescape=True, trim_blocks=True).from_string(text)
    data, what = manifest["data"], ", ".join(manifest["what"])
    spent = manifest["budget"]
    steps = planned(spent["steps"], spent["name"], manifest["identity"]["changes"])
    write_text(
        folder.index,
        page.render(
            title=f"Reproduction on {data['name']}",
            about=f"{what}; budget '{spent['name']}', {steps} steps, "
            f"{data['cases']} cases, cafrnet {manifest['cafrnet']}.",
            partial=f"Partial: {partial}." if partial else "",
            problems=written.problems,
            notes=written.notes,
            tables=[_table(table) for table in written.tables],
            figures=[_figure(path, caption) for path, caption in written.figures.items()],
            manifest=json.dumps(manifest, indent=2),
        ),
    )


def _table(table: Table) -> dict[str, Any]:
    rows = []
    for row, texts in zip(table.rows, table.texts(), strict=True):
        cells = zip(table.columns, texts, strict=True)
        rows.append([{"text": text, "nothing": isinstance(row.get(c.key), Nothing)} for c, text in cells])
    return {
        "name": table.name,
        "title": table.title,
        "caption": table.caption,
        "labels": [c.label for c in table.columns],
        "rows": rows,
        "notes": table.notes,
    }


def _figure(path: Path, caption: str) -> dict[str, str]:
    try:
        data = base64.b64encode(path.read_bytes()).decode()
    except OSError as error:
        raise InputError(f"{path} could not be read: {error.strerror}; draw the figures again") from error
    return {"name": path.stem, "kind": _KINDS[path.suffix], "data": data, "caption": caption}
