"""How much two masks share: Dice similarity coefficient (DSC) and intersection over union (IoU).

The paper names DSC and mIoU without a formula; these are the usual ones, on voxel counts.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..errors import UsageError


@dataclass(frozen=True)
class Overlap:
    """Voxel counts of two masks T (truth) and P (prediction), from which every overlap score follows.

    Attributes:
        truth: ``|T|``.
        pred: ``|P|``.
        both: ``|T and P|``.
    """

    truth: int
    pred: int
    both: int

    @property
    def dsc(self) -> float | None:
        """``2 |T and P| / (|T| + |P|)``, 0 to 1; None where both masks are empty."""
        total = self.truth + self.pred
        return 2 * self.both / total if total else None

    @property
    def iou(self) -> float | None:
        """``|T and P| / |T or P|``, 0 to 1; None where both masks are empty."""
        union = self.truth + self.pred - self.both
        return self.both / union if union else None

    @property
    def over_segmentation(self) -> float | None:
        """False positives over truth volume, ``|P without T| / |T|``; None where the truth is empty."""
        return (self.pred - self.both) / self.truth if self.truth else None


def overlap(truth: np.ndarray, pred: np.ndarray) -> Overlap:
    """Count the voxels of two boolean masks of one shape.

    Raises:
        UsageError: the shapes differ.
    """
    if truth.shape != pred.shape:
        raise UsageError(f"masks of shape {truth.shape} and {pred.shape} came; they must be the same grid")
    return Overlap(int(truth.sum()), int(pred.sum()), int((truth & pred).sum()))
