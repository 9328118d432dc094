"""Write a dataset of phantoms in the SpineMRI layout, as NIfTI or as DICOM series."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from ..errors import UsageError
from ..files import whole_file, write_json, write_text
from ..labels import TABLE
from ..processes import pool
from ..scan import Scan, write_labels
from .options import DEFAULT, PhantomOptions
from .phantom import Phantom, make_phantom
from .truth import VERSION

FORMATS = ("nifti", "dicom")
#: Series description, echo, repetition and inversion time in ms, by contrast.
SEQUENCES: dict[str, tuple[str, float, float, float | None]] = {
    "t2": ("T2 TSE SAG", 102.0, 3500.0, None),
    "t1": ("T1 TSE SAG", 9.8, 550.0, None),
    "stir": ("STIR TSE SAG", 68.0, 4200.0, 160.0),
    "any": ("NO SEQUENCE SAG", 50.0, 2000.0, None),
}
DATASET_YAML = """\
# Synthetic scans, drawn by a program: they show no patient. What is true of each stands in truth/.
name: phantom
source: procedural sagittal spine phantoms, synthetic, seed {seed}
licence: CC0-1.0
citation: "cafrnet procedural spine phantoms (synthetic)"
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
    options: PhantomOptions = DEFAULT,
    jobs: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Write phantoms ``Case1`` to ``Case{cases}``: ``train/MR``, ``train/Mask``, ``truth``, ``dataset.yaml``.

    The same seed gives the same files, byte for byte. A case's truth is written last, so a case that has it
    is complete: it is left as it is when it was made with the same seed, options and format, and a case that
    was interrupted is made again.

    Args:
        folder: made if need be.
        cases: how many.
        seed: 0 or more; each case takes its chance from the seed and its own number.
        format: ``"nifti"``, or ``"dicom"`` for one single-frame series per case, in a folder
            ``train/MR/Case{N}``; masks stay NIfTI, voxel for voxel on the grid that reading the series gives.
        options: of all phantoms.
        jobs: processes that draw; the files do not depend on it.
        progress: called with (cases done, cases) after each case.

    Returns:
        The folder.

    Raises:
        UsageError: no cases, a negative seed, an unknown format, or a folder that holds another dataset or
            cases made with other settings.
        InputError: a file could not be written.
    """
    if cases < 1 or seed < 0:
        raise UsageError(f"{cases} cases and seed {seed} came; expected at least 1 case and a seed from 0")
    if jobs < 1:
        raise UsageError(f"{jobs} jobs came; at least 1 was expected")
    if format not in FORMATS:
        raise UsageError(f"no phantom format {format!r}; known are {', '.join(FORMATS)}")
    folder = Path(folder)
    _claim(folder, seed)
    draw = partial(_draw_case, folder, seed, format, options)
    with _mapping(jobs) as mapped:
        for number, _ in enumerate(mapped(draw, range(1, cases + 1)), 1):
            if progress is not None:
                progress(number, cases)
    return folder


@contextmanager
def _mapping(jobs: int) -> Iterator[Callable[..., Iterable[None]]]:
    """Give ``map``, or that of a pool of processes."""
    if jobs == 1:
        yield map
        return
    with pool(jobs) as processes:
        yield processes.map


def _draw_case(folder: Path, seed: int, format: str, options: PhantomOptions, number: int) -> None:
    """Draw and write one case, unless it is complete."""
    settings = {"seed": seed, "case": number, "format": format, "options": options.as_dict()}
    if not _is_complete(folder, number, settings):
        _write_case(folder, number, make_phantom(case_rng(seed, number), options), settings)


def _claim(folder: Path, seed: int) -> None:
    """Write dataset.yaml, unless the folder belongs to another dataset."""
    text = DATASET_YAML.format(seed=seed, values="\n".join(f"  {t.id}: [{t.id}]" for t in TABLE))
    there = folder / "dataset.yaml"
    if there.is_file():
        if there.read_text(encoding="utf-8") != text:
            raise UsageError(f"{folder} holds another dataset (see {there}); choose an empty folder")
        return
    if folder.is_dir() and any(folder.iterdir()):
        raise UsageError(f"{folder} is not empty and holds no phantoms; choose an empty folder")
    write_text(there, text)


def _is_complete(folder: Path, number: int, settings: dict[str, Any]) -> bool:
    """Whether a case is there and was made with these settings.

    Raises:
        UsageError: it was made with others.
    """
    truth = folder / "truth" / f"Case{number}.json"
    if not truth.is_file():
        return False
    found = json.loads(truth.read_text(encoding="utf-8"))
    expected = json.loads(json.dumps({"version": VERSION, **settings}))
    if differing := [key for key, value in expected.items() if found.get(key) != value]:
        raise UsageError(
            f"{truth} was made with another {', '.join(differing)}; choose another folder or remove this one"
        )
    return _image(folder, number, settings["format"]).exists() and _mask(folder, number).exists()


def _image(folder: Path, number: int, format: str) -> Path:
    return folder / "train" / "MR" / (f"Case{number}" if format == "dicom" else f"Case{number}.nii.gz")


def _mask(folder: Path, number: int) -> Path:
    return folder / "train" / "Mask" / f"mask_case{number}.nii.gz"


def _write_case(folder: Path, number: int, phantom: Phantom, settings: dict[str, Any]) -> None:
    """Write image, mask and, last, the truth."""
    scan, labels, truth = phantom.scan, phantom.labels, {**phantom.truth, **settings}
    image = _image(folder, number, settings["format"])
    if settings["format"] == "dicom":
        from ..scan.dicom_writer import upright

        turned = upright(scan)
        labels = scan.frame.to_sagittal(labels).transpose(2, 1, 0)
        truth["grid"] = {"shape": list(labels.shape), "affine": turned.affine.tolist()}
        scan = turned
        _write_dicom(scan, image, number, truth)
    else:
        _write_nifti(scan, image)
    write_labels(labels, scan, _mask(folder, number))
    write_json(folder / "truth" / f"Case{number}.json", truth)


def _write_nifti(scan: Scan, path: Path) -> None:
    image = nib.Nifti1Image(scan.voxels, scan.affine)
    image.set_sform(scan.affine, code=1)
    image.set_qform(scan.affine, code=1)
    image.header.set_slope_inter(1, 0)
    image.header["descrip"] = b"cafrnet phantom (synthetic)"
    with whole_file(path) as temporary:
        nib.save(image, temporary)


def _write_dicom(scan: Scan, path: Path, number: int, truth: dict[str, Any]) -> None:
    from ..scan.dicom_writer import write_series

    description, echo, repetition, inversion = SEQUENCES[truth["contrast"]]
    if path.exists():  # left over from an interrupted run: its truth is missing
        shutil.rmtree(path)
    write_series(
        scan,
        path,
        description=f"{description} PHANTOM",
        seed_uid=f"phantom {json.dumps([truth['seed'], number, truth['options']], sort_keys=True)}",
        echo_time_ms=echo,
        repetition_time_ms=repetition,
        inversion_time_ms=inversion,
        patient_id=f"PHANTOM-{truth['seed']}-{number}",
    )
