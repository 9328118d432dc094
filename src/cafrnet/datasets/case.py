"""One scan of one patient, with or without a truth, and a dataset as a list of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ..errors import InputError, UsageError, nearest
from ..labels import UNKNOWN, ValueSets
from ..scan import Scan, is_segmentation, read_labels, read_scan
from .description import Description


@dataclass(frozen=True)
class Case:
    """One scan of one patient.

    Attributes:
        id: unique within its dataset; the stem of its image file.
        image: file or DICOM folder.
        labels: truth file, or None.
        patient: who it is; two scans of one patient share it, and never land in different parts of a split.
        sets: what the truth's values stand for.
        dataset: name of the dataset it belongs to.
    """

    id: str
    image: Path
    labels: Path | None
    patient: str
    sets: ValueSets = field(repr=False)
    dataset: str = ""

    def read(self) -> Scan:
        """Read the image."""
        return read_scan(self.image)

    def read_truth(self, scan: Scan | None = None) -> np.ndarray:
        """Read the truth in the dataset's own values, in the image's array order.

        Args:
            scan: the image, if already read: its shape is compared.

        Returns:
            Integers, three axes. Mask and image are paired by array index; where the affines of the two
            files differ, the image's is the one that counts (the data doctor reports it).

        Raises:
            InputError: no truth, a ``.seg.nrrd``, another shape, or a value outside the dataset's table of
                values.
        """
        if self.labels is None:
            raise InputError(f"case {self.id} has no label map")
        if is_segmentation(self.labels):
            raise InputError(
                f"{self.labels}: the values of a .seg.nrrd are Slicer's own, and mean nothing without the "
                "names of its segments; bring it into the dataset with 'cafrnet data add-corrections'"
            )
        truth, _ = read_labels(self.labels)
        if scan is not None and truth.shape != scan.voxels.shape:
            raise InputError(
                f"{self.labels}: its shape {truth.shape} is not that of the image, {scan.voxels.shape}; "
                "resample the labels to the image"
            )
        self.sets.check(truth, str(self.labels))
        return truth

    def truth_ids(self) -> frozenset[int]:
        """Return the ids that the truth marks: the principal ids of its values, without 0 and unknown.

        Raises:
            InputError: as :meth:`read_truth`.
        """
        values = np.flatnonzero(np.bincount(self.read_truth().ravel()))
        return frozenset(self.sets.values[int(v)][0] for v in values) - {0, UNKNOWN}


@dataclass(frozen=True)
class Dataset:
    """The cases of one dataset.

    Attributes:
        name: from ``dataset.yaml`` or from the adapter.
        root: the folder.
        cases: in natural order of their ids.
        sets: what the truth's values stand for.
        licence: as the dataset states it, for the model card; empty when unknown.
        citation: likewise.
        orphans: label files that no image belongs to.
    """

    name: str
    root: Path
    cases: tuple[Case, ...]
    sets: ValueSets
    licence: str = ""
    citation: str = ""
    orphans: tuple[Path, ...] = ()

    @classmethod
    def of(
        cls, root: Path, about: Description, cases: tuple[Case, ...], orphans: Iterable[Path] = ()
    ) -> Dataset:
        """Put together what an adapter found."""
        return cls(about.name, root, cases, about.sets, about.licence, about.citation, tuple(orphans))

    def __iter__(self) -> Iterator[Case]:
        return iter(self.cases)

    def __len__(self) -> int:
        return len(self.cases)

    @property
    def by_id(self) -> Mapping[str, Case]:
        """Cases by id."""
        return {case.id: case for case in self.cases}

    def select(self, ids: list[str]) -> list[Case]:
        """Return the cases with these ids, in the order given.

        Raises:
            UsageError: an id that the dataset does not have.
        """
        known = self.by_id
        for identity in ids:
            if identity not in known:
                raise UsageError(f"{self.root} has no case {identity!r}{nearest(identity, known)}")
        return [known[i] for i in ids]
