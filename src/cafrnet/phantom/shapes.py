"""Implicit shapes: signed distances in mm, negative inside. Arrays in, arrays of the same shape out.

Coordinates are the local ones of a vertebra or a canal: ``x`` to the right, ``t`` to the front, ``v``
upwards, in mm. Distances are exact near the surface within the sagittal plane, which is what partial volume
needs, and approximate elsewhere.
"""

from __future__ import annotations

import math

import numpy as np

Array = np.ndarray


def smooth_max(a: Array, b: Array, radius_mm: float) -> Array:
    """Return the larger of two distances; the edge where they meet is rounded (intersection of shapes)."""
    if radius_mm <= 0:
        return np.maximum(a, b)
    overlap = np.maximum(radius_mm - np.abs(a - b), 0)
    return np.maximum(a, b) + overlap * overlap * (0.25 / radius_mm)


def smooth_min(a: Array, b: Array, radius_mm: float) -> Array:
    """Return the smaller of two distances, with a fillet where they meet (union of shapes)."""
    return -smooth_max(-a, -b, radius_mm)


def capsule(
    x: Array, t: Array, v: Array, start: tuple, end: tuple, radius_mm: tuple[float, float], flat: float = 1.0
) -> Array:
    """Return the distance to a cone with round ends.

    Args:
        x: coordinates to the right.
        t: coordinates to the front.
        v: coordinates upwards.
        start: (x, t, v) of the one end.
        end: (x, t, v) of the other.
        radius_mm: radius at either end.
        flat: how many times higher than thick the cross-section is.
    """
    dx, dt, dv = end[0] - start[0], end[1] - start[1], (end[2] - start[2]) / flat
    px, pt, pv = x - start[0], t - start[1], (v - start[2]) / flat
    along = np.clip((px * dx + pt * dt + pv * dv) / (dx * dx + dt * dt + dv * dv), 0, 1)
    radius = radius_mm[0] + along * (radius_mm[1] - radius_mm[0])
    return np.sqrt((px - along * dx) ** 2 + (pt - along * dt) ** 2 + (pv - along * dv) ** 2) - radius


def slab(c: Array, low: Array | float, high: Array | float) -> Array:
    """Return the distance to the layer between two bounds along one coordinate."""
    return np.maximum(low - c, c - high)


def ellipsoid(x: Array, t: Array, v: Array, half_mm: tuple[float, float, float]) -> Array:
    """Return the approximate distance to an ellipsoid around the origin."""
    rho = np.sqrt((x / half_mm[0]) ** 2 + (t / half_mm[1]) ** 2 + (v / half_mm[2]) ** 2)
    return (rho - 1) * min(half_mm)


def along(z: Array, heights: Array, values: Array) -> Array:
    """Return what a line sampled at ``heights`` is worth at each ``z`` (float32, the shape of ``z``)."""
    return np.interp(z, heights, values).astype(np.float32)


def turned(y: Array, z: Array, origin: Array, angle_deg: float) -> tuple[Array, Array]:
    """Return the coordinates forward and upward from ``origin`` (y, z), along axes inclined by an angle."""
    cos, sin = math.cos(math.radians(angle_deg)), math.sin(math.radians(angle_deg))
    dy, dz = y - float(origin[0]), z - float(origin[1])
    return dy * cos + dz * sin, dz * cos - dy * sin


def coverage(distance_mm: Array, pixel_mm: float) -> Array:
    """Return the share of a pixel that a shape covers, 0 to 1."""
    return np.clip(0.5 - distance_mm / pixel_mm, 0, 1)
