"""How the files of truths and predictions are read, and a prediction brought onto its truth's voxels."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..errors import InputError
from ..labels import SCHEMES, Scheme
from ..scan import aligned, is_placed, is_segmentation, read_labels, read_scan
from ..scan.alignment import is_rounding, mismatch
from .truths import Truth


def scheme_of(truth: Truth) -> Scheme | None:
    """Return the scheme whose values a truth's are; None where they are a dataset's own.

    Raises:
        InputError: they are its own, and it is a ``.seg.nrrd``, whose values can't be relied on.
    """
    scheme = next((s for s in SCHEMES.values() if s.sets == truth.sets), None)
    if scheme is None and is_segmentation(truth.labels):
        raise InputError(
            f"{truth.labels}: Slicer gives the values of a .seg.nrrd anew, so a dataset's values can't be "
            "told apart in it; export it as a label map (.nii.gz), or name a scheme in dataset.yaml instead"
        )
    return scheme


def prediction_on(
    truth: Truth, affine: np.ndarray, shape: tuple[int, ...], file: Path, scheme: Scheme
) -> tuple[np.ndarray, list[str]]:
    """Read a prediction in the axis order of its truth.

    Where the affines of truth and prediction differ by more than rounding, that of the truth's image counts
    if it is known: truth and image are paired by array index.

    Args:
        truth: the truth.
        affine, shape: of its label map.
        file: of the prediction.
        scheme: of its values.

    Returns:
        Ids of the label table, and notes.

    Raises:
        InputError: unreadable, another shape, or placed elsewhere (see :func:`cafrnet.scan.aligned`).
    """
    values, own = read_labels(file, scheme)
    ids = scheme.sets.principal(values, str(file))
    unplaced = [str(path) for path in (truth.labels, file) if not is_placed(path)]
    if ids.shape == shape and unplaced:
        return ids, [f"paired by array index: no place in the patient is given by {', '.join(unplaced)}"]
    if ids.shape == shape and _same(affine, own, shape):
        return ids, []
    if truth.image is not None:
        affine = read_scan(truth.image).affine
    ids, said = aligned(ids, own, affine, shape, str(file))
    return ids, [said] if said else []


def _same(affine: np.ndarray, other: np.ndarray, shape: tuple[int, ...]) -> bool:
    """Whether two affines differ by no more than rounding."""
    try:
        return is_rounding(*mismatch(affine, other, shape))
    except (np.linalg.LinAlgError, ValueError):
        return False
