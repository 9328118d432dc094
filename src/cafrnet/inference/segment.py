"""One scan through the model and back to its own grid."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..anatomy.checks import Flag
from ..anatomy.naming import Naming
from ..labels import TABLE
from ..preprocessing import Prepared, prepare
from ..scan import Scan, write_labels
from ..words import counted
from .answers import answers
from .assembly import Assembly, model_to_world
from .model import Model
from .plausibility import measure
from .slices import slice_flags
from .triage import UNNAMED, Triage, judge, outline_dice
from .upright import upside_down_flags
from .voids import void_flags
from .watch import Watch


@dataclass(frozen=True, eq=False)
class Segmentation:
    """A label map and the scan it belongs to.

    Attributes:
        labels: uint8 ids of the label table, in the scan's own array order.
        scan: the scan.
        timings_s: seconds of each step.
        naming: how sure the names are, and what they could be instead; None where post-processing is off.
        triage: pass, review or fail, and why; ``review`` where post-processing is off.
    """

    labels: np.ndarray
    scan: Scan
    timings_s: dict[str, float] = field(default_factory=dict)
    naming: Naming | None = None
    triage: Triage | None = None

    def __repr__(self) -> str:
        """Say in a few words what was found; the arrays are long."""
        verdict = self.triage.verdict if self.triage else "not judged"
        return f"<Segmentation of {self.scan.source}: {counted(len(self.names), 'structure')}, {verdict}>"

    @property
    def names(self) -> dict[int, str]:
        """Id -> name of the structures that were found."""
        return {int(i): TABLE[int(i)].name for i in np.unique(self.labels) if i in range(1, len(TABLE))}

    def record(self) -> dict[str, Any]:
        """Return what the scan's JSON says about what was found."""
        return {
            "structures": [name for _, name in sorted(self.names.items())],
            **(self.naming.record() if self.naming else {}),
            **(self.triage.record() if self.triage else {}),
        }

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the label map in the scan's own geometry; the file is whole or absent."""
        write_labels(self.labels, self.scan, path)


def segment_scan(scan: Scan, model: Model) -> Segmentation:
    """Find and name the structures of one scan.

    Args:
        scan: sagittal, in any array order.
        model: see :func:`load_model`. Which steps lead from its answer to names is an attribute of it.

    Returns:
        Labels on the scan's own grid. The network's answers for all classes are held for a few slices at a
        time; of all slices only what bodies and discs need for their names is kept, on the model grid.

    Raises:
        InputError: the scan is not sagittal, or the network gave something else than finite logits.
    """
    clock = _Clock()
    ready = prepare(scan, model.preprocessing)
    assembly = Assembly(scan, ready.grid, model)
    watch = Watch(model.num_classes, model.calibration)
    clock.lap("preprocess")
    for first, logits in answers(model, ready.images, scan.frame.spacing_mm[0]):
        clock.lap("model")
        watch.add(ready.images[first : first + len(logits)], logits)
        clock.lap("triage")
        assembly.add(first, logits)
        del logits  # before the next ones are made
        clock.lap("to_native_grid")
    naming = assembly.name()
    if naming is not None:
        naming = naming.with_flags(_of_picture(scan, ready, model, naming, watch))
    clock.lap("naming")
    labels = assembly.labels()
    clock.lap("to_native_grid")
    triage = UNNAMED
    if naming is not None:
        measures = measure(naming, watch, scan, ready.grid)
        outlines = outline_dice(naming, watch)
        triage = judge(naming, outlines, measures, model.calibration, model.postprocessing.off)
    clock.lap("triage")
    return Segmentation(labels, scan, clock.seconds, naming, triage)


def _of_picture(scan: Scan, ready: Prepared, model: Model, naming: Naming, watch: Watch) -> tuple[Flag, ...]:
    """Return what the picture, beside the structures found in it, says against their names."""
    to_grid = np.linalg.inv(model_to_world(scan, ready.grid))
    centres = np.array([e.centre_mm for e in naming.elements if e.kind == "body"]).reshape(-1, 3)
    bodies = centres @ to_grid[:3, :3].T + to_grid[:3, 3]
    return (
        *upside_down_flags(model, ready.images, watch),
        *void_flags(ready.images, bodies, (scan.frame.spacing_mm[0], ready.grid.pixel_mm)),
        *slice_flags(ready.images, ready.grid.pixel_mm),
    )


class _Clock:
    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._mark = time.perf_counter()

    def lap(self, name: str) -> None:
        now = time.perf_counter()
        self.seconds[name] = self.seconds.get(name, 0.0) + now - self._mark
        self._mark = now
