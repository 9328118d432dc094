"""Paint bodies, discs and the sacrum: what lies between two endplates."""

from __future__ import annotations

import itertools

import numpy as np
from scipy.special import expit

from ..labels import TABLE, UNKNOWN
from .anatomy import Anatomy
from .appearance import Look
from .canvas import Canvas
from .column import Body, Column, Disc, Endplate, Segment
from .shapes import along, capsule, ellipsoid, smooth_max, smooth_min, turned

#: Where along the depth of a body its lateral outline converges, as a share of the depth behind its middle.
FOCUS = 0.15
#: Radius of the rounded corners of bodies, in mm.
CORNER_MM = 2.5


def known_id(name: str) -> int:
    """Return the id of a structure, or 255 for one that the label table doesn't have (T8 and above)."""
    return TABLE[name].id if name in TABLE.names else UNKNOWN


def segment_box(segment: Segment, canvas: Canvas, margin_mm: float) -> tuple[slice, slice] | None:
    """Return the box around a body or disc, or None if it is outside of the plane."""
    reach = max(segment.lower.half_width_mm, segment.upper.half_width_mm) + 2
    if canvas.x_range[0] > reach or canvas.x_range[1] < -reach:
        return None
    corners = np.array([c for p in (segment.lower, segment.upper) for c in (p.anterior, p.posterior, p.mid)])
    low, high = corners.min(axis=0) - margin_mm, corners.max(axis=0) + margin_mm
    return canvas.box((low[0], high[0]), (low[1], high[1]))


def above_endplate(plate: Endplate, x: np.ndarray, y: np.ndarray, z: np.ndarray, sign: int) -> np.ndarray:
    """Return the height above an endplate's surface, in mm.

    Args:
        plate: the endplate.
        x: model coordinates to the right.
        y: to the front.
        z: upwards.
        sign: +1 where the bone lies above the endplate, -1 where it lies below: the hollow goes into it.
    """
    forward, height = turned(y, z, plate.mid, plate.angle_deg)
    along_plate = forward * (2 / plate.depth_mm)
    hollow = np.maximum(1 - along_plate * along_plate - (x / plate.half_width_mm) ** 2, 0)
    return height - sign * plate.hollow_mm * hollow


def walls(
    segment: Segment, x: np.ndarray, y: np.ndarray, z: np.ndarray, out_mm: tuple[float, float]
) -> tuple[np.ndarray, np.ndarray]:
    """Return the distances in front of the front wall and behind the back wall of a segment.

    Args:
        segment: the body or disc.
        x: model coordinates to the right.
        y: to the front.
        z: upwards.
        out_mm: how far the front and the back wall stand out at half height (negative: a waist).
    """
    t, v = turned(y, z, segment.middle, segment.angle_deg)
    depth = (segment.lower.depth_mm + segment.upper.depth_mm) / 2
    half_width = (segment.lower.half_width_mm + segment.upper.half_width_mm) / 2
    half_height = max(float(np.linalg.norm(segment.upper.mid - segment.lower.mid)) / 2, 1.0)
    belly = np.maximum(1 - (v / half_height) ** 2, 0)
    side = np.clip(np.abs(x) / (half_width * (1 + 0.02 * out_mm[0] * belly)), 0, 1)
    shrink = (1 - side**3.0) ** (1 / 2.2)
    focus = -FOCUS * depth
    distances = []
    for front in (True, False):
        ends = [p.anterior if front else p.posterior for p in (segment.lower, segment.upper)]
        low, high = (tuple(map(float, turned(e[0], e[1], segment.middle, segment.angle_deg))) for e in ends)
        line = low[0] + (v - low[1]) * ((high[0] - low[0]) / max(high[1] - low[1], 0.5))
        line = line + (out_mm[0] if front else -out_mm[1]) * belly
        # the back wall is hollow in the middle, around the canal
        line = line if front else line - 1.2 * np.minimum((x / 9.0) ** 2, 1)
        outline = focus + (line - focus) * (shrink if front else shrink**0.6)
        distances.append(t - outline if front else outline - t)
    return distances[0], distances[1]


def ends_distance(segment: Body | Disc, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
    """Return the signed distance to the layer between a segment's two endplates."""
    bone = 1 if isinstance(segment, Body) else -1
    low, high = (above_endplate(p, x, y, z, s) for p, s in ((segment.lower, bone), (segment.upper, -bone)))
    return np.maximum(-low, high)


def body_distance(body: Body, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
    """Return the signed distance to a vertebral body."""
    front, back = walls(body, x, y, z, (-body.waist_mm, -0.6 * body.waist_mm))
    return smooth_max(ends_distance(body, x, y, z), np.maximum(front, back), CORNER_MM)


def disc_distance(disc: Disc, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
    """Return the signed distance to a disc; it shares its endplates with the bodies."""
    front, back = walls(disc, x, y, z, disc.bulge_mm)
    return smooth_max(ends_distance(disc, x, y, z), np.maximum(front, back), 0.8)


def segment_distance(segment: Body | Disc, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
    """Return the signed distance to a body or a disc."""
    return body_distance(segment, x, y, z) if isinstance(segment, Body) else disc_distance(segment, x, y, z)


def paint_column(canvas: Canvas, anatomy: Anatomy, look: Look, endplate_gap_mm: float = 0.0) -> None:
    """Paint ligaments, sacrum, bodies and discs; a gap at each endplate belongs to neither body nor disc."""
    painted: list[tuple[Body | Disc, tuple[slice, slice], tuple, np.ndarray]] = []
    column = anatomy.column
    segments: tuple[Body | Disc, ...] = (*column.bodies, *column.discs)
    for segment in segments:
        if (box := segment_box(segment, canvas, 8)) is None:
            continue
        at = canvas.at(box)
        distance = segment_distance(segment, *at)
        canvas.paint(box, distance - 0.8, look.tissue["ligament"])
        painted.append((segment, box, at, distance))
    paint_sacrum(canvas, anatomy, look)
    for segment, box, at, distance in painted:
        if isinstance(segment, Body):
            signal = bone_signal(canvas, box, distance, look, at, segment)
        else:
            signal = disc_signal(canvas, box, segment, at, look)
        within = None
        if endplate_gap_mm:
            within = ends_distance(segment, *at) + endplate_gap_mm / 2
        canvas.paint(box, distance, signal, known_id(segment.name), within)


def bone_signal(
    canvas: Canvas,
    box: tuple[slice, slice],
    distance: np.ndarray,
    look: Look,
    at: tuple[np.ndarray, np.ndarray, np.ndarray] | None = None,
    body: Body | None = None,
) -> np.ndarray:
    """Return the signal of bone: textured marrow with a dark rim; for a body, its vein and Modic change."""
    tissue, texture = look.tissue, canvas.texture
    mottled = 1 + look.mottle * (0.8 * texture["grain"][box] + 0.5 * texture["cloud"][box])
    signal = tissue["marrow"] * mottled
    yellow = np.clip(0.5 * texture["cloud"][box] + 0.25 * texture["grain"][box] - 0.55, 0, 0.6)
    signal = signal + yellow * (tissue["yellow marrow"] - signal)
    rim: np.ndarray | float = look.rim_mm[0]
    if body is not None and at is not None:
        x, y, z = at
        signal = _vein(signal, body, at, look)
        for share, plate, sign in ((body.modic[0], body.lower, 1), (body.modic[1], body.upper, -1)):
            if share > 0:
                inside = sign * above_endplate(plate, x, y, z, sign)
                patch = share * expit((6 + 1.5 * texture["cloud"][box] - inside) / 1.2)
                kind = "oedema" if share > 0.7 else "yellow marrow"
                signal = signal + patch * (tissue[kind] - signal)
        upper = above_endplate(body.upper, x, y, z, -1) > -above_endplate(body.lower, x, y, z, 1)
        rim = np.where(upper, look.rim_mm[1], look.rim_mm[0])
    rim = rim * (1 + 0.25 * texture["cloud"][box] + 0.2 * texture["grain"][box])
    inside = np.clip((-distance - rim) / 0.7, 0, 1)
    return tissue["cortex"] + inside * (signal - tissue["cortex"])


def _vein(signal: np.ndarray, body: Body, at: tuple, look: Look) -> np.ndarray:
    """Add the basivertebral vein, which enters at the middle of the back wall."""
    x, y, z = at
    entry = (body.lower.posterior + body.upper.posterior) / 2
    t, v = turned(y, z, entry, body.angle_deg)
    wedge = ellipsoid(x / 1.4, t, v, (4.0, 8.5, 1.9))
    share = 0.8 * np.clip(0.5 - wedge / 1.5, 0, 1)
    return signal + share * (look.tissue["vein"] - signal)


def disc_signal(canvas: Canvas, box: tuple[slice, slice], disc: Disc, at: tuple, look: Look) -> np.ndarray:
    """Return the signal of a disc: nucleus, its cleft, and the annulus around it."""
    x, y, z = at
    depth = (disc.lower.depth_mm + disc.upper.depth_mm) / 2
    t = turned(y, z, disc.middle, disc.angle_deg)[0] * (2 / depth) + (0.08 - disc.tilt)
    low, high = above_endplate(disc.lower, x, y, z, -1), -above_endplate(disc.upper, x, y, z, 1)
    height = np.maximum(low + high, 1e-3)
    v = (low - high) / height
    rho = np.sqrt((t / 0.66) ** 2 + (v / 0.95) ** 4 + (x / (0.66 * disc.lower.half_width_mm)) ** 2)
    nucleus = expit((0.92 - rho) / 0.09)
    level = look.nucleus[disc.grade - 1] * (1 + 0.10 * canvas.texture["grain"][box])
    if disc.grade <= 3:
        level = level * (1 - 0.3 * np.exp(-((v / 0.16) ** 2)) * (np.abs(t) < 0.5))
    annulus = look.tissue["annulus"] * (1 + 0.25 * canvas.texture["grain"][box])
    return annulus + nucleus * (level - annulus)


def paint_sacrum(canvas: Canvas, anatomy: Anatomy, look: Look) -> None:
    """Paint the sacrum: its bodies, the wings beside them, its dorsal plate, what is left of its discs."""
    column = anatomy.column
    distance, box = sacrum_distance(canvas, anatomy)
    if box is None or distance is None:
        return
    canvas.paint(box, distance - 0.9, look.tissue["ligament"])
    signal = bone_signal(canvas, box, distance, look)
    at = canvas.at(box)
    for i, (above, below) in enumerate(itertools.pairwise(column.sacrum)):
        gap = Disc("", below.upper, above.lower)
        remnant = disc_distance(gap, *at) + 0.35
        share = np.clip(0.5 - remnant / 0.9, 0, 1) * (0.95 if i == 0 else 0.75)
        level = (0.6 * look.tissue["annulus"] + 0.4 * look.nucleus[2]) if i == 0 else look.tissue["annulus"]
        signal = signal + share * (level - signal)
    canvas.paint(box, distance, signal, known_id("S"))


def sacrum_distance(canvas: Canvas, anatomy: Anatomy) -> tuple[np.ndarray | None, tuple[slice, slice] | None]:
    """Return the signed distance to the whole sacrum and its box, or None where it is not in the plane."""
    column = anatomy.column
    corners = np.array(
        [c for b in column.sacrum for p in (b.lower, b.upper) for c in (p.anterior, p.posterior)]
    )
    low, high = corners.min(axis=0) - 32, corners.max(axis=0) + 8
    box = canvas.box((low[0], high[0]), (low[1], high[1]))
    if box is None:
        return None, None
    x, y, z = canvas.at(box)
    distance = body_distance(column.sacrum[0], x, y, z)
    for above, below in itertools.pairwise(column.sacrum):
        distance = smooth_min(distance, body_distance(below, x, y, z), 2.0)
        gap = disc_distance(Disc("", below.upper, above.lower, bulge_mm=(0.0, 0.0)), x, y, z)
        distance = np.minimum(distance, gap)
    distance = smooth_min(distance, _wings(column, x, y, z), 3.0)
    plate = _dorsal_plate(anatomy, x, y, z) + 0.5 * canvas.texture["cloud"][box]
    return np.minimum(distance, plate), box


def _dorsal_plate(anatomy: Anatomy, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
    """Return the distance to the bone behind the sacral canal, S1 to S4, with its crest in the middle."""
    top = float(anatomy.column.sacrum[0].middle[1]) + 4
    end = float(anatomy.column.sacrum[3].middle[1])
    wall = along(z, anatomy.z_mm, anatomy.back_wall_mm)
    slope = along(z, anatomy.z_mm, np.gradient(anatomy.back_wall_mm, anatomy.z_mm))
    down = np.clip((top - z) / (top - end), 0, 1)
    behind = (wall - y) / np.sqrt(1 + slope**2)
    deep = (2 * anatomy.canal_mm[0] + 4.0) * (1 - 0.55 * down)
    thick = 3.0 + 4.0 * np.exp(-((x / 3.5) ** 2)) * np.cos((top - z) / 3.8) ** 2
    outer = behind - deep - thick
    plate = np.maximum(np.maximum(deep - behind, outer), np.abs(x) - 15)
    sides = np.maximum(np.maximum(-2 - behind, outer), np.maximum(11.5 - np.abs(x), np.abs(x) - 17))
    ends = np.maximum(0.8 * (z - top) + 0.6 * np.maximum(behind - 6, 0), end - z)
    return smooth_min(smooth_max(np.minimum(plate, sides), ends, 6.0), _s1_facets(anatomy, x, y, z), 3.0)


def _s1_facets(anatomy: Anatomy, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
    """Return the distance to the upper articular processes of S1, which meet the lower ones of L5."""
    s1, s = anatomy.column.sacrum[0], anatomy.scale
    back = (s1.lower.posterior + s1.upper.posterior) / 2
    t, v = turned(y, z, back, s1.angle_deg)
    return capsule(np.abs(x), t, v, (17 * s, -8 * s, 2 * s), (20 * s, -15 * s, 24 * s), (6 * s, 3.8 * s))


def _wings(column: Column, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
    """Return the distance to the wings beside the sacral bodies, foramina taken out."""
    path = np.array([p.mid - 3.0 * p.up for b in reversed(column.sacrum) for p in (b.lower, b.upper)])
    thick = np.array([p.depth_mm * 0.42 + 2 for b in reversed(column.sacrum) for p in (b.lower, b.upper)])
    heights = np.maximum.accumulate(path[:, 1]) + np.arange(len(path)) * 1e-3
    centre = along(z, heights, path[:, 0]) - 2.5
    half = along(z, heights, thick)
    slope = along(z, (heights[1:] + heights[:-1]) / 2, np.diff(path[:, 0]) / np.diff(heights))
    plate = (np.abs(y - centre) - half * np.sqrt(1 + slope**2) * 0.8) / np.sqrt(1 + slope**2)
    wide = along(z, heights, np.linspace(16, 55, len(heights)))
    top = column.sacrum[0].upper
    cap = turned(y, z, top.mid, top.angle_deg)[1] + 3
    inner = 12 - np.abs(x)
    wing = smooth_max(np.maximum(plate, np.maximum(inner, np.abs(x) - wide)), cap, 4.0)
    wing = smooth_max(wing, float(heights[0]) - z, 3.0)
    for above, below in itertools.pairwise(column.sacrum):
        hole = (above.lower.mid + below.upper.mid) / 2
        out = np.sqrt(((np.abs(x) - 20) / 1.3) ** 2 + ((z - float(hole[1])) / 1.15) ** 2) - 4.2
        wing = np.maximum(wing, -out)
    return wing
