"""One phantom: anatomy -> appearance -> scan, labels, truth."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..scan import Scan
from .anatomy import Anatomy, draw_anatomy
from .appearance import Look, Texture, draw_look, receive, store
from .bones import paint_column
from .canal import draw_strands, paint_canal, paint_foramina
from .canvas import Canvas
from .grid import Grid, draw_grid
from .options import DEFAULT, PhantomOptions
from .posterior import paint_posterior_elements
from .shapes import along
from .surroundings import Trunk, draw_trunk, paint_surroundings
from .truth import describe


@dataclass(frozen=True, eq=False)
class Phantom:
    """A synthetic sagittal spine MRI.

    Attributes:
        scan: the image: uint16, array order (antero-posterior, cranio-caudal, left-right), index 0 growing
            to the back and index 1 upwards, as in SpineMRI.
        labels: same shape, uint8: ids 0 to 21 of the label table; bodies only, their posterior elements are
            21; 255 above T9.
        truth: heights, angles, corners and what was drawn, ready for JSON (:func:`.truth.describe`).
    """

    scan: Scan
    labels: np.ndarray = field(repr=False)
    truth: dict[str, Any] = field(repr=False)


def make_phantom(rng: np.random.Generator | int, options: PhantomOptions = DEFAULT) -> Phantom:
    """Make one phantom.

    Anatomy, grid, contrast and noise have random streams of their own: options that change the contrast or
    the grid leave the patient as it is.

    Args:
        rng: source of chance, or a seed. The same seed and options give the same phantom.
        options: what is not left to chance.

    Raises:
        UsageError: options out of range (raised by :class:`PhantomOptions` itself).
    """
    seed = None if isinstance(rng, np.random.Generator) else int(rng)
    root = rng if isinstance(rng, np.random.Generator) else np.random.default_rng(rng)
    streams = [np.random.default_rng(int(s)) for s in root.integers(0, 2**63, 5)]
    anatomy = draw_anatomy(streams[0], options)
    trunk = draw_trunk(streams[1], anatomy)
    grid = draw_grid(streams[2], anatomy, trunk, options)
    look = draw_look(streams[3], options)
    volume, labels = _render(streams[4], anatomy, trunk, grid, look, options)
    scan = Scan(store(volume, look), grid.affine, source="phantom" if seed is None else f"phantom {seed}")
    return Phantom(scan, labels, describe(anatomy, look, grid, seed, options.as_dict()))


def _render(
    rng: np.random.Generator,
    anatomy: Anatomy,
    trunk: Trunk,
    grid: Grid,
    look: Look,
    options: PhantomOptions,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the signal (float32) and the labels (uint8) of all slices."""
    volume = np.empty(grid.shape, np.float32)
    labels = np.empty(grid.shape, np.uint8)
    strands = draw_strands(rng)
    textures = Texture(rng, grid.shape[:2], grid.pixel_mm)
    for k in range(grid.shape[2]):
        texture = textures.next_slice()
        signal, labels[:, :, k], canvas = _slice(k, anatomy, trunk, grid, look, options, texture, strands)
        skin, front = (along(canvas.z, trunk.z_mm, line) for line in (trunk.skin, anatomy.front_wall_mm))
        volume[:, :, k] = receive(
            signal, canvas.y - skin, canvas.y - front, canvas.z, look, grid.pixel_mm, rng
        )
    return volume, labels


def _slice(
    k: int,
    anatomy: Anatomy,
    trunk: Trunk,
    grid: Grid,
    look: Look,
    options: PhantomOptions,
    texture: dict[str, np.ndarray],
    strands: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, Canvas]:
    """Paint one slice: the surroundings once, bones and canal in several planes that are averaged.

    Returns:
        Signal, labels of the middle plane, and the middle plane itself.
    """
    middle = _canvas(k, anatomy, grid, texture, with_labels=True)
    paint_surroundings(middle, anatomy, trunk, look)
    ground = middle.signal.copy()
    signal = np.zeros_like(ground)
    n = options.supersampling
    planes = [k + (i + 0.5) / n - 0.5 for i in range(n)]
    for at in planes:
        canvas = middle if at == k else _canvas(at, anatomy, grid, texture, with_labels=False)
        canvas.signal[:] = ground
        _paint_spine(canvas, anatomy, look, strands, options)
        signal += canvas.signal
    if k not in planes:
        _paint_spine(middle, anatomy, look, strands, options)
    assert middle.labels is not None
    return signal / n, middle.labels, middle


def _canvas(
    k: float, anatomy: Anatomy, grid: Grid, texture: dict[str, np.ndarray], *, with_labels: bool
) -> Canvas:
    x, y, z = grid.plane(k)
    x, y = anatomy.to_model(x, y, z)
    shape = grid.shape[:2]
    labels = np.zeros(shape, np.uint8) if with_labels else None
    return Canvas(
        x.astype(np.float32),
        y.astype(np.float32),
        z,
        np.zeros(shape, np.float32),
        labels,
        texture,
        grid.pixel_mm,
    )


def _paint_spine(
    canvas: Canvas, anatomy: Anatomy, look: Look, strands: np.ndarray, options: PhantomOptions
) -> None:
    paint_foramina(canvas, anatomy, look)
    paint_canal(canvas, anatomy, look, strands)
    paint_posterior_elements(canvas, anatomy, look)
    paint_column(canvas, anatomy, look, options.endplate_gap_mm)
