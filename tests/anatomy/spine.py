"""Columns drawn by hand: boxes along a curve, in world mm, on any grid."""

import numpy as np

from cafrnet.labels import TABLE

#: Heights along the column, from below.
BODY_MM, DISC_MM = 24.0, 10.0
#: Index -> RAS mm: slices of 4 mm to the right, rows of 2 mm caudally, columns of 2 mm posteriorly.
SAGITTAL = np.array([[4.0, 0, 0, -10], [0, 0, -2, 60], [0, -2, 0, 150], [0, 0, 0, 1]])
SHAPE = (6, 150, 60)


def rotated(affine, degrees, axis):
    """Turn a grid in the world about an axis (0 right, 1 anterior, 2 superior)."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    turn = np.eye(4)
    a, b = [k for k in range(3) if k != axis]
    turn[[a, a, b, b], [a, b, a, b]] = c, -s, s, c
    return turn @ affine


def names(*words):
    return [TABLE[word].id for word in words]


def straight(ids, *, lowest_mm=-130.0, shape=SHAPE, affine=SAGITTAL, heights=None):
    """Return labels of a column of boxes, 30 mm deep, that stand on each other from ``lowest_mm`` upwards.

    ``ids``: from below; 0 leaves room for a body. The sacrum is 40 mm high.
    """
    index = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), -1)
    x, y, z = np.moveaxis(index @ affine[:3, :3].T + affine[:3, 3], -1, 0)
    labels, low = np.zeros(shape, np.uint8), lowest_mm
    for k, identity in enumerate(ids):
        kind = TABLE[identity].kind
        high = low + (heights[k] if heights else {"disc": DISC_MM, "sacrum": 40.0}.get(kind, BODY_MM))
        labels[(abs(x) < 16) & (abs(y) < 15) & (z >= low) & (z < high)] = identity
        low = high
    return labels


def curved(ids, *, slope_deg, shape=SHAPE, affine=SAGITTAL):
    """Return labels of a lordotic column: upright on top, leaning back below, the lowest by ``slope_deg``.

    Each box is turned by its own angle; the path starts at the top, 130 mm high, and walks down and back.
    """
    index = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), -1)
    x, y, z = np.moveaxis(index @ affine[:3, :3].T + affine[:3, 3], -1, 0)
    labels = np.zeros(shape, np.uint8)
    at = np.array([15.0, 130.0])  # anterior, superior
    for k, identity in enumerate(reversed(ids)):
        angle = np.radians(slope_deg * (k / (len(ids) - 1)) ** 2)
        down = np.array([-np.sin(angle), -np.cos(angle)])
        long = {"disc": DISC_MM, "sacrum": 36.0}.get(TABLE[identity].kind, BODY_MM)
        along = (y - at[0]) * down[0] + (z - at[1]) * down[1]
        across = (y - at[0]) * down[1] - (z - at[1]) * down[0]
        labels[(abs(x) < 16) & (abs(across) < 13) & (along >= 0) & (along < long) & (labels == 0)] = identity
        at = at + down * long
    return labels
