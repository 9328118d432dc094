"""A small asymmetric volume with a known place, made into every format by the tests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from cafrnet.scan import Scan

#: Axes (P, I, R): columns posteriorly, rows caudally, slices to the right, as a scanner stores them.
ACQUIRED_MM = np.array([[0.0, 0.0, 4.4], [-0.5, 0.0, 0.0], [0.0, -0.7, 0.0]])


def oblique(matrix: np.ndarray, angles_deg: tuple[float, float, float]) -> np.ndarray:
    """Return a 4 x 4 affine: the 3 x 3 matrix turned about x, y, z, and an origin that is not round."""
    affine = np.eye(4)
    affine[:3, :3] = Rotation.from_euler("xyz", angles_deg, degrees=True).as_matrix() @ matrix
    affine[:3, 3] = (30.1234, -50.5, 10.25)
    return affine


@pytest.fixture
def acquired() -> Scan:
    """Seven columns, nine rows, six slices; values above 32767 occur; a little oblique."""
    voxels = np.random.default_rng(0).integers(0, 60000, (7, 9, 6)).astype(np.uint16)
    return Scan(voxels, oblique(ACQUIRED_MM, (10, -7, 5)), "acquired")


@pytest.fixture
def left_behind() -> Callable[[Path], list[str]]:
    """Return a function that lists every file below a folder, hidden ones too."""
    return lambda folder: sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())
