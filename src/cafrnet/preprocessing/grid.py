"""The model grid: where its square pixels lie on the native slices, and the way there and back.

Axes in this file: s = slice, r = native row (caudal), c = native column (posterior), y, x = model grid.
Pixel centres lie at whole numbers. A model pixel y has its centre at native row
``(y + 0.5) * pixel_mm / spacing_row + top - 0.5``, where ``top`` is the upper edge of the window.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from .picture import picture_columns, picture_rows

#: A box this many times as large as the window gets larger pixels. Below it what is lost is a pixel or two.
LARGER = 1.02
#: Training shows spines scaled by up to this much (``augmentation.scale``).
LARGEST = 1.25


@dataclass(frozen=True)
class ModelGrid:
    """A square window on the native in-plane grid; slices stay as they are.

    Attributes:
        native_shape: (slices, rows, columns) of the sagittal view.
        spacing_mm: native distance of rows and of columns.
        pixel_mm: edge of a model pixel, for this scan.
        size: model pixels along each side.
        top, left: the window's upper and left edge in native pixels (may be negative: padding).
    """

    native_shape: tuple[int, int, int]
    spacing_mm: tuple[float, float]
    pixel_mm: float
    size: int
    top: float
    left: float

    @classmethod
    def around(
        cls, sagittal: np.ndarray, spacing_mm: tuple[float, float], pixel_mm: float, size: int
    ) -> ModelGrid:
        """Centre the window on the smallest box that holds every voxel above the volume's minimum.

        Of a box that is too wide only the columns with picture count, and of one that is too tall for the
        largest pixels only the rows with picture: air has noise. A box still so tall is seen from its lower
        end upwards, where the sacrum is: a picture of the whole spine is.

        Args:
            sagittal: [s, r, c], any real dtype.
            spacing_mm: distance of rows and of columns.
            pixel_mm, size: of the model grid. Pixels grow, up to :data:`LARGEST` times, where the box is
                larger than the window: otherwise an end of the spine, or its back, would be lost.
        """
        image = sagittal > sagittal.min()
        box = [np.flatnonzero(image.any(axis=(0, 3 - axis)))[[0, -1]] for axis in (1, 2)]
        row, column = (step / (size * pixel_mm) for step in spacing_mm)
        if _length(box[0]) * row > LARGEST:
            box[0] = _narrowed(box[0], picture_rows(sagittal))
        if _length(box[1]) * column > LARGER:
            box[1] = _narrowed(box[1], picture_columns(sagittal))
        tall, wide = _length(box[0]) * row, _length(box[1]) * column
        pixel_mm *= min(max(tall, wide), LARGEST) if max(tall, wide) > LARGER else 1.0
        edges = []
        for (first, last), step, from_below in zip(box, spacing_mm, (tall > LARGEST, False), strict=True):
            length = size * pixel_mm / step
            edges.append(float(last + 1 - length if from_below else (first + last + 1 - length) / 2))
        return cls(tuple(sagittal.shape), spacing_mm, pixel_mm, size, edges[0], edges[1])  # type: ignore[arg-type]

    @property
    def scale(self) -> tuple[float, float]:
        """Native pixels per model pixel, along rows and columns."""
        return self.pixel_mm / self.spacing_mm[0], self.pixel_mm / self.spacing_mm[1]

    def sample(self, sagittal: np.ndarray, *, nearest: bool = False) -> np.ndarray:
        """Bring native slices to the model grid.

        Args:
            sagittal: [s, r, c].
            nearest: take the nearest value (labels) instead of averaging (images: a triangle filter as wide
                as the larger of the two pixels, so that nothing is aliased).

        Returns:
            [s, y, x]; float32 for images, the input's dtype (at most int32) for labels; 0 outside.
        """
        if nearest:
            rows, row_in = self._nearest(self.size, self.top, self.scale[0], self.native_shape[1])
            cols, col_in = self._nearest(self.size, self.left, self.scale[1], self.native_shape[2])
            return np.where(row_in[:, None] & col_in, sagittal[:, rows[:, None], cols], 0)
        span = self.size * self.scale[0], self.size * self.scale[1]
        before = max(0, int(np.ceil(-self.top))), max(0, int(np.ceil(-self.left)))
        after = tuple(
            max(0, int(np.ceil(edge + s - n)))
            for edge, s, n in zip((self.top, self.left), span, self.native_shape[1:], strict=True)
        )
        top, left = self.top + before[0], self.left + before[1]
        box = (left, top, left + span[1], top + span[0])
        out = np.empty((len(sagittal), self.size, self.size), np.float32)
        for one, native in zip(out, sagittal, strict=True):
            padded = np.pad(native.astype(np.float32), list(zip(before, after, strict=True)))
            box = (box[0], box[1], min(box[2], padded.shape[1]), min(box[3], padded.shape[0]))
            picture = Image.fromarray(padded).resize((self.size, self.size), Image.Resampling.BILINEAR, box)
            one[:] = np.asarray(picture)
        return out

    @staticmethod
    def _nearest(n: int, edge: float, scale: float, length: int) -> tuple[np.ndarray, np.ndarray]:
        position = np.floor((np.arange(n) + 0.5) * scale + edge).astype(int)
        return np.clip(position, 0, length - 1), (position >= 0) & (position < length)

    def native_positions(self) -> tuple[np.ndarray, np.ndarray]:
        """Where the native rows and columns lie on the model grid.

        Returns:
            (rows, columns): model coordinates of the native pixel centres, pixel centres at whole numbers.
            Centres outside the window lie below -0.5 or above ``size - 0.5``.
        """
        rows = (np.arange(self.native_shape[1]) + 0.5 - self.top) / self.scale[0] - 0.5
        cols = (np.arange(self.native_shape[2]) + 0.5 - self.left) / self.scale[1] - 0.5
        return rows, cols


def _length(ends: np.ndarray) -> float:
    """Return how many pixels lie between the first and the last, both included."""
    return float(ends[1] - ends[0] + 1)


def _narrowed(box: np.ndarray, picture: tuple[int, int]) -> np.ndarray:
    """Return the part of a box that holds picture: first and last pixel."""
    return np.array([max(box[0], picture[0]), min(box[1], picture[1])])
