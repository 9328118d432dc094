"""What all figures share: a canvas, colours, and a PNG with its caption that is whole or absent."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ...errors import MissingExtraError, UsageError
from ...files import whole_file, write_text
from ...labels import TABLE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: One colour per model, told apart by people with red-green blindness too (Okabe and Ito 2008).
COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#d55e00", "#56b4e9", "#7f7f7f", "#000000")
#: Opacity of labels over a scan.
OPACITY = 0.4
DPI = 150


class NothingToShow(UsageError):
    """The runs are there and hold nothing to draw: models that found nothing, or that never differ."""


@dataclass(frozen=True)
class Drawn:
    """A figure on disk.

    Attributes:
        path: of the PNG; its caption stands beside it, with the ending ``.txt``.
        caption: what is shown, and by which rule.
    """

    path: Path
    caption: str


def canvas(width_inch: float, height_inch: float) -> Figure:
    """Return an empty figure.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    if importlib.util.find_spec("matplotlib") is None:
        raise MissingExtraError("drawing figures", "plots")
    from matplotlib.figure import Figure

    return Figure(figsize=(width_inch, height_inch), layout="constrained")


def save(figure: Figure, path: Path, caption: str) -> Drawn:
    """Write a figure as PNG and its caption beside it; each is whole or absent.

    Raises:
        InputError: the system refused to write.
    """
    with whole_file(path) as temporary:
        figure.savefig(temporary, dpi=DPI, format="png")
    return write_caption(path, caption)


def write_caption(path: Path, caption: str) -> Drawn:
    """Write the caption of a figure beside it, in place of another.

    Raises:
        InputError: the system refused to write.
    """
    write_text(path.with_suffix(".txt"), caption + "\n")
    return Drawn(path, caption)


def colour_of(place: int) -> str:
    """Return the colour of the model at a place in the list of models."""
    return COLOURS[place % len(COLOURS)]


def paint(
    axes: Axes,
    image: np.ndarray,
    labels: np.ndarray | None,
    spacing_mm: tuple[float, float],
    title: str = "",
) -> None:
    """Draw one sagittal slice, head up and front to the left, with labels tinted and outlined.

    Args:
        axes: where; the axes of it count mm.
        image: [r, c] grey values, 0 to 1.
        labels: [r, c] ids, or None; 255 (unknown) is hatched grey.
        spacing_mm: of rows and columns.
        title: above.
    """
    height_mm, width_mm = (n * s for n, s in zip(image.shape, spacing_mm, strict=True))
    extent = (0.0, width_mm, height_mm, 0.0)
    axes.imshow(image, cmap="gray", vmin=0, vmax=1, extent=extent, interpolation="nearest")
    if labels is not None:
        axes.imshow(tint(labels), extent=extent, interpolation="nearest")
    axes.set_title(title, fontsize=8)
    axes.set_xticks([])
    axes.set_yticks([])


def tint(labels: np.ndarray) -> np.ndarray:
    """Return [r, c, 4] colours (0 to 1) of labels: the table's, opaque along borders, nothing for 0."""
    colours = np.zeros((256, 3), np.float32)
    for label in TABLE:
        colours[label.id] = np.array(label.colour) / 255
    colours[TABLE.unknown] = 0.5
    edge = np.zeros(labels.shape, bool)
    edge[:-1] |= labels[:-1] != labels[1:]
    edge[:, :-1] |= labels[:, :-1] != labels[:, 1:]
    alpha = np.where(labels > 0, np.where(edge, 0.95, OPACITY), 0.0).astype(np.float32)
    return np.concatenate([colours[labels], alpha[..., None]], axis=-1)
