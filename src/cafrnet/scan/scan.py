"""One scan: voxels and where they lie in the patient."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from ..errors import InputError
from .orientation import SagittalFrame, orthonormal, sagittal_frame


@dataclass(frozen=True, eq=False)
class Scan:
    """A volume in its own array order, and the affine that places it.

    Attributes:
        voxels: three-dimensional array, any real dtype, never modified; booleans become 0 and 1.
        affine: 4 x 4, array index -> world millimetres in RAS (right, anterior, superior), as nibabel has it.
            It is kept as it came; outputs carry it unchanged.
        source: where the scan came from, for messages.
        shape_on_disk: the shape in the file, which may have trailing axes of length 1.
        header: what the writer needs to give the same geometry back (format-specific).

    Raises:
        InputError: not three-dimensional, no real numbers, NaN or infinite voxels, nothing but one value,
            an affine that places nothing, or voxels of a size that no scan has (see
            :func:`cafrnet.scan.orientation.orthonormal`).
    """

    voxels: np.ndarray
    affine: np.ndarray
    source: str = "array"
    shape_on_disk: tuple[int, ...] = ()
    header: Mapping[str, Any] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        voxels, source = np.asarray(self.voxels), self.source
        if voxels.ndim != 3 or 0 in voxels.shape:
            raise InputError(
                f"{source}: an array of shape {voxels.shape} came, a single three-dimensional volume was "
                "expected; choose one volume of a series and save it alone"
            )
        if voxels.dtype.kind not in "uifb":
            raise InputError(f"{source}: voxels of type {voxels.dtype} came, real numbers were expected")
        if voxels.dtype.kind == "f" and not np.isfinite(voxels).all():
            n = int(voxels.size - np.isfinite(voxels).sum())
            raise InputError(f"{source}: {n} voxels are NaN or infinite; repair or export the scan again")
        if voxels.min() == voxels.max():
            raise InputError(f"{source}: every voxel has the value {voxels.flat[0]}; there is no image in it")
        if voxels.dtype.kind == "b":
            voxels = voxels.astype(np.uint8)  # numbers from here on: truth values can't be subtracted
        object.__setattr__(self, "voxels", voxels)
        object.__setattr__(self, "affine", np.array(self.affine, np.float64))
        if not self.shape_on_disk:
            object.__setattr__(self, "shape_on_disk", voxels.shape)
        _ = self.rigid_affine  # a bad affine is an error now, not later

    @cached_property
    def rigid_affine(self) -> np.ndarray:
        """The affine with orthonormal directions, used inside; warns once where it differs."""
        return orthonormal(self.affine, self.source)

    @cached_property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Distance of neighbouring voxel centres along each array axis, in mm."""
        return tuple(float(s) for s in np.linalg.norm(self.affine[:3, :3], axis=0))  # type: ignore[return-value]

    @cached_property
    def frame(self) -> SagittalFrame:
        """How this array turns into sagittal slices.

        Raises:
            InputError: the scan is not sagittal.
        """
        return sagittal_frame(self.rigid_affine, self.voxels.shape, self.source)
