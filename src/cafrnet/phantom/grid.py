"""Where the slices lie: matrix, affine, and which structures the field of view holds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..labels import TABLE
from .anatomy import Anatomy
from .column import Disc, Endplate, Segment
from .options import CLINICAL_GRIDS, PhantomOptions
from .surroundings import Trunk

#: Margin of an explicit field of view beyond its lowest and highest structure, in mm.
MARGIN_MM = 2.5


@dataclass(frozen=True)
class Grid:
    """The voxel grid of a phantom, array order (antero-posterior, cranio-caudal, left-right).

    Attributes:
        shape: voxels along each array axis.
        affine: 4 x 4, array index -> RAS mm; index 0 grows to the back, index 1 upwards.
    """

    shape: tuple[int, int, int]
    affine: np.ndarray

    @property
    def pixel_mm(self) -> float:
        """Pixel size in the sagittal plane."""
        return float(np.linalg.norm(self.affine[:3, 0]))

    def plane(self, k: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return x, y, z (RAS mm, float32) of the pixels of the plane at slice index ``k``.

        ``z`` is one row: planes are tilted about the vertical and the front axis only.
        """
        i = np.arange(self.shape[0], dtype=np.float64)[:, None]
        j = np.arange(self.shape[1], dtype=np.float64)[None, :]
        a = self.affine
        x, y, z = ((a[r, 0] * i + a[r, 1] * j + (a[r, 2] * k + a[r, 3])).astype(np.float32) for r in range(3))
        return x, y, z[:1]

    def index(self, points: np.ndarray) -> np.ndarray:
        """Return the array coordinates (n, 3) of points (n, 3) in RAS mm."""
        return (points - self.affine[:3, 3]) @ np.linalg.inv(self.affine[:3, :3]).T


def hull(segment: Segment, anatomy: Anatomy) -> np.ndarray:
    """Return points (n, 3) in RAS mm whose hull holds a body or disc: corners and middles, both sides too."""
    points = [
        (x * plate.half_width_mm, *point)
        for plate in (segment.lower, segment.upper)
        for x in (-1, 0, 1)
        for point in (plate.anterior, plate.posterior, plate.mid, plate.mid + _into_hollow(segment, plate))
    ]
    return anatomy.to_patient(np.array(points))


def _into_hollow(segment: Segment, plate: Endplate) -> np.ndarray:
    """Return the way (y, z) from the middle of an endplate's line into its hollow, which is the disc's."""
    if not isinstance(segment, Disc):
        return np.zeros(2)
    return plate.up * plate.hollow_mm * (1 if plate is segment.upper else -1)


def structure_hulls(anatomy: Anatomy) -> dict[str, np.ndarray]:
    """Return the hull points of every structure along the column: S, then from L5/S upwards."""
    hulls = {"S": np.concatenate([hull(b, anatomy) for b in anatomy.column.sacrum])}
    return {**hulls, **{s.name: hull(s, anatomy) for s in anatomy.column.segments}}


def draw_grid(rng: np.random.Generator, anatomy: Anatomy, trunk: Trunk, options: PhantomOptions) -> Grid:
    """Place the slices as a radiographer would: along the spine, its back near the rear edge."""
    size, pixel = CLINICAL_GRIDS[int(rng.integers(len(CLINICAL_GRIDS)))]
    if options.matrix is not None:
        size, pixel = options.matrix[0], 300.0 / max(options.matrix)
    elif options.pixel_mm is not None:
        size = 2 * round(150.0 / options.pixel_mm)
    pixel = options.pixel_mm or pixel
    rows = options.matrix[1] if options.matrix is not None else size
    slices = options.slices or int(rng.integers(12, 16))
    width = rng.uniform(53, 66)
    spacing = options.slice_spacing_mm or float(np.clip(np.round(width / slices, 1), 4.0, 5.0))
    directions = _tilt(rng, options.oblique_deg) @ np.array([[0.0, 0, 1], [-1, 0, 0], [0, 1, 0]])
    low, rows = _rows(rng, anatomy, directions, options, rows, pixel)
    middle_z = low + rows * pixel / 2
    seen = np.abs(trunk.z_mm - middle_z) <= max(rows * pixel / 2 - 20, 5)
    rear = float(trunk.skin[seen].min()) - rng.uniform(4, 16)
    front = rear + size * pixel
    lateral = float(
        np.mean(anatomy.lateral(np.linspace(low + 0.1 * rows * pixel, low + 0.9 * rows * pixel, 50)))
    )
    centre = np.array([lateral + rng.uniform(-2, 2), (rear + front) / 2, middle_z])
    shape = (size, rows, slices)
    scaled = directions * np.array([pixel, pixel, spacing])
    affine = np.eye(4)
    affine[:3, :3] = scaled
    # turn about the spine, which is not the middle of the field of view
    pivot = np.array([lateral, float(np.interp(middle_z, trunk.z_mm, anatomy.back_wall_mm)), middle_z])
    straight = np.array([[0.0, 0, 1], [-1, 0, 0], [0, 1, 0]])
    centre = pivot + directions @ straight.T @ (centre - pivot)
    affine[:3, 3] = centre - scaled @ ((np.array(shape) - 1) / 2)
    return Grid(shape, np.round(affine, 6))


def _tilt(rng: np.random.Generator, largest_deg: float) -> np.ndarray:
    """Return a small rotation about the vertical and the front axis, 3 x 3."""
    yaw, roll = np.radians(np.clip(rng.normal(0, 0.5, 2), -1, 1) * largest_deg)
    c, s = np.cos(yaw), np.sin(yaw)
    about_z = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
    c, s = np.cos(roll), np.sin(roll)
    about_y = np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])
    return about_z @ about_y


def _rows(
    rng: np.random.Generator,
    anatomy: Anatomy,
    directions: np.ndarray,
    options: PhantomOptions,
    rows: int,
    pixel: float,
) -> tuple[float, int]:
    """Return the lower edge of the field of view in mm along its rows, and the number of rows."""
    heights = {name: points @ directions[:, 1] for name, points in structure_hulls(anatomy).items()}
    if options.fov == "random":
        height = rows * pixel
        sacral = [float((hull(b, anatomy) @ directions[:, 1]).mean()) for b in anatomy.column.sacrum]
        usual = rng.random() < 0.85
        low = rng.uniform(sacral[4], sacral[1]) if usual else rng.uniform(sacral[1], heights["L4"].min())
        top = float(heights["T8"].max())
        return float(min(low, max(top - height, sacral[4] - 40))), rows
    lowest, highest = ("S", "T9") if isinstance(options.fov, str) else options.fov
    ids = TABLE.column
    chosen = [TABLE[i].name for i in ids[ids.index(TABLE[lowest].id) : ids.index(TABLE[highest].id) + 1]]
    low = min(float(heights[name].min()) for name in chosen) - MARGIN_MM
    high = max(float(heights[name].max()) for name in chosen) + MARGIN_MM
    return low, int(np.ceil((high - low) / pixel / 2) * 2)


def seen_in(grid: Grid, anatomy: Anatomy) -> dict[str, str]:
    """Return for each structure whether the field of view holds it ``"whole"``, ``"cut"`` or ``"absent"``.

    Only the sagittal plane counts: how far the slices reach to the sides is left out.
    """
    result = {}
    for name, points in structure_hulls(anatomy).items():
        index = grid.index(points)[:, :2]
        edge = np.array(grid.shape[:2]) - 0.5
        whole = bool((index >= -0.5).all() and (index <= edge).all())
        outside = bool((index < -0.5).all(axis=0).any() or (index > edge).all(axis=0).any())
        result[name] = "whole" if whole else "absent" if outside else "cut"
    return result
