"""A head as seen from the side: scalp, skull, folded grey and white matter, ventricles, cerebellum, a neck.

No anatomy to measure anything on: something that a lumbar model must recognise as foreign.
Array order: antero-posterior (index growing to the back), cranio-caudal (growing upwards), left-right.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

#: T2-like grey values.
AIR, SCALP, SKULL, FLUID, GREY, WHITE, STEM = 0.0, 0.75, 0.08, 1.0, 0.62, 0.42, 0.5
#: Thickness of scalp and skull, and how far the folds reach, in mm.
SCALP_MM, SKULL_MM, FOLDS_MM = 6.0, 7.0, 22.0


def draw_head(
    rng: np.random.Generator,
    shape: tuple[int, ...],
    spacing_mm: tuple[float, ...],
    radius_mm: float = 85.0,
) -> np.ndarray:
    """Draw a head in the middle of a volume.

    Args:
        rng: source of chance, for folds and noise.
        shape: voxels along the three axes.
        spacing_mm: of the voxels along them.
        radius_mm: half the length of the head from front to back.

    Returns:
        Signal from 0 to about 1, float32.
    """
    at = [
        ((np.arange(n) - (n - 1) / 2) * step).astype(np.float32)
        for n, step in zip(shape, spacing_mm, strict=True)
    ]
    y, z, x = np.meshgrid(*at, indexing="ij", sparse=True)
    scale = radius_mm / 85.0
    inward = 75 * scale - 75 * np.sqrt((y / 85) ** 2 + (z / 72) ** 2 + (x / 70) ** 2)  # mm below the skin
    texture = ndimage.gaussian_filter(rng.normal(size=shape), [3.0 * scale / s for s in spacing_mm])
    texture /= texture.std()
    signal = np.full(shape, AIR, np.float32)
    _neck(signal, y, z, scale)
    for depth, grey in ((0.0, SCALP), (SCALP_MM, SKULL), (SCALP_MM + SKULL_MM, FLUID)):
        signal[inward > depth * scale] = grey
    brain = inward > (SCALP_MM + SKULL_MM + 3) * scale
    folds = np.abs(texture) < 0.35
    cortex = brain & (inward < FOLDS_MM * 2 * scale) & ~folds
    signal[brain] = WHITE
    signal[cortex] = GREY
    signal[brain & folds & (inward < FOLDS_MM * scale)] = FLUID
    signal[((y + 5 * scale) / (28 * scale)) ** 2 + ((z - 8 * scale) / (9 * scale)) ** 2 + 0 * x < 1] = FLUID
    cerebellum = ((y - 42 * scale) / (24 * scale)) ** 2 + ((z + 38 * scale) / (18 * scale)) ** 2 + 0 * x < 1
    signal[cerebellum] = (
        np.where(np.sin(z / (1.5 * scale)) > 0, GREY, WHITE)
        .repeat(shape[0], 0)
        .repeat(shape[2], 2)[cerebellum]
    )
    return np.abs(signal + rng.normal(0, 0.03, shape)).astype(np.float32)


def _neck(signal: np.ndarray, y: np.ndarray, z: np.ndarray, scale: float) -> None:
    """Paint soft tissue, fluid and cord below the head, without any vertebra."""
    below = z < -30 * scale
    wide = np.broadcast_to(np.abs(y - 15 * scale) < 55 * scale, signal.shape)
    signal[below & wide] = 0.3
    for half, grey in ((9.0, FLUID), (5.0, STEM)):
        signal[below & np.broadcast_to(np.abs(y - 22 * scale) < half * scale, signal.shape)] = grey
