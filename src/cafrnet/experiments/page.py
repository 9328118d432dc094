"""Everything on one page that needs nothing else: tables, figures inside it, the manifest."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..files import write_text
from .layout import Folder
from .tables.table import Nothing, Table

_KINDS = {".png": "image/png", ".svg": "image/svg+xml"}


def write_page(
    folder: Folder,
    tables: Sequence[Table],
    figures: Mapping[Path, str],
    manifest: Mapping[str, Any],
    problems: Sequence[str],
    partial: str = "",
) -> None:
    """Write ``index.html``; every text is escaped, every figure is inside the file.

    Args:
        folder: of the reproduction.
        tables: in order.
        figures: path -> caption, in order.
        manifest: shown at the end.
        problems: what could not be used or made; shown at the top.
        partial: why not everything is there; shown at the top.

    Raises:
        InputError: a figure that can't be read, or the page can't be written.
    """
    from jinja2 import Environment

    text = resources.files(__package__).joinpath("page.html").read_text(encoding="utf-8")
    page = Environment(autoescape=True, trim_blocks=True).from_string(text)
    data, what = manifest["data"], ", ".join(manifest["what"])
    write_text(
        folder.index,
        page.render(
            title=f"Reproduction on {data['name']}",
            about=f"{what}; budget '{manifest['budget']['name']}', {manifest['budget']['steps']} steps, "
            f"{data['cases']} cases, cafrnet {manifest['cafrnet']}.",
            partial=f"Partial: {partial}." if partial else "",
            problems=list(problems),
            tables=[_table(table) for table in tables],
            figures=[_figure(path, caption) for path, caption in figures.items()],
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
