"""Whether the grey values of an image carry a picture in every slice."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from .findings import Finding

#: Share of the non-zero voxels at the largest value from which an image counts as clipped.
CLIPPED_SHARE = 0.01


def check(case: str, sagittal: np.ndarray) -> Iterator[Finding]:
    """Look for slices without a picture, and for clipped contrast.

    Args:
        case: its id.
        sagittal: slices, rows, columns.
    """
    flat = sagittal.reshape(len(sagittal), -1)
    constant = np.flatnonzero(flat.min(axis=1) == flat.max(axis=1))
    if constant.size:
        yield Finding(
            "warning",
            "constant slices",
            case,
            f"{constant.size} of {len(sagittal)} sagittal slices hold one single value (the first is slice "
            f"{constant[0]}, counted from the patient's left)",
            "cut them off, or export the series again if they should hold a picture",
        )
    share = int((sagittal == sagittal.max()).sum()) / max(int(np.count_nonzero(sagittal)), 1)
    if share > CLIPPED_SHARE:
        yield Finding(
            "info",
            "clipped",
            case,
            f"{share:.1%} of its non-zero voxels have the largest value: the contrast is clipped",
            "export it with a wider window if the original is at hand",
        )
