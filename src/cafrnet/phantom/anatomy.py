"""Draw one patient: the column, the canal, the soft tissues. No voxels and no grey levels yet."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy import ndimage

from .column import Body, Column, Disc, Endplate, stacked
from .options import PhantomOptions
from .shapes import along

#: Per body, from L5 upwards: height, depth, half width in mm, wedge in degrees (typical adult values).
BODIES = {
    "L5": (26.5, 34.5, 26.0, 9.0),
    "L4": (27.0, 34.5, 24.5, 3.0),
    "L3": (27.0, 34.0, 23.0, 1.0),
    "L2": (26.5, 33.0, 22.0, -0.5),
    "L1": (25.5, 32.0, 21.5, -2.0),
    "T12": (24.0, 31.0, 20.5, -3.0),
    "T11": (22.5, 30.0, 19.5, -3.0),
    "T10": (21.5, 29.0, 18.5, -3.0),
    "T9": (20.5, 28.0, 17.5, -3.0),
    "T8": (19.5, 27.0, 16.5, -3.0),
    "T7": (19.0, 26.0, 16.0, -3.0),
    "T6": (18.5, 25.0, 15.5, -3.0),
}
#: Per disc, from L5/S upwards: height between the rims in mm, opening in degrees.
DISCS = {
    "L5/S": (8.0, 14.0),
    "L4/L5": (8.6, 10.0),
    "L3/L4": (8.2, 8.0),
    "L2/L3": (7.4, 6.0),
    "L1/L2": (6.4, 4.0),
    "T12/L1": (5.2, 2.0),
    "T11/T12": (4.4, 0.5),
    "T10/T11": (3.8, -0.5),
    "T9/T10": (3.5, -1.0),
    "T8/T9": (3.3, -1.0),
    "T7/T8": (3.2, -1.5),
    "T6/T7": (3.1, -1.5),
}
#: Sacral segments S1 to S5: height, depth at the lower end, half width, bend in degrees, gap below in mm.
SACRUM = (
    (29.0, 22.0, 26.0, -2.0, 2.6),
    (23.0, 15.5, 19.0, -8.0, 1.0),
    (19.0, 11.5, 15.0, -13.0, 0.6),
    (16.0, 9.0, 12.0, -18.0, 0.5),
    (14.0, 6.0, 9.0, -20.0, 0.0),
)
FRACTURES = ("wedge", "biconcave", "crush")


@dataclass(frozen=True)
class Anatomy:
    """One patient.

    Attributes:
        column: bodies, discs and sacrum, in model coordinates (origin in the middle of L3).
        scale: size against a typical adult.
        lateral_mm: amplitude of the lateral curve.
        lateral_phase: where along the column the lateral curve begins, in radians.
        twist_deg: largest axial rotation that goes with the lateral curve.
        canal_mm: half antero-posterior and half lateral size of the dural sac at L3.
        conus_z_mm: lower end of the cord.
        sac_end_z_mm: lower end of the dural sac.
        fat_mm: thickness of the fat behind the spinous processes, at T12 and at L5.
        muscle_fat: share of fat in the muscles, 0 to 1.
        spinous: per body from L5 upwards, factors on the length and height of its spinous process.
        z_mm: heights at which the reference lines below are sampled.
        back_wall_mm: y of the bodies' back wall at each height.
        front_wall_mm: y of the bodies' front wall at each height.
    """

    column: Column
    scale: float
    lateral_mm: float
    lateral_phase: float
    twist_deg: float
    canal_mm: tuple[float, float]
    conus_z_mm: float
    sac_end_z_mm: float
    fat_mm: tuple[float, float]
    muscle_fat: float
    spinous: np.ndarray
    z_mm: np.ndarray
    back_wall_mm: np.ndarray
    front_wall_mm: np.ndarray

    def lateral(self, z: np.ndarray) -> np.ndarray:
        """Return how far the column lies to the right at each height, in mm."""
        return self.lateral_mm * np.sin(z / 62.0 + self.lateral_phase)

    def twist(self, z: np.ndarray) -> np.ndarray:
        """Return the axial rotation at each height, in radians."""
        return np.radians(self.twist_deg) * np.sin(z / 62.0 + self.lateral_phase)

    def to_model(self, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return model (x, y) of points of the patient: the lateral curve and the rotation taken out.

        ``z`` is the same in both.
        """
        axis = along(z, self.z_mm, self.back_wall_mm)
        dx, dy, angle = x - self.lateral(z), y - axis, self.twist(z)
        cos, sin = np.cos(angle), np.sin(angle)
        return cos * dx + sin * dy, axis - sin * dx + cos * dy

    def to_patient(self, points: np.ndarray) -> np.ndarray:
        """Undo :meth:`to_model`: model points (n, 3) to patient coordinates (n, 3), RAS, in mm."""
        x, y, z = np.asarray(points, float).T
        axis, angle = np.interp(z, self.z_mm, self.back_wall_mm), self.twist(z)
        cos, sin = np.cos(angle), np.sin(angle)
        px = self.lateral(z) + cos * x - sin * (y - axis)
        py = axis + sin * x + cos * (y - axis)
        return np.stack([px, py, z], axis=1)


def draw_anatomy(rng: np.random.Generator, options: PhantomOptions) -> Anatomy:
    """Draw a patient."""
    scale = float(np.clip(rng.normal(1.0, 0.055), 0.86, 1.14))
    column = draw_column(rng, options, scale)
    column = column.moved(-column.bodies[2].middle)
    z, back, front = wall_lines(column)
    body = {b.name: b for b in column.bodies}
    conus = rng.choice(["T12", "L1", "L2"], p=[0.2, 0.6, 0.2])
    lateral = abs(rng.normal(0, 2.5)) + (rng.uniform(6, 16) if rng.random() < 0.12 else 0)
    fat = rng.uniform(4, 16) * rng.choice([1.0, 1.0, 1.8])
    return Anatomy(
        column=column,
        scale=scale,
        lateral_mm=float(lateral * options.deformity),
        lateral_phase=float(rng.uniform(0, 2 * np.pi)),
        twist_deg=float(rng.normal(0, 0.45) * lateral * options.deformity),
        canal_mm=(float(rng.uniform(6.3, 8.3) * scale), float(rng.uniform(9.5, 12) * scale)),
        conus_z_mm=float(body[conus].lower.mid[1] + rng.uniform(0, 25)),
        sac_end_z_mm=float(column.sacrum[1].middle[1] + rng.normal(0, 8)),
        fat_mm=(float(fat), float(fat * rng.uniform(1.3, 2.4) + 4)),
        muscle_fat=float(np.clip(rng.normal(0.3, 0.2), 0.02, 0.85)),
        spinous=rng.normal(1, 0.09, (len(BODIES), 2)),
        z_mm=z,
        back_wall_mm=back,
        front_wall_mm=front,
    )


def draw_column(rng: np.random.Generator, options: PhantomOptions, scale: float) -> Column:
    """Draw the chain of endplates, from S1 upwards, and the sacrum downwards."""
    age = float(np.clip(rng.beta(1.6, 1.8) * options.degeneration, 0, 1))
    lordosis = options.curvature * float(np.clip(rng.normal(1.06, 0.14), 0.78, 1.35))
    lean = options.curvature * float(np.clip(rng.normal(13, 3.0), 7, 19))
    depth = BODIES["L5"][1] * scale * rng.normal(0.97, 0.02)
    base = Endplate(np.zeros(2), 0.0, float(depth), float(rng.uniform(0.5, 1.4)), 25.0 * scale)
    bodies, discs, fractures = [], [], {}
    below = base
    for i, (disc_name, body_name) in enumerate(zip(DISCS, BODIES, strict=True)):
        fracture = _draw_fracture(rng, options)
        disc, below = _draw_disc(rng, disc_name, body_name, below, age, options, lordosis, scale, i, fracture)
        body = _draw_body(rng, body_name, below, options, lordosis, scale, fracture)
        if body.fracture:
            fractures[body_name] = body.fracture
        discs.append(disc)
        bodies.append(body)
        below = body.upper
    bodies, discs = _draw_modic(rng, bodies, discs)
    sacrum = _draw_sacrum(rng, base, scale, options.curvature)
    # the pelvis gives way until the upper endplate of L1 leans back by the angle drawn
    return Column(sacrum, tuple(bodies), tuple(discs), fractures).turned(lean - bodies[4].upper.angle_deg)


def _draw_disc(
    rng: np.random.Generator,
    name: str,
    above: str,
    below: Endplate,
    age: float,
    options: PhantomOptions,
    lordosis: float,
    scale: float,
    index: int,
    fracture_above: tuple[str, float],
) -> tuple[Disc, Endplate]:
    height, opening = DISCS[name]
    wear = age * (1.15 if index < 2 else 0.9 if index < 6 else 0.7) + rng.normal(0, 0.16)
    grade = int(np.clip(np.round(1 + 4 * max(wear, 0)), 1, 5)) if options.degeneration > 0 else 1
    height *= scale * rng.normal(1, 0.07) * (1.0, 1.0, 0.93, 0.75, 0.5)[grade - 1]
    opening = (
        opening * lordosis * (1.0, 1.0, 0.95, 0.8, 0.55)[grade - 1] + rng.normal(0, 1.2) * options.curvature
    )
    slips = index in (0, 1, 2) and rng.random() < 0.03 * options.deformity * (1 + (grade > 3))
    slip = float(rng.uniform(3, 9)) if slips else 0.0
    worn = max(grade - 2, 0) / 3
    bulge = (float(rng.uniform(0.4, 1.5) + worn), float(rng.uniform(0.2, 0.8) + worn * rng.uniform(0.5, 3.2)))
    depth = BODIES[above][1] * scale * rng.normal(1, 0.015)
    hollow = float(rng.uniform(1.0, 2.0) * (1 - 0.4 * worn) * scale)
    hollow += 9.0 * fracture_above[1] if fracture_above[0] == "biconcave" else 0.0
    plate = stacked(below, height, opening, depth, hollow, BODIES[above][2] * scale, slip)
    tilt = float(rng.uniform(-0.12, 0.12))
    return Disc(name, below, plate, grade=grade, bulge_mm=bulge, slip_mm=slip, tilt=tilt), plate


def _draw_body(
    rng: np.random.Generator,
    name: str,
    below: Endplate,
    options: PhantomOptions,
    lordosis: float,
    scale: float,
    fracture: tuple[str, float],
) -> Body:
    kind, loss = fracture
    height, depth, half_width, wedge = BODIES[name]
    height *= scale * rng.normal(1, 0.025)
    wedge = wedge * lordosis + rng.normal(0, 1.2) * options.curvature
    depth = depth * scale * rng.normal(1, 0.015)
    hollow = float(rng.uniform(0.8, 1.9) * scale)
    hollow += 9.0 * loss if kind == "biconcave" else 0.0
    wedge -= float(np.degrees(np.arctan(loss * height / depth))) if kind == "wedge" else 0.0
    height *= 1 - {"": 0.0, "wedge": loss / 2, "biconcave": loss / 4, "crush": loss}[kind]
    upper = stacked(below, height, wedge, depth, hollow, half_width * scale)
    return Body(name, below, upper, waist_mm=float(rng.uniform(1.0, 2.4)), fracture=kind)


def _draw_fracture(rng: np.random.Generator, options: PhantomOptions) -> tuple[str, float]:
    """Return the kind of a fracture and the share of height lost, or ``("", 0)``."""
    if rng.random() >= 0.015 * options.deformity:
        return "", 0.0
    return str(rng.choice(FRACTURES, p=[0.5, 0.35, 0.15])), float(rng.uniform(0.2, 0.45))


def _draw_modic(
    rng: np.random.Generator, bodies: list[Body], discs: list[Disc]
) -> tuple[list[Body], list[Disc]]:
    """Change the marrow on both sides of some worn discs."""
    for i, disc in enumerate(discs):
        if disc.grade < 4 or rng.random() > 0.35:
            continue
        bodies[i] = replace(bodies[i], modic=(float(rng.uniform(0.4, 1)), bodies[i].modic[1]))
        if i > 0:
            bodies[i - 1] = replace(bodies[i - 1], modic=(bodies[i - 1].modic[0], float(rng.uniform(0.4, 1))))
    return bodies, discs


def _draw_sacrum(
    rng: np.random.Generator, base: Endplate, scale: float, curvature: float
) -> tuple[Body, ...]:
    segments, upper = [], base
    for i, (height, depth, half_width, bend, gap) in enumerate(SACRUM):
        bend = (bend + rng.normal(0, 2.0)) * curvature
        lower = stacked(
            upper,
            -height * scale * rng.normal(1, 0.03),
            -bend,
            depth * scale,
            0.6 * scale,
            half_width * scale,
        )
        segments.append(Body(f"S{i + 1}", lower, upper, waist_mm=1.0))
        upper = stacked(lower, -gap * scale, 0.0, depth * scale * 0.97, 0.4, half_width * scale)
    return tuple(segments)


def wall_lines(column: Column) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return heights at 1 mm, and the smoothed y of the back and front walls of the column at each.

    Beyond the column's ends the lines go on straight.
    """
    plates = [p for s in reversed(column.sacrum) for p in (s.lower, s.upper)]
    plates += [p for b in column.bodies for p in (b.lower, b.upper)]
    z = np.arange(-330.0, 480.0)
    lines = []
    for points in (np.array([p.posterior for p in plates]), np.array([p.anterior for p in plates])):
        rising = np.maximum.accumulate(points[:, 1]) + np.arange(len(points)) * 1e-3
        line = np.interp(z, rising, points[:, 0])
        for end, step in ((0, 1), (-1, -1)):
            outside = z < rising[0] if end == 0 else z > rising[-1]
            edge = int(np.argmin(np.abs(z - rising[end])))
            slope = np.clip((line[edge + 25 * step] - line[edge]) / (25 * step), -0.6, 0.6)
            line[outside] = line[edge] + slope * (z[outside] - z[edge])
        lines.append(ndimage.gaussian_filter1d(line, 6.0, mode="nearest"))
    return z, lines[0], lines[1]
