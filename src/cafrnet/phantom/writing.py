"""Write a dataset of phantoms in the SpineMRI layout, as NIfTI or as DICOM series."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np

from ..errors import UsageError
from ..files import whole_file, write_json, write_text
from ..scan import write_labels
from .options import PhantomOptions
from .phantom import Phantom, make_phantom

FORMATS = ("nifti", "dicom")
DATASET_YAML = """\
# Synthetic scans, drawn by a program: no patient, no anatomy of anybody. Truth by construction in truth/.
name: phantom
source: cafrnet procedural phantom, seed {seed}
licence: CC0-1.0
citation: "cafrnet procedural spine phantom (synthetic)"
values:
{values}
"""


def case_rng(seed: int, number: int) -> np.random.Generator:
    """Return the source of chance of one case; it doesn't depend on how many cases there are."""
    return np.random.default_rng(np.random.SeedSequence([seed, number]))


def write_dataset(
    folder: str | os.PathLike[str],
    cases: int,
    seed: int,
    *,
    format: str = "nifti",
    options: PhantomOptions = PhantomOptions(),
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Write phantoms ``Case1`` to ``Case{cases}``: ``train/MR``, ``train/Mask``, ``truth``, ``dataset.yaml``.

    The same seed gives the same files, byte for byte. A case's truth is written last: a case that has it is
    complete, and is left as it is when it was made with the same seed and options.

    Args:
        folder: made if need be.
        cases: how many.
        seed: 0 or more; each case takes its chance from the seed and its own number.
        format: ``"nifti"``, or ``"dicom"`` for one single-frame series per case (masks stay NIfTI).
        options: of all phantoms.
        progress: called with (cases done, cases) after each case.

    Returns:
        The folder.

    Raises:
        UsageError: no cases, a negative seed, an unknown format, or a folder that holds other cases.
        InputError: a file could not be written.
    """
    if cases < 1 or seed < 0:
        raise UsageError(f"{cases} cases and seed {seed} came; expected at least 1 case and a seed from 0")
    if format not in FORMATS:
        raise UsageError(f"no phantom format {format!r}; known are {', '.join(FORMATS)}")
    folder = Path(folder)
    values = "\n".join(f"  {i}: [{i}]" for i in range(22))
    write_text(folder / "dataset.yaml", DATASET_YAML.format(seed=seed, values=values))
    for number in range(1, cases + 1):
        phantom = make_phantom(case_rng(seed, number), options)
        _write_case(folder, number, phantom, seed, format)
        if progress is not None:
            progress(number, cases)
    return folder


def _write_case(folder: Path, number: int, phantom: Phantom, seed: int, format: str) -> None:
    image = folder / "train" / "MR" / f"Case{number}.nii.gz"
    write_labels(phantom.labels, phantom.scan, folder / "train" / "Mask" / f"mask_case{number}.nii.gz")
    _write_nifti(phantom, image)
    write_json(folder / "truth" / f"Case{number}.json", {**phantom.truth, "seed": seed, "case": number})


def _write_nifti(phantom: Phantom, path: Path) -> None:
    image = nib.Nifti1Image(phantom.scan.voxels, phantom.scan.affine)
    image.set_sform(phantom.scan.affine, code=1)
    image.set_qform(phantom.scan.affine, code=1)
    image.header.set_slope_inter(1, 0)
    image.header["descrip"] = b"cafrnet phantom (synthetic)"
    with whole_file(path) as temporary:
        nib.save(image, temporary)
