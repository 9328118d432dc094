"""Whether the picture makes more sense upside down: a header may exchange up and down.

A column that stands on its head looks like a column, and names that are given from below then all belong to
others. Neither order nor sizes tell; the network does, when it sees one slice both ways.

Axes: s = slice, y = model row (caudal), x = model column.
"""

from __future__ import annotations

import numpy as np

from ..anatomy.checks import Flag
from .answers import calibrated_logits
from .model import Model
from .watch import Watch

#: What is found the other way round counts from this share of the voxels on: less is no column.
LEAST_FOUND = 0.5
#: ... and is surer if its uncertainty is below this share of what it is the right way round.
SURER = 0.9


def upside_down_flags(model: Model, images: np.ndarray, watch: Watch) -> tuple[Flag, ...]:
    """Show the network the slice that holds most of the column once more, upside down.

    Of 12 scans of spider-space and networks that had not learnt from them, the uncertainty within the column
    is 1.5 to 2.6 times as high the wrong way round (docs/triage.md).

    Args:
        model: that answered.
        images: [s, y, x] of all slices.
        watch: has seen all of its answers.

    Returns:
        A flag of the kind ``upside down`` if the network is surer of the column that way; else nothing.

    Raises:
        InputError: the network gave something else than finite logits.
    """
    most = max(range(len(images)), key=lambda s: watch.slices[s][1])
    entropy, voxels = watch.slices[most]
    turned = np.ascontiguousarray(images[most : most + 1, ::-1])
    other = Watch(model.num_classes, model.calibration)
    other.add(turned, calibrated_logits(model, turned[:, None]))
    if other.mean_entropy is None or other.column < LEAST_FOUND * voxels:
        return ()
    if other.mean_entropy * voxels >= SURER * entropy:
        return ()
    return (
        Flag(
            "upside down",
            (),
            f"turned upside down the network is surer of the column (uncertainty {other.mean_entropy:.3f} "
            f"instead of {entropy / max(voxels, 1):.3f}): the header may exchange up and down",
        ),
    )
