"""The column as a chain of endplates: bodies and discs between them, in the mid-sagittal plane.

Model coordinates in mm: ``y`` to the front, ``z`` upwards; an angle is that of the direction from back to
front against ``y``, positive where the front is higher. A body or a disc is what lies between two endplates,
so neighbours touch by construction, and heights and angles are those of the endplates.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np


@dataclass(frozen=True)
class Endplate:
    """One endplate: a line with a hollow in the middle.

    Attributes:
        mid: (y, z) of the middle of the line between its two corners, in mm.
        angle_deg: its inclination; positive where the front is higher.
        depth_mm: distance between its front and back corner.
        hollow_mm: how far its middle lies inside the bone.
        half_width_mm: half of its left-right width.
    """

    mid: np.ndarray
    angle_deg: float
    depth_mm: float
    hollow_mm: float
    half_width_mm: float

    @property
    def forward(self) -> np.ndarray:
        """Unit vector (y, z) from the back corner to the front corner."""
        angle = np.radians(self.angle_deg)
        return np.array([np.cos(angle), np.sin(angle)])

    @property
    def up(self) -> np.ndarray:
        """Unit vector (y, z) at a right angle to the endplate, upwards."""
        angle = np.radians(self.angle_deg)
        return np.array([-np.sin(angle), np.cos(angle)])

    @property
    def anterior(self) -> np.ndarray:
        """The front corner."""
        return self.mid + self.forward * self.depth_mm / 2

    @property
    def posterior(self) -> np.ndarray:
        """The back corner."""
        return self.mid - self.forward * self.depth_mm / 2

    def moved(self, offset: np.ndarray) -> Endplate:
        """Return the endplate shifted by (y, z) mm."""
        return replace(self, mid=self.mid + offset)


@dataclass(frozen=True)
class Segment:
    """What lies between two endplates.

    Attributes:
        name: ``"L5"``, ``"L5/S"``, ``"S1"`` ...
        lower: the endplate below.
        upper: the endplate above.
    """

    name: str
    lower: Endplate
    upper: Endplate

    @property
    def middle(self) -> np.ndarray:
        """(y, z) of its middle."""
        return (self.lower.mid + self.upper.mid) / 2

    @property
    def angle_deg(self) -> float:
        """Mean inclination of its two endplates."""
        return (self.lower.angle_deg + self.upper.angle_deg) / 2

    @property
    def wedge_deg(self) -> float:
        """How much its endplates open to the front."""
        return self.upper.angle_deg - self.lower.angle_deg


@dataclass(frozen=True)
class Body(Segment):
    """A vertebral body.

    Attributes:
        waist_mm: how hollow its front and side walls are at half height.
        fracture: ``""``, ``"wedge"``, ``"biconcave"`` or ``"crush"``.
        modic: share of its marrow next to the lower and the upper endplate that is changed, 0 to 1.
    """

    waist_mm: float = 1.5
    fracture: str = ""
    modic: tuple[float, float] = (0.0, 0.0)


@dataclass(frozen=True)
class Disc(Segment):
    """An intervertebral disc.

    Attributes:
        grade: degeneration, 1 (healthy) to 5 (collapsed), after Pfirrmann.
        bulge_mm: how far it stands out in front and behind.
        slip_mm: how far the body above has slipped forward on the one below.
        tilt: shifts its nucleus, -1 to 1.
    """

    grade: int = 1
    bulge_mm: tuple[float, float] = (1.0, 0.5)
    slip_mm: float = 0.0
    tilt: float = 0.0


@dataclass(frozen=True)
class Column:
    """The whole column: sacral segments from the top down, bodies and discs from the bottom up."""

    sacrum: tuple[Body, ...]
    bodies: tuple[Body, ...]
    discs: tuple[Disc, ...]
    fractures: dict[str, str] = field(default_factory=dict)

    def turned(self, angle_deg: float) -> Column:
        """Return the column turned as a whole about the origin; positive raises the front."""
        angle = np.radians(angle_deg)
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        return self._changed(lambda p: replace(p, mid=turn @ p.mid, angle_deg=p.angle_deg + angle_deg))

    @property
    def segments(self) -> tuple[Segment, ...]:
        """Bodies and discs by turns, from L5/S upwards."""
        return tuple(s for pair in zip(self.discs, self.bodies, strict=True) for s in pair)

    def moved(self, offset: np.ndarray) -> Column:
        """Return the column shifted by (y, z) mm."""
        return self._changed(lambda p: p.moved(offset))

    def _changed(self, change: Callable[[Endplate], Endplate]) -> Column:
        """Return the column with a change made to every endplate."""

        def each(segments: tuple) -> tuple:
            return tuple(replace(s, lower=change(s.lower), upper=change(s.upper)) for s in segments)

        return replace(self, sacrum=each(self.sacrum), bodies=each(self.bodies), discs=each(self.discs))


def stacked(
    below: Endplate,
    height_mm: float,
    wedge_deg: float,
    depth_mm: float,
    hollow_mm: float,
    half_width_mm: float,
    slip_mm: float = 0.0,
) -> Endplate:
    """Return the endplate that lies ``height_mm`` above another and opens ``wedge_deg`` to the front.

    A negative height goes down instead; ``slip_mm`` shifts it forward.
    """
    angle = below.angle_deg + wedge_deg
    mean = np.radians((below.angle_deg + angle) / 2)
    mid = below.mid + height_mm * np.array([-np.sin(mean), np.cos(mean)]) + slip_mm * below.forward
    return Endplate(mid, angle, depth_mm, hollow_mm, half_width_mm)
