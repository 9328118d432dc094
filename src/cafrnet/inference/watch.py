"""What is noted about a network's answer while it goes by, a few slices at a time.

Only sums are kept, so the memory hardly grows with the scan. Only voxels that may be something are looked
at.

Axes: n = slice, k = class, y = model row (caudal), x = model column (posterior), v = voxel, q = kind.
"""

from __future__ import annotations

import numpy as np

from .calibration import Calibration
from .probabilities import TINY, calibrated, groups

#: A voxel none of whose classes is at least this many times as probable as the background adds nothing.
LEAST_ODDS = 0.02
#: Kinds whose names are the column's.
SACRUM, BODY, DISC, CANAL = 1, 2, 3, 4


class Watch:
    """Sums over the voxels of one scan.

    Args:
        num_classes: outputs of the model.
        calibration: holds the two temperatures; None is 1 for both.

    Attributes:
        inside: [k] probability mass of each class within its predicted kind.
        predicted: [k] voxels predicted to be of its kind, shared among its names by probability.
        mass: [k] probability mass of each class anywhere.
        entropy: sum over the column's voxels of the entropy of their class, as a share of the largest.
        column: how many voxels are predicted to be sacrum, body or disc.
        slices: of each slice, the entropy and the voxels of its part of the column.
        picture: how many pixels of the model grid hold a picture.
        rows: [y, 2, 2]: for bodies and for the canal, number of voxels and sum of their columns.
    """

    def __init__(self, num_classes: int, calibration: Calibration | None = None) -> None:
        known = calibration or Calibration()
        self._temperatures = known.temperature, known.kind_temperature
        self._groups = groups(num_classes)
        self.inside, self.predicted, self.mass = (np.zeros(num_classes) for _ in range(3))
        self.entropy, self.column, self.picture = 0.0, 0, 0
        self.slices: list[tuple[float, int]] = []
        self.rows = np.zeros((0, 2, 2))

    def add(self, images: np.ndarray, logits: np.ndarray) -> None:
        """Note a batch: images [n, y, x] and logits [n, k, y, x]."""
        self.picture += int((images > 0).sum())
        chosen = self._of_interest(logits)
        n, y, x = np.nonzero(chosen)
        if not len(y):
            self.slices += [(0.0, 0)] * len(images)
            return
        p, kinds = calibrated(logits.transpose(1, 0, 2, 3)[:, chosen], *self._temperatures)
        what = kinds.argmax(axis=0)
        for q, ids in enumerate(self._groups[1:], 1):
            own = what == q
            here = p[ids][:, own]
            self.inside[ids] += here.sum(axis=1)
            self.predicted[ids] += (here / kinds[q, own]).sum(axis=1)
            self.mass[ids] += p[ids].sum(axis=1)
        column = (what >= SACRUM) & (what <= DISC)
        self._add_entropy(p[:, column], n[column], len(images))
        self._add_rows(what, y, x, logits.shape[2])

    def _of_interest(self, logits: np.ndarray) -> np.ndarray:
        """Return [n, y, x] whether a voxel may be something; without any exponential, to be quick."""
        lead = logits[:, 1:].max(axis=1) - logits[:, 0]
        return lead > self._temperatures[1] * np.log(LEAST_ODDS)

    def _add_entropy(self, p: np.ndarray, n: np.ndarray, count: int) -> None:
        entropy = -(p * np.log(np.maximum(p, TINY))).sum(axis=0) / np.log(len(p))
        sums, voxels = np.bincount(n, entropy, minlength=count), np.bincount(n, minlength=count)
        self.slices += [(float(e), int(v)) for e, v in zip(sums, voxels, strict=True)]
        self.entropy += float(entropy.sum())
        self.column += len(n)

    def _add_rows(self, what: np.ndarray, y: np.ndarray, x: np.ndarray, height: int) -> None:
        if not len(self.rows):
            self.rows = np.zeros((height, 2, 2))
        for which, kind in enumerate((BODY, CANAL)):
            own = what == kind
            self.rows[:, which, 0] += np.bincount(y[own], minlength=height)
            self.rows[:, which, 1] += np.bincount(y[own], x[own], minlength=height)

    @property
    def soft_dice(self) -> np.ndarray:
        """[k] expected Dice of each class's own voxels, names taken for right; 0 where there is none.

        With p the probability of the class and P the voxels predicted, the truth being drawn voxel by voxel
        with these probabilities: E[Dice] is about ``2 sum_P p / (|P| + sum p)``.
        """
        both = self.predicted + self.mass
        return np.divide(2 * self.inside, both, out=np.zeros_like(both), where=both > 0)

    @property
    def mean_entropy(self) -> float | None:
        """Of the column's voxels, 0 (sure) to 1 (knows nothing); None without a column."""
        return self.entropy / self.column if self.column else None

    @property
    def canal_behind(self) -> float | None:
        """How many pixels the canal lies behind the bodies, over the rows that hold both; None without."""
        if not len(self.rows):
            return None
        seen = (self.rows[:, :, 0] >= 3).all(axis=1)
        if seen.sum() < 3:
            return None
        middle = self.rows[seen, :, 1] / self.rows[seen, :, 0]
        return float((middle[:, 1] - middle[:, 0]).mean())
