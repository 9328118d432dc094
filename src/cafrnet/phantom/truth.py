"""What is true of a phantom by construction: heights, angles, slips, signals. No voxel is measured."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from .anatomy import Anatomy
from .appearance import Look
from .column import Body, Disc, Endplate, Segment
from .grid import Grid, seen_in

VERSION = 1


def describe(
    anatomy: Anatomy, look: Look, grid: Grid, seed: int | None, options: dict[str, Any]
) -> dict[str, Any]:
    """Return the truth of a phantom, ready for JSON.

    Lengths are in mm, angles in degrees, points are (right, anterior, superior) in mm in the world of the
    scan. ``angles_deg`` are between the endplates' directions projected on the sagittal plane of the patient,
    positive where they open to the front (lordosis).
    """
    seen = seen_in(grid, anatomy)
    column = anatomy.column
    bodies = {b.name: {"view": seen[b.name], **_body(b, anatomy)} for b in column.bodies}
    discs = {d.name: {"view": seen[d.name], **_disc(d, anatomy, look)} for d in column.discs}
    s1 = column.sacrum[0].upper
    return {
        "version": VERSION,
        "seed": seed,
        "contrast": look.contrast,
        "options": options,
        "grid": {"shape": list(grid.shape), "affine": grid.affine.tolist()},
        "view": seen,
        "bodies": bodies,
        "discs": discs,
        "sacrum": {
            "view": seen["S"],
            "slope_deg": -_angle(s1, anatomy),
            "corners_mm": {
                "anterior": _world(s1.anterior, anatomy),
                "posterior": _world(s1.posterior, anatomy),
            },
        },
        "angles_deg": _angles(anatomy),
        "fractures": dict(column.fractures),
        "listhesis_mm": {d.name: round(d.slip_mm, 3) for d in column.discs if d.slip_mm > 0},
        "patient": {
            "scale": round(anatomy.scale, 4),
            "lateral_curve_mm": round(anatomy.lateral_mm, 3),
            "twist_deg": round(anatomy.twist_deg, 3),
            "conus_z_mm": round(anatomy.conus_z_mm, 2),
        },
    }


def _world(point: np.ndarray, anatomy: Anatomy, x: float = 0.0) -> list[float]:
    return [round(float(v), 3) for v in anatomy.to_patient(np.array([[x, *point]]))[0]]


def _distance(a: np.ndarray, b: np.ndarray, anatomy: Anatomy) -> float:
    pair = anatomy.to_patient(np.array([[0.0, *a], [0.0, *b]]))
    return round(float(np.linalg.norm(pair[1] - pair[0])), 3)


def _angle(plate: Endplate, anatomy: Anatomy) -> float:
    """Inclination of an endplate in the patient's sagittal plane, in degrees."""
    back, front = anatomy.to_patient(np.array([[0.0, *plate.posterior], [0.0, *plate.anterior]]))
    return round(float(np.degrees(np.arctan2(front[2] - back[2], front[1] - back[1]))), 3)


def _surface(plate: Endplate, sign: int) -> np.ndarray:
    """Return the point in the middle of an endplate's hollow; ``sign`` +1 where the bone lies above it."""
    return plate.mid + sign * plate.hollow_mm * plate.up


def _measures(segment: Segment, anatomy: Anatomy, bone: bool) -> dict[str, Any]:
    lower, upper = segment.lower, segment.upper
    sign = 1 if bone else -1
    return {
        "anterior_height_mm": _distance(lower.anterior, upper.anterior, anatomy),
        "middle_height_mm": _distance(_surface(lower, sign), _surface(upper, -sign), anatomy),
        "posterior_height_mm": _distance(lower.posterior, upper.posterior, anatomy),
        "rim_height_mm": _distance(lower.mid, upper.mid, anatomy),
        "depth_mm": round((lower.depth_mm + upper.depth_mm) / 2, 3),
        "wedge_deg": round(_angle(upper, anatomy) - _angle(lower, anatomy), 3),
        "centre_mm": _world(segment.middle, anatomy),
        "corners_mm": {
            f"{end}_{side}": _world(getattr(plate, side), anatomy)
            for end, plate in (("lower", lower), ("upper", upper))
            for side in ("anterior", "posterior")
        },
    }


def _body(body: Body, anatomy: Anatomy) -> dict[str, Any]:
    return {
        **_measures(body, anatomy, True),
        "fracture": body.fracture or None,
        "modic": {"lower": round(body.modic[0], 3), "upper": round(body.modic[1], 3)},
    }


def _disc(disc: Disc, anatomy: Anatomy, look: Look) -> dict[str, Any]:
    return {
        **_measures(disc, anatomy, False),
        "grade": disc.grade,
        "nucleus_signal": round(look.nucleus[disc.grade - 1] / look.tissue["csf"], 4),
        "bulge_mm": {"anterior": round(disc.bulge_mm[0], 3), "posterior": round(disc.bulge_mm[1], 3)},
        "slip_mm": round(disc.slip_mm, 3),
    }


def _angles(anatomy: Anatomy) -> dict[str, float]:
    """Return the lordosis between the upper endplates of L1 and S1, and the angle of every level."""
    column = anatomy.column
    tops = {"S1": column.sacrum[0].upper, **{b.name: b.upper for b in column.bodies}}
    names = list(tops)
    slope = {name: _angle(plate, anatomy) for name, plate in tops.items()}
    angles = {"lumbar_lordosis_L1_S1": round(slope["L1"] - slope["S1"], 3), "sacral_slope": -slope["S1"]}
    for below, above in itertools.pairwise(names):
        angles[f"segment_{above}_{below}"] = round(slope[above] - slope[below], 3)
    return angles
