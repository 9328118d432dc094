"""Folders of tiny drawn spines."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from drawn_spine import draw_image, draw_labels, save


@pytest.fixture
def spinemri(tmp_path: Path) -> Callable[..., Path]:
    """A function that makes a SpineMRI folder with the cases of the given numbers."""

    def make(*numbers: int, values: str = "values: {0: [0, 20]}", **drawing: object) -> Path:
        root = tmp_path / "spine"
        for n in numbers:
            save(root / f"train/MR/Case{n}.nii.gz", draw_image(n))
            save(root / f"train/Mask/mask_case{n}.nii.gz", draw_labels(**drawing))  # type: ignore[arg-type]
        if values:
            (root / "dataset.yaml").write_text(f"name: drawn\n{values}\n")
        return root

    return make


@pytest.fixture
def real_data() -> Path:
    """The folder of real scans."""
    if not (folder := os.environ.get("CAFRNET_REAL_DATA")):
        pytest.skip("CAFRNET_REAL_DATA names no folder")
    return Path(folder)
