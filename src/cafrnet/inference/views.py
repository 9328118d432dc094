"""Test-time augmentation: slices seen mirrored, moved or scaled, each answer brought back, and averaged.

The only mirroring is front to back, and the answer is mirrored back with the image. No view turns the spine
upside down or swaps labels: mirroring in a plane of names (left and right, up and down) is what made other
tools swap theirs.

Axes: n = slice, k = class, y = model row (caudal), x = model column (posterior).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..errors import UsageError, nearest
from .engines import Engine
from .model import Model
from .probabilities import log_probabilities, softmax


@dataclass(frozen=True)
class View:
    """One way to look at a slice.

    Attributes:
        mirror: front and back exchanged.
        shift: (rows, columns) by which the picture moves, in model pixels.
        scale: by which it grows about its middle.
    """

    mirror: bool = False
    shift: tuple[float, float] = (0.0, 0.0)
    scale: float = 1.0


#: Names for the command line. ``as-is`` is always among the views.
VIEWS = {
    "as-is": View(),
    "mirror": View(mirror=True),
    "smaller": View(scale=0.93),
    "larger": View(scale=1.07),
    "up": View(shift=(-6.0, 0.0)),
    "down": View(shift=(6.0, 0.0)),
}
#: What ``--tta`` alone means.
DEFAULT_VIEWS = ("as-is", "mirror", "smaller", "larger")


def with_views(model: Model, names: Sequence[str] = DEFAULT_VIEWS) -> Model:
    """Return the model with test-time augmentation: each answer is the mean probability over the views.

    Args:
        model: loaded.
        names: keys of :data:`VIEWS`; ``as-is`` is added where it is missing.

    Raises:
        UsageError: an unknown view, or a model that has views already.
    """
    if model.views:
        raise UsageError(f"{model.path} looks at its slices in the views {list(model.views)} already")
    for name in names:
        if name not in VIEWS:
            raise UsageError(f"no view {name!r} for test-time augmentation{nearest(name, VIEWS)}")
    chosen = tuple(name for name in VIEWS if name in {"as-is", *names})
    engine = ViewingEngine(model.engine, [VIEWS[name] for name in chosen], model.not_trained_ids)
    return replace(model, engine=engine, views=chosen)


class ViewingEngine:
    """An engine that asks another one several times.

    Args:
        engine: that answers.
        views: what it is shown.
        not_trained: ids that never get a probability.

    Decided: probabilities are averaged, not logits: one view that is sure of nonsense then can't outvote the
    others. Pixels that a view does not hold (beyond its edge) are left out of the mean there.
    """

    def __init__(self, engine: Engine, views: Sequence[View], not_trained: Sequence[int] = ()) -> None:
        self.engine, self.views, self.not_trained = engine, list(views), list(not_trained)
        self.name, self.metadata = engine.name, engine.metadata
        self.image_shape, self.logits_shape = engine.image_shape, engine.logits_shape

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Return the logarithm of the mean probability [n, k, y, x] for images [n, 1, y, x]."""
        size = images.shape[2:]
        total, weight = np.zeros(1, np.float32), np.zeros(size, np.float32)
        for view in self.views:
            there, back = Way(view, size), Way(view, size, back=True)
            logits = self.engine(there(images))
            if self.not_trained:
                logits[:, self.not_trained] = -1e4
            total = total + back(softmax(logits))
            weight += back.covered
        return log_probabilities(total / weight)


class Way:
    """The way of a picture into a view, or back: bilinear, rows and columns apart.

    Args:
        view: into which.
        size: rows and columns of the model grid.
        back: undo the view instead.

    Attributes:
        covered: [y, x] share of each pixel that came from within the picture.
    """

    def __init__(self, view: View, size: tuple[int, ...], *, back: bool = False) -> None:
        self.rows = _weights(size[0], view.scale, view.shift[0], back)
        columns = _weights(size[1], view.scale, view.shift[1], back)
        if view.mirror:
            columns = columns[:, ::-1] if not back else columns[::-1]
        self.columns = np.ascontiguousarray(columns)
        self.covered = np.outer(self.rows.sum(axis=1), self.columns.sum(axis=1)).astype(np.float32)

    def __call__(self, pictures: np.ndarray) -> np.ndarray:
        """Return pictures [n, k, y, x] as the view shows them; 0 beyond the edge."""
        return np.ascontiguousarray(self.rows @ pictures @ self.columns.T)


def _weights(size: int, scale: float, shift: float, back: bool) -> np.ndarray:
    """Return the [size, size] matrix that takes a line of pixels to its scaled and shifted self, or back."""
    middle, place = (size - 1) / 2, np.arange(size, dtype=np.float64)
    source = (place - middle) * scale + middle + shift if back else (place - middle - shift) / scale + middle
    low = np.floor(source).astype(int)
    part = source - low
    matrix = np.zeros((size, size), np.float32)
    for index, share in ((low, 1 - part), (low + 1, part)):
        inside = (index >= 0) & (index < size)
        matrix[np.flatnonzero(inside), index[inside]] += share[inside]
    return matrix
