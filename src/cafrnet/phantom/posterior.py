"""Paint the posterior elements: pedicles, articular and transverse processes, laminae, spinous processes."""

from __future__ import annotations

import numpy as np

from ..labels import TABLE
from .anatomy import Anatomy
from .appearance import Look
from .bones import bone_signal
from .canvas import Canvas
from .column import Body
from .shapes import capsule, slab, smooth_max, smooth_min, turned

#: Half distance between the two pedicles of a body, in mm, from L5 upwards.
PEDICLE_MM = (18.0, 15.5, 14.0, 13.0, 12.5, 12.5, 12.0, 11.0, 11.0, 11.0, 11.0, 11.0)


def paint_posterior_elements(canvas: Canvas, anatomy: Anatomy, look: Look) -> None:
    """Paint the posterior elements of all vertebrae of the column."""
    label = TABLE["posterior elements"].id
    for level, body in enumerate(anatomy.column.bodies):
        back = (body.lower.posterior + body.upper.posterior) / 2
        box = canvas.box((back[0] - 62, back[0] + 8), (back[1] - 42, back[1] + 30))
        if box is None:
            continue
        _paint_interlaminar(canvas, box, body, anatomy, look)
        distance = posterior_distance(canvas, box, body, level, anatomy)
        if distance is None:
            continue
        distance = distance + 0.45 * canvas.texture["cloud"][box] + 0.2 * canvas.texture["grain"][box]
        canvas.paint(box, distance - 0.7, look.tissue["ligament"])
        canvas.paint(box, distance, bone_signal(canvas, box, distance, look), label)


def _paint_interlaminar(
    canvas: Canvas, box: tuple[slice, slice], body: Body, anatomy: Anatomy, look: Look
) -> None:
    """Paint the fat behind the sac between this lamina and the next one down, and the ligament there."""
    x, t, v = local(canvas, box, body)
    height = float(np.linalg.norm(body.upper.posterior - body.lower.posterior))
    deep = canal_depth(anatomy)
    ligament = capsule(
        x, t, v, (3.0, -deep - 4.5, -0.5 * height), (5.0, -deep - 1.0, -1.05 * height), (2.4, 2.0), flat=1.5
    )
    canvas.paint(box, np.maximum(ligament, x - 14), look.tissue["ligament"] * 1.3)
    across = (t + deep - 0.8 + 0.25 * (v + 0.72 * height)) / 4.4
    pad = (np.sqrt(across**2 + ((v + 0.72 * height) / 11.0) ** 2 + (x / 6.5) ** 2) - 1) * 4.0
    canvas.paint(box, pad, look.tissue["deep fat"] * (1 + 0.05 * canvas.texture["grain"][box]))


def canal_depth(anatomy: Anatomy) -> float:
    """Return the antero-posterior depth of the bony canal, in mm."""
    return 2 * anatomy.canal_mm[0] + 4.0


def local(canvas: Canvas, box: tuple[slice, slice], body: Body) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return |x|, t (forward) and v (upward) in mm from the middle of a body's back wall, along its axes."""
    back = (body.lower.posterior + body.upper.posterior) / 2
    x, y, z = canvas.at(box)
    return (np.abs(x), *turned(y, z, back, body.angle_deg))


def posterior_distance(
    canvas: Canvas, box: tuple[slice, slice], body: Body, level: int, anatomy: Anatomy
) -> np.ndarray | None:
    """Return the signed distance to the posterior elements of one vertebra, or None if none is near."""
    x, t, v = local(canvas, box, body)
    near = 0.0 if canvas.x_range[0] < 0 < canvas.x_range[1] else min(abs(e) for e in canvas.x_range)
    far = max(abs(e) for e in canvas.x_range)
    height = float(np.linalg.norm(body.upper.posterior - body.lower.posterior))
    canal = canal_depth(anatomy)
    parts = []
    for reach, part in _parts(level, height, canal, anatomy):
        if near < reach[1] and far > reach[0]:
            parts.append(part(x, t, v))
    distance: np.ndarray | None = None
    for part in parts:
        distance = part if distance is None else smooth_min(distance, part, 2.5)
    return distance


def _parts(level: int, height: float, canal: float, anatomy: Anatomy) -> list:
    """Return for each part the range of |x| that it can reach, and its distance function of (x, t, v)."""
    s, h = anatomy.scale, height
    xp = PEDICLE_MM[level] * s
    long, tall = map(float, anatomy.spinous[level])
    lumbar = level < 5
    half = 4.3 * s if lumbar else 3.0 * s

    def pedicle(x, t, v):
        return smooth_max(
            smooth_max(slab(x, xp - half, xp + half), slab(v, -0.02 * h, 0.46 * h), 4.0),
            slab(t, -11 * s, 3.0),
            2.0,
        )

    def upper_facet(x, t, v):
        top = 0.85 if lumbar else 0.72
        return capsule(x, t, v, (xp, -10 * s, 0.15 * h), (xp + 2, -13 * s, top * h), (5.0 * s, 3.6 * s))

    def lower_facet(x, t, v):
        start, end = (xp, -13 * s, 0.1 * h), (xp - 1.0, -21.0 * s, -0.86 * h)
        return capsule(x, t, v, start, end, (5.0 * s, 4.0 * s))

    def lamina(x, t, v):
        end = (0.0, -canal - 5.5 * s, -0.38 * h)
        return capsule(x, t, v, (xp - 1, -15 * s, -0.05 * h), end, (3.2 * s, 3.2 * s), flat=2.5)

    def spinous(x, t, v):
        length, fall = (30 * s * long, 0.12) if lumbar else (27 * s * long, 0.7)
        root = -canal - 1.0 * s
        along = np.clip((root - t) / length, 0, 1)
        middle = (-0.40 - fall * along) * h
        height = (7.5 + 3.0 * along) * s * tall if lumbar else (5.0 - 0.5 * along) * s * tall
        plate = smooth_max(np.abs(v - middle) - height, slab(t, root - length, root), 9.0)
        return smooth_max(plate, x - (3.2 + 1.5 * along) * s, 1.5)

    def transverse(x, t, v):
        out = (23.0 if lumbar else 14.0) * s
        end = (xp + out, (-12.0 if lumbar else -22.0) * s, 0.25 * h)
        return capsule(x, t, v, (xp + 2, -9 * s, 0.15 * h), end, (4.5 * s, 3.0 * s))

    return [
        ((xp - half, xp + half), pedicle),
        ((xp - 6, xp + 8), upper_facet),
        ((xp - 6, xp + 6), lower_facet),
        ((0.0, xp + 3), lamina),
        ((0.0, 5.5 * s), spinous),
        ((xp - 3, xp + 28), transverse),
    ]
