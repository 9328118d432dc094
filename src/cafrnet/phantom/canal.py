"""Paint the spinal canal: epidural fat, the dural sac with cord and roots, and the neural foramina."""

from __future__ import annotations

import numpy as np

from ..labels import TABLE
from .anatomy import Anatomy
from .appearance import Look
from .canvas import Canvas
from .shapes import along, coverage

#: Distance over which the cord tapers to its end, in mm.
CONUS_MM = 28.0
STRANDS = 16


def sac_outline(anatomy: Anatomy, z: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return at each height the sac's centre y, half depth, half width (mm) and the cosine of its slope.

    The half depth is measured at a right angle to the sac.
    """
    heights = anatomy.z_mm
    wall = anatomy.back_wall_mm
    cos_all = 1 / np.sqrt(1 + np.gradient(wall, heights) ** 2)
    above_end = np.clip((heights - anatomy.sac_end_z_mm) / 45, 0, 1)
    chest = np.clip((heights - 70) / 60, 0, 1)
    half = anatomy.canal_mm[0] * (above_end**0.6) * (1 - 0.1 * chest)
    wide = anatomy.canal_mm[1] * (above_end**0.6) * (1 - 0.15 * chest)
    # at the lumbosacral junction the sac stands off the back wall, with fat in front
    gap = 1.6 + 3.0 * np.exp(-(((heights - anatomy.column.sacrum[0].upper.posterior[1]) / 24) ** 2))
    centre = wall - (gap + half) / cos_all
    return (
        along(z, heights, centre),
        along(z, heights, half),
        along(z, heights, wide),
        along(z, heights, cos_all),
    )


def paint_canal(canvas: Canvas, anatomy: Anatomy, look: Look, strands: np.ndarray) -> None:
    """Paint fat, sac, cord and roots.

    Args:
        canvas: the plane.
        anatomy: the patient.
        look: its grey levels.
        strands: the roots of the cauda equina, as :func:`draw_strands` returned them.
    """
    low = anatomy.column.sacrum[4].lower.mid[1]
    wall = anatomy.back_wall_mm
    box = canvas.box((float(wall.min()) - 40, float(wall.max()) + 5), (float(low), 1e4))
    if box is None or canvas.x_range[0] > 20 or canvas.x_range[1] < -20:
        return
    x, y, z = canvas.at(box)
    centre, half, wide, cos = sac_outline(anatomy, z)
    across = (y - centre) * cos
    line = along(z, anatomy.z_mm, wall)
    behind = (line - y) * cos
    deep = 2 * anatomy.canal_mm[0] + 4.5
    fat = np.maximum(np.maximum(-behind, behind - deep), np.abs(x) - (anatomy.canal_mm[1] + 2.5))
    canvas.paint(box, fat, look.tissue["deep fat"] * (1 + 0.06 * canvas.texture["grain"][box]))
    rho = np.sqrt((across / np.maximum(half, 0.3)) ** 2 + (x / np.maximum(wide, 0.3)) ** 2)
    sac = np.where(half > 0.5, (rho - 1) * half, 5.0)
    canvas.paint(box, sac - 0.6, look.tissue["ligament"])
    inside = sac < canvas.pixel_mm
    signal = np.full(sac.shape, look.tissue["csf"], np.float32)
    texture = {name: canvas.texture[name][box][inside] for name in ("cloud", "grain")}
    place = tuple(np.broadcast_to(a, sac.shape)[inside] for a in (x, z, across, half))
    signal[inside] = _sac_signal(place, texture, anatomy, look, strands, canvas.pixel_mm)
    canvas.paint(box, sac, signal, TABLE["spinal canal"].id)


def _sac_signal(
    place: tuple[np.ndarray, ...],
    texture: dict[str, np.ndarray],
    anatomy: Anatomy,
    look: Look,
    strands: np.ndarray,
    pixel_mm: float,
) -> np.ndarray:
    """Return the signal at points of the sac: fluid, roots, cord.

    Args:
        place: x, z, distance in front of the sac's middle and the sac's half size at each point, in mm.
        texture: random fields at these points.
        anatomy: the patient.
        look: its grey levels.
        strands: the roots.
        pixel_mm: pixel size.
    """
    x, z, across, half = place
    signal = look.tissue["csf"] * (1 + 0.03 * texture["cloud"])
    below = anatomy.conus_z_mm - z
    shown = np.clip(below / 15 + 0.8, 0, 1)
    spread = np.clip(below / 90, 0, 1)
    for x0, across0, sway, phase, level in strands:
        at = -half * 0.45 + across0 * half * (0.35 + 0.4 * spread) + sway * np.sin(z / 23 + phase)
        d2 = (across - at) ** 2 + (np.abs(x - x0 * (0.5 + spread)) * 0.6) ** 2
        signal = signal + shown * level * np.exp(-d2 / 0.9) * (look.tissue["root"] - signal)
    taper = np.clip(-below / CONUS_MM, 0, 1) ** 0.5
    swell = 1 + 0.15 * np.exp(-(((-below - 35) / 25) ** 2))
    cord = np.hypot(x / 1.25, across + 0.5) - 3.8 * swell * taper
    share = np.where(below < 0, coverage(cord, max(pixel_mm, 0.6)), 0)
    return signal + share * (look.tissue["cord"] * (1 + 0.04 * texture["grain"]) - signal)


def draw_strands(rng: np.random.Generator) -> np.ndarray:
    """Draw the roots: x in mm, place across the sac, sway in mm, phase, strength; one row per root."""
    return np.column_stack(
        [
            rng.uniform(-6, 6, STRANDS),
            rng.normal(0, 0.55, STRANDS),
            rng.uniform(0.2, 1.1, STRANDS),
            rng.uniform(0, 2 * np.pi, STRANDS),
            rng.uniform(0.35, 0.85, STRANDS),
        ]
    )


def paint_foramina(canvas: Canvas, anatomy: Anatomy, look: Look) -> None:
    """Paint the neural foramina: fat with the root in its upper part."""
    near = min(abs(e) for e in canvas.x_range)
    if near > 28 or canvas.x_range[0] < 0 < canvas.x_range[1]:
        return
    for disc in anatomy.column.discs:
        back = (disc.lower.posterior + disc.upper.posterior) / 2
        box = canvas.box((back[0] - 16, back[0] + 4), (back[1] - 12, back[1] + 20))
        if box is None:
            continue
        x, y, z = canvas.at(box)
        x, y, z = np.abs(x), y - float(back[0]), z - float(back[1])
        side = np.clip((9 - x) / 2, 0, 30) + np.clip((x - 17) / 1.5, 0, 30)
        fat = (np.hypot((y + 5.5) / 6.0, (z - 3.5) / 10.5) - 1) * 6 + side
        canvas.paint(box, fat, look.tissue["deep fat"] * (1 + 0.08 * canvas.texture["grain"][box]))
        root = np.hypot((y + 4.8) / 1.0, (z - 8.0) / 1.2) - 2.4
        canvas.paint(box, root + side, look.tissue["root"])
