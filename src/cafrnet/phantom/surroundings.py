"""Paint what surrounds the spine: back fat, fascia, muscles, vessels, belly, pelvis, air."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from scipy.special import expit

from .anatomy import Anatomy
from .appearance import Look
from .canvas import Canvas
from .shapes import along


@dataclass(frozen=True)
class Trunk:
    """Smooth lines of the trunk, sampled at ``z_mm``, all as y in mm.

    Attributes:
        z_mm: heights.
        fascia: behind the muscles of the back.
        skin: the back.
        belly: the front.
        organs: (x, y, z, half sizes, tissue) of organs and loops of bowel.
    """

    z_mm: np.ndarray
    fascia: np.ndarray
    skin: np.ndarray
    belly: np.ndarray
    organs: tuple[tuple[np.ndarray, np.ndarray, str], ...]


def draw_trunk(rng: np.random.Generator, anatomy: Anatomy) -> Trunk:
    """Draw the outline of the trunk and the organs in it."""
    z, s = anatomy.z_mm, anatomy.scale
    deep = 2 * anatomy.canal_mm[0] + (36 - 9 * np.clip((z - 70) / 60, 0, 1)) * s
    sacral = np.clip((anatomy.column.sacrum[0].upper.mid[1] - z) / 60, 0, 1)
    deep = deep * (1 - 0.55 * sacral)
    fascia = ndimage.gaussian_filter1d(anatomy.back_wall_mm - deep, 16.0, mode="nearest")
    fat = anatomy.fat_mm[0] + (anatomy.fat_mm[1] - anatomy.fat_mm[0]) * expit(-(z + 40) / 22)
    skin = ndimage.gaussian_filter1d(fascia - fat, 22.0, mode="nearest")
    skin = np.minimum(skin, fascia - 3)
    reach = rng.uniform(115, 190) * s
    belly = ndimage.gaussian_filter1d(anatomy.front_wall_mm, 110.0, mode="nearest") + reach
    belly = belly + rng.uniform(4, 14) * np.sin(z / 70 + rng.uniform(0, 6))
    return Trunk(z, fascia, skin, belly, tuple(_draw_organs(rng, anatomy, reach)))


def _draw_organs(rng: np.random.Generator, anatomy: Anatomy, reach: float) -> list:
    organs = []
    front = anatomy.front_wall_mm
    for _ in range(26):
        z = rng.uniform(-190, 110)
        y = float(np.interp(z, anatomy.z_mm, front)) + rng.uniform(30, max(reach - 15, 40))
        half = np.array([rng.uniform(15, 40), rng.uniform(7, 16), rng.uniform(6, 15)])
        tissue = str(rng.choice(["bowel", "gas", "bowel", "liver"]))
        organs.append((np.array([rng.uniform(-50, 50), y, z]), half, tissue))
    low = anatomy.column.sacrum[2].middle
    bladder = np.array([rng.uniform(-8, 8), low[0] + rng.uniform(75, 95), low[1] - rng.uniform(15, 40)])
    organs.append((bladder, np.array([38, rng.uniform(16, 32), rng.uniform(14, 30)]), "bladder"))
    rectum = np.array([rng.uniform(-8, 8), low[0] + rng.uniform(22, 34), low[1] - rng.uniform(10, 30)])
    organs.append((rectum, np.array([16, rng.uniform(7, 13), rng.uniform(14, 28)]), "bowel"))
    return organs


def paint_surroundings(canvas: Canvas, anatomy: Anatomy, trunk: Trunk, look: Look) -> None:
    """Paint the whole plane, from the outside inwards."""
    x, y, z = canvas.x, canvas.y, canvas.z
    everywhere = (slice(None), slice(None))
    tissue, texture = look.tissue, canvas.texture
    skin, fascia, belly, front, back = (
        along(z, trunk.z_mm, line)
        for line in (trunk.skin, trunk.fascia, trunk.belly, anatomy.front_wall_mm, anatomy.back_wall_mm)
    )
    lateral = np.abs(x)
    fascia = fascia - 5 * (1 - np.exp(-((lateral / 14) ** 2)))
    canvas.signal[:] = tissue["air"]
    inside = np.maximum(skin - y, y - belly)
    canvas.paint(everywhere, inside, tissue["skin"])
    septa = np.exp(-((texture["septum"] + 0.15 * texture["grain"]) ** 2) / 0.006)
    septa *= np.clip(0.6 + texture["blob"], 0, 1)
    fat = tissue["fat"] * (1 + 0.05 * texture["cloud"]) + 0.7 * septa * (tissue["septum"] - tissue["fat"])
    canvas.paint(everywhere, inside + 2.0, fat)
    canvas.paint(everywhere, np.maximum(fascia - 1.3 - y, y - (belly - 14)), tissue["fascia"])
    muscle_fat = anatomy.muscle_fat * (1 + 0.8 * np.clip(-z / 110, -0.6, 1))
    muscle = _muscle(texture, look, muscle_fat + 0.08)
    between = np.exp(-((lateral / 4.5) ** 4))
    muscle = muscle + between * (_interspinous(texture, look, muscle_fat) - muscle)
    canvas.paint(everywhere, np.maximum(fascia - y, y - (belly - 17)), muscle)
    _paint_belly(canvas, anatomy, trunk, look, front, belly)
    _paint_vessels(canvas, anatomy, look, front)
    _paint_psoas(canvas, anatomy, look, front, back)


def _muscle(texture: dict[str, np.ndarray], look: Look, fat: np.ndarray) -> np.ndarray:
    """Return the signal of muscle streaked with a given share of fat."""
    tissue = look.tissue
    lean = tissue["muscle"] * (1 + 0.12 * texture["streak"] + 0.05 * texture["grain"])
    streaks = expit((0.8 * texture["streak"] + 0.55 * texture["cloud"] - 1.8 + 2.4 * fat) / 0.3)
    return lean + 0.8 * streaks * (tissue["deep fat"] - lean)


def _interspinous(texture: dict[str, np.ndarray], look: Look, fat: np.ndarray) -> np.ndarray:
    """Return the signal between the spinous processes: dark ligament with oblique strands of fat."""
    dark = 0.55 * look.tissue["muscle"] + 0.45 * look.tissue["ligament"]
    strands = expit((texture["fibre"] + 0.8 * texture["cloud"] - 1.7 + 1.8 * fat) / 0.3)
    return dark * (1 + 0.2 * texture["grain"]) + strands * (0.75 * look.tissue["deep fat"] - dark)


def _paint_belly(
    canvas: Canvas, anatomy: Anatomy, trunk: Trunk, look: Look, front: np.ndarray, belly: np.ndarray
) -> None:
    x, y, z = canvas.x, canvas.y, canvas.z
    tissue, texture = look.tissue, canvas.texture
    everywhere = (slice(None), slice(None))
    loops = expit((texture["blob"] + 0.3 * texture["cloud"]) / 0.25)
    content = tissue["deep fat"] * 0.8 + loops * (tissue["bowel"] - 0.8 * tissue["deep fat"])
    content = content * (1 + 0.1 * texture["cloud"] + 0.06 * texture["grain"])
    near = np.clip((y - front) / 12, 0, 1)
    content = tissue["deep fat"] + near * (content - tissue["deep fat"])
    canvas.paint(everywhere, np.maximum(front - y, y - (belly - 20)), content)
    for centre, half, name in trunk.organs:
        if abs(float(x.mean()) - centre[0]) > half[0]:
            continue
        size = float(np.sqrt(1 - ((float(x.mean()) - centre[0]) / half[0]) ** 2))
        box = canvas.box(
            (centre[1] - half[1] - 8, centre[1] + half[1] + 8),
            (centre[2] - half[2] - 8, centre[2] + half[2] + 8),
        )
        if box is None:
            continue
        at = canvas.at(box)
        rho = np.hypot(
            (at[1] - float(centre[1])) / float(half[1]), (at[2] - float(centre[2])) / float(half[2])
        )
        distance = (rho - size) * float(min(half[1:])) + 1.2 * texture["cloud"][box]
        canvas.paint(box, np.maximum(distance - 1.5, at[1] - belly[:, box[1]] + 22), tissue["muscle"])
        inner = tissue[name] * (1 + 0.15 * texture["cloud"][box])
        canvas.paint(box, np.maximum(distance, at[1] - belly[:, box[1]] + 23), inner)
    chest = float(anatomy.column.bodies[7].middle[1])
    dome = chest + 10 + 0.25 * np.abs(y - front - 55) + 3 * texture["blob"] - z
    lung = np.maximum(dome, np.maximum(front + 26 - y, y - (belly - 20)))
    share = expit(-lung / 3.0)
    canvas.signal += share * (tissue["lung"] * (1 + 0.4 * texture["cloud"]) - canvas.signal)


def _paint_vessels(canvas: Canvas, anatomy: Anatomy, look: Look, front: np.ndarray) -> None:
    """Aorta on the left, vena cava on the right, both with a flow void; they end where they fork at L4."""
    everywhere = (slice(None), slice(None))
    fork = float(anatomy.column.bodies[1].middle[1])
    below = 8 * np.logaddexp(0, (fork - canvas.z) / 8)
    for x0, side, radius in ((-6.0, -1, 8.5), (13.0, 1, 9.5)):
        centre_x = x0 + side * 0.45 * below
        size = 5.0 + (radius - 5.0) * np.exp(-below / 14)
        centre_y = front + 11.5 - 0.12 * np.minimum(below, 60)
        distance = np.hypot((canvas.x - centre_x) / 1.0, canvas.y - centre_y) - size
        canvas.paint(everywhere, distance - 1.0, look.tissue["muscle"])
        canvas.paint(everywhere, distance, look.tissue["vessel"] * (1 + 0.5 * canvas.texture["cloud"]))


def _paint_psoas(canvas: Canvas, anatomy: Anatomy, look: Look, front: np.ndarray, back: np.ndarray) -> None:
    """The psoas muscle beside the bodies, from T12 down to the pelvis."""
    x, y, z = canvas.x, canvas.y, canvas.z
    top = float(anatomy.column.bodies[5].lower.mid[1])
    down = np.clip((top - z) / 130, 0, 1.5)
    size = 6 + 15 * np.minimum(down, 1)
    centre_x = 29 + 12 * down
    centre_y = back + 14 + 14 * down
    distance = np.hypot((np.abs(x) - centre_x) / 0.9, y - centre_y) - size
    distance = np.maximum(distance, z - top)
    everywhere = (slice(None), slice(None))
    canvas.paint(everywhere, distance, _muscle(canvas.texture, look, np.full(x.shape, 0.05, np.float32)))
