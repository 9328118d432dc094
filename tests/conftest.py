"""What many tests share: a tiny labelled dataset that a small network learns in seconds, and a model made by
hand (see ``handmade.py``).
"""

import logging
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from hypothesis import settings

from cafrnet.inference import load_model
from cafrnet.scan import Scan
from handmade import stairs, write_grey_model

# A job started in the background comes with Ctrl-C ignored, and hands that on; some tests press it.
signal.signal(signal.SIGINT, signal.default_int_handler)

# A busy machine is slow, not wrong: no example fails for the time it takes.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")


@pytest.fixture(autouse=True)
def _words_come_through() -> None:
    """A command with ``--quiet`` silences the process; the next test may want to hear what is logged."""
    logging.getLogger("cafrnet").setLevel(logging.NOTSET)


#: Structures of the tiny spine from below upwards, with their grey values.
TINY = ((1, 60), (11, 220), (2, 110), (12, 240), (3, 140), (13, 200), (4, 90))


def tiny_spine(seed: int, slices: int = 3, edge: int = 64) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return (image, labels, affine) in SpineMRI's array order (AP, SI, LR), 2 mm pixels, 4 mm slices."""
    rng = np.random.default_rng(seed)
    image = rng.integers(5, 25, (edge, edge, slices))
    labels = np.zeros((edge, edge, slices), np.uint8)
    low, front = 4 + int(rng.integers(0, 6)), edge // 2 - 8 + int(rng.integers(-4, 5))
    for identity, grey in TINY:
        height = 3 if 11 <= identity <= 19 else 9
        box = (slice(front, front + 16), slice(low, low + height))
        image[box] = grey + rng.integers(-8, 9, image[box].shape)
        labels[box] = identity
        low += height
    affine = np.array([[0, 0, 4.0, -5], [-2, 0, 0, 60], [0, 2, 0, -64], [0, 0, 0, 1]])
    return image.astype(np.int16), labels, affine


@pytest.fixture
def tiny_scan() -> Scan:
    image, _, affine = tiny_spine(0)
    return Scan(image, affine, source="tiny")


def write_tiny_dataset(root: Path, cases: int) -> Path:
    for folder in ("train/MR", "train/Mask"):
        (root / folder).mkdir(parents=True)
    for k in range(cases):
        image, labels, affine = tiny_spine(k)
        nib.save(nib.Nifti1Image(image, affine), root / f"train/MR/Case{k + 1}.nii.gz")
        nib.save(nib.Nifti1Image(labels, affine), root / f"train/Mask/mask_case{k + 1}.nii.gz")
    (root / "dataset.yaml").write_text("name: tiny\nvalues:\n  0: [0]\n")
    return root


@pytest.fixture(scope="session")
def tiny_dataset(tmp_path_factory) -> Path:
    return write_tiny_dataset(tmp_path_factory.mktemp("tiny"), 8)


@pytest.fixture(scope="session")
def real_data() -> Path:
    folder = os.environ.get("CAFRNET_REAL_DATA")
    if not folder:
        pytest.skip("CAFRNET_REAL_DATA is not set")
    return Path(folder)


@pytest.fixture(scope="session")
def grey_model(tmp_path_factory) -> Path:
    return write_grey_model(tmp_path_factory.mktemp("grey") / "run")


@pytest.fixture(scope="session")
def model(grey_model):
    return load_model(grey_model, threads=1, engine="onnxruntime")  # installed everywhere


@pytest.fixture
def stairs_scan() -> Scan:
    image, _, affine = stairs()
    return Scan(image, affine, source="stairs")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A real file system of 16 kB; skips where mounting is not allowed."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", str(folder)]
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        pytest.skip("mounting a small disk needs root")
    try:
        subprocess.run(mount, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no small disk can be mounted here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)
