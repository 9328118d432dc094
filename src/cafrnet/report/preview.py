"""One picture per case that a person can judge: the scan, the labels over it, and their names."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont, PngImagePlugin

from ..files import whole_file
from ..labels import TABLE
from ..scan import Scan

#: Height of a panel in pixels, and the most that it may be wide.
PANEL_HEIGHT = 640
PANEL_WIDTH = 960
#: Opacity of the colours over the scan.
OPACITY = 0.38
#: Text chunk in every preview, by which it is told from scans.
MARK = "cafrnet preview"


def preview(scan: Scan, labels: np.ndarray) -> Image.Image:
    """Draw the middle slice alone, then three labelled slices with sacrum and vertebrae named.

    Args:
        scan: the scan.
        labels: ids in the scan's array order.

    Returns:
        Panels side by side, head up, front to the left, pixels square. The slices stand at the middle and at
        a quarter and three quarters of the labelled width (of the scan, where nothing was found).
    """
    frame = scan.frame
    images, ids = frame.to_sagittal(scan.voxels), frame.to_sagittal(labels)
    column = np.isin(ids, TABLE.column)
    holding = np.flatnonzero(column.any(axis=(1, 2)))
    first, last = (int(holding[0]), int(holding[-1])) if len(holding) else (0, len(ids) - 1)
    middle = (first + last) // 2
    chosen = sorted({round(first + f * (last - first)) for f in (0.25, 0.75)} | {middle})
    low, high = np.percentile(images[middle], [1, 99.5])
    panels = [_panel(images[middle], None, frame.spacing_mm, low, high, _caption(middle, len(ids)))]
    for k in chosen:
        panels.append(_panel(images[k], ids[k], frame.spacing_mm, low, high, _caption(k, len(ids))))
    gap = 6
    sheet = Image.new("RGB", (sum(p.width + gap for p in panels) - gap, PANEL_HEIGHT))
    left = 0
    for panel in panels:
        sheet.paste(panel, (left, 0))
        left += panel.width + gap
    return sheet


def _caption(index: int, count: int) -> str:
    """Name a slice by its place between the patient's sides, whatever the order of the file."""
    return f"slice {index + 1}/{count} from patient's left"


def _panel(
    image: np.ndarray,
    ids: np.ndarray | None,
    spacing_mm: tuple[float, float, float],
    low: float,
    high: float,
    caption: str,
) -> Image.Image:
    size = _size(image.shape, spacing_mm)
    grey = np.clip((image.astype(np.float64) - low) / ((high - low) or 1.0), 0, 1) * 255
    panel = Image.fromarray(grey.astype(np.uint8)).resize(size, Image.Resampling.BILINEAR).convert("RGB")
    font = ImageFont.load_default(size=13)
    if ids is not None:
        shown = np.asarray(Image.fromarray(ids.astype(np.uint8)).resize(size, Image.Resampling.NEAREST))
        panel = _overlay(panel, shown)
        draw = ImageDraw.Draw(panel)
        pixels = np.bincount(shown.ravel(), minlength=256)
        for identity in TABLE.column:
            if pixels[identity] >= 30 and TABLE[identity].kind != "disc":
                here = shown == identity
                y, x = (here.sum(1 - axis) @ np.arange(here.shape[axis]) / here.sum() for axis in (0, 1))
                _text(draw, (x, y), TABLE[identity].name, font, anchor="mm")
    framed = Image.new("RGB", (size[0], PANEL_HEIGHT))
    framed.paste(panel, (0, (PANEL_HEIGHT - size[1]) // 2))
    draw = ImageDraw.Draw(framed)
    _text(draw, (6, 4), caption, font)
    _text(draw, (6, PANEL_HEIGHT / 2), "A", font, anchor="lm")
    _text(draw, (size[0] - 6, PANEL_HEIGHT / 2), "P", font, anchor="rm")
    return framed


def _size(shape: tuple[int, ...], spacing_mm: tuple[float, float, float]) -> tuple[int, int]:
    """Return width and height in pixels: as large as fits into a panel, with square pixels."""
    height_mm, width_mm = shape[0] * spacing_mm[1], shape[1] * spacing_mm[2]
    scale = min(PANEL_HEIGHT / height_mm, PANEL_WIDTH / width_mm)
    return max(1, round(width_mm * scale)), max(1, round(height_mm * scale))


def _overlay(panel: Image.Image, shown: np.ndarray) -> Image.Image:
    """Tint each structure of a grey panel and draw its outline: one look into a table for each pixel."""
    colours = np.zeros((256, 3))
    for label in TABLE:
        colours[label.id] = label.colour
    colours[TABLE.unknown] = (255, 255, 255)
    edge = np.zeros(shown.shape, np.uint8)
    edge[:-1] |= shown[:-1] != shown[1:]
    edge[:, :-1] |= shown[:, :-1] != shown[:, 1:]
    there = np.flatnonzero(np.bincount(shown.ravel(), minlength=256))
    row = np.zeros(256, np.intp)
    row[there] = np.arange(len(there))
    greys = np.arange(256)[:, None]
    tints = np.empty((len(there), 2, 256, 3), np.uint8)  # structure, whether it is an edge, grey, RGB
    for k, identity in enumerate(there):
        for is_edge, opacity in enumerate((OPACITY, 0.95) if identity else (0.0, 0.0)):
            tints[k, is_edge] = greys * (1 - opacity) + colours[identity] * opacity
    return Image.fromarray(tints[row[shown], edge, np.asarray(panel)[..., 0]])


def _text(draw: ImageDraw.ImageDraw, at: tuple[float, float], text: str, font, anchor: str = "la") -> None:
    draw.text(at, text, font=font, fill="white", anchor=anchor, stroke_width=2, stroke_fill="black")


def write_preview(scan: Scan, labels: np.ndarray, path: Path) -> None:
    """Write the picture as PNG; the file is whole or absent."""
    info = PngImagePlugin.PngInfo()
    info.add_text("Software", MARK)
    with whole_file(path) as temporary:
        preview(scan, labels).save(temporary, format="PNG", compress_level=3, pnginfo=info)
