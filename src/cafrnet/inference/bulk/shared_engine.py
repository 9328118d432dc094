"""One network for many threads: the slices of whoever waits go through it together.

Slices of different scans fit into one batch, since all of them are on the model grid.
"""

from __future__ import annotations

import threading

import numpy as np

from ..engines import Engine


class SharedEngine:
    """An engine that may be called by several threads; it runs one batch at a time, with all of its threads.

    No thread of its own: the caller whose turn it is also serves those that wait behind it, in the order in
    which they came.

    Args:
        engine: runs the network.
        slices_at_once: most slices of a common batch. A larger single call goes through as it came.
    """

    def __init__(self, engine: Engine, slices_at_once: int) -> None:
        self._engine, self._most = engine, slices_at_once
        self._waiting: list[_Call] = []
        self._guard, self._turn = threading.Lock(), threading.Lock()
        self.name, self.metadata = engine.name, engine.metadata
        self.image_shape, self.logits_shape = engine.image_shape, engine.logits_shape

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Return logits [n, classes, y, x] of images [n, 1, y, x].

        Raises:
            Exception: whatever the engine raised for these images; other callers' images can't cause it.
        """
        mine = _Call(images)
        with self._guard:
            self._waiting.append(mine)
        with self._turn:
            while not mine.ended:
                self._serve(self._next())
        if mine.error is not None:
            raise mine.error
        assert mine.logits is not None
        return mine.logits

    def _next(self) -> list[_Call]:
        """Take the calls that go through the network together: as many as fit, at least one."""
        with self._guard:
            count, slices = 1, len(self._waiting[0].images)
            while count < len(self._waiting):
                slices += len(self._waiting[count].images)
                if slices > self._most:
                    break
                count += 1
            taken, self._waiting = self._waiting[:count], self._waiting[count:]
        return taken

    def _serve(self, calls: list[_Call]) -> None:
        """Run the calls as one batch, or each alone where the common batch fails."""
        try:
            images = calls[0].images if len(calls) == 1 else np.concatenate([call.images for call in calls])
            logits = self._engine(images)
            if len(logits) != len(images):
                raise ValueError(f"{len(logits)} logits came for {len(images)} images")
        except Exception as error:
            if len(calls) == 1:
                calls[0].error = error
            else:
                for call in calls:
                    self._serve([call])
            return
        first = 0
        for call in calls:
            call.logits = logits[first : first + len(call.images)]
            first += len(call.images)


class _Call:
    """Images of one caller, and what became of them."""

    def __init__(self, images: np.ndarray) -> None:
        self.images = images
        self.logits: np.ndarray | None = None
        self.error: Exception | None = None

    @property
    def ended(self) -> bool:
        return self.logits is not None or self.error is not None
