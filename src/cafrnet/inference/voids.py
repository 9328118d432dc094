"""Whether the column is full of holes: metal leaves no signal where it is, and bends the picture around.

Nothing here depends on the model, but for where it found the column: what is left between the holes can look
like a column of its own, named surely and wrongly.

Axes: s = slice, y = model row (caudal), x = model column.
"""

from __future__ import annotations

import numpy as np

from ..anatomy.checks import Flag

#: Grey value, 0 to 1, below which there is no signal, if it is also below this share of the column's own
#: bright parts (the 98th percentile): a surface coil may leave all of the column dark beside the skin.
NO_SIGNAL, SHARE_OF_BRIGHT = 0.03, 0.1
#: How far around the line through the middles of the bodies is looked, in mm: half of a body's half depth.
RADIUS_MM = 8.0
#: From this share without signal on it is no bone and no disc. In 16 scans of spider-space it is 0.2 to 8 %,
#: with the skin of the back eight times as bright up to 13 %, in phantoms of three contrasts at most 2 %;
#: with screws in most lumbar bodies 48 to 87 %.
MOST_WITHOUT = 0.25


def void_flags(images: np.ndarray, bodies: np.ndarray, step_mm: tuple[float, float]) -> tuple[Flag, ...]:
    """Look along the column for places without signal.

    Args:
        images: [s, y, x], 0 to 1, as the network sees them.
        bodies: (s, y, x) of the middles of the bodies, [b, 3], in any order.
        step_mm: distance of slices, and edge of a pixel.

    Returns:
        A flag of the kind ``voids`` if much of the column has no signal; nothing with less than two bodies.
    """
    if len(bodies) < 2:
        return ()
    s, y, x = bodies[np.argsort(bodies[:, 1])].T
    rows = np.arange(max(0, round(y[0])), min(images.shape[1] - 1, round(y[-1])) + 1)
    across = (np.arange(len(images))[:, None] - np.interp(rows, y, s)) * step_mm[0]
    front = (np.arange(images.shape[2])[:, None] - np.interp(rows, y, x)) * step_mm[1]
    inside = across[:, :, None] ** 2 + front.T[None] ** 2 <= RADIUS_MM**2
    if not inside.any():
        return ()
    grey = images[:, rows][inside]
    share = float((grey < min(NO_SIGNAL, SHARE_OF_BRIGHT * np.percentile(grey, 98))).mean())
    if share < MOST_WITHOUT:
        return ()
    return (Flag("voids", (), f"{share:.0%} of the column gives no signal: metal, or a damaged scan"),)
