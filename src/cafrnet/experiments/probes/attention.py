"""LAFR's attention maps (Eq. 5-8): do they stand out at boundaries and discs, as Sect. 3.2 says?

Axes: s = slice, H, W = model grid, h, w = a tap's own grid.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.ndimage import distance_transform_edt

from ...errors import UsageError
from ...evaluation.statistics import bootstrap_interval
from ...evaluation.tables import write_csv
from ...labels import TABLE
from ...learning.layers import LAFR
from ..layout import RunFolder
from .networks import cases_of, load_network, model_grid
from .runs import test_cases

#: Pixels of the model grid this close to an outline of the truth are boundary, on both sides of it.
BAND_PX = 2.0
RATIOS = ("boundary_to_interior", "disc_to_body", "body_rim_to_core")
COLUMNS = ("row", "tap", "channels", "pixels_per_cell", "ratio", "cases", "mean", "low", "high", "reason")
CASE_COLUMNS = ("row", "fold", "seed", "case", "tap", *RATIOS)
_DISCS, _BODIES = TABLE.of_kind("disc"), TABLE.of_kind("body")


@dataclass(frozen=True, eq=False)
class TapMap:
    """The attention of one tap on one case.

    Attributes:
        tap: ``"1/4"``: edge of the map over that of the image.
        channels: that A has, averaged in ``attention``.
        attention: [s, h, w], mean of A over the channels, 0 to 1.
    """

    tap: str
    channels: int
    attention: np.ndarray


def attention_maps(network: torch.nn.Module, images: torch.Tensor) -> list[TapMap]:
    """Run a network and catch what its LAFR modules compute.

    Args:
        network: any network with :class:`LAFR` in it.
        images: [s, 1, H, W].

    Raises:
        UsageError: the network has no LAFR.
    """
    modules = [m for m in network.modules() if isinstance(m, LAFR)]
    if not modules:
        raise UsageError("the network has no LAFR module; name a run trained with lafr=true")
    caught: dict[int, list[torch.Tensor]] = {n: [] for n in range(len(modules))}

    def catch(number: int):
        def hook(module: LAFR, inputs: tuple[torch.Tensor], _: Any) -> None:
            caught[number].append(module.attention(inputs[0]).mean(dim=1))

        return hook

    handles = [m.register_forward_hook(catch(n)) for n, m in enumerate(modules)]
    try:
        with torch.no_grad():
            for chunk in images.split(4):
                network(chunk)
    finally:
        for handle in handles:
            handle.remove()
    found = []
    for number, module in enumerate(modules):
        attention = torch.cat(caught[number]).numpy()
        scale = images.shape[-1] // attention.shape[-1]
        found.append(TapMap(f"1/{scale}", module.pointwise.in_channels, attention))
    return found


def ratios(attention: np.ndarray, truth: np.ndarray) -> dict[str, float | None]:
    """Compare A at boundaries with A inside, and A in discs with A in vertebral bodies.

    Args:
        attention: [s, h, w], any coarser grid than the truth's; each cell stands for all its pixels.
        truth: [s, H, W] class, -1 where not certain.

    Returns:
        ``boundary_to_interior``: mean A over pixels within 2 px of an outline of a structure 1-19, over mean
        A of pixels inside structures and farther from any outline. ``disc_to_body``: mean A in discs over
        mean A in bodies. ``body_rim_to_core``: the first ratio within bodies alone; discs are so thin that
        they are nearly all boundary, and would make any map that marks discs seem to mark boundaries. 1 is no
        difference; None where one side is empty or its mean is 0.
    """
    scale = truth.shape[-1] // attention.shape[-1]
    fine = attention.repeat(scale, axis=1).repeat(scale, axis=2)
    inside = (truth >= 1) & (truth <= 19)
    near = np.stack([boundary_band(t) for t in np.where(inside, truth, 0)])
    body = np.isin(truth, _BODIES)
    sides = {
        "boundary_to_interior": (near, inside & ~near),
        "disc_to_body": (np.isin(truth, _DISCS), body),
        "body_rim_to_core": (body & near, body & ~near),
    }
    return {name: _ratio(fine, first, second) for name, (first, second) in sides.items()}


def boundary_band(labels: np.ndarray, width_px: float = BAND_PX) -> np.ndarray:
    """Mark the pixels of [H, W] labels whose centre is within ``width_px`` of a border between two labels.

    A border runs halfway between two neighbouring pixels of different labels, so the pixels on both sides of
    it lie 0.5 px away, the next ones 1.5 px.
    """
    edge = np.zeros(labels.shape, bool)
    across, down = labels[:, 1:] != labels[:, :-1], labels[1:] != labels[:-1]
    edge[:, 1:] |= across
    edge[:, :-1] |= across
    edge[1:] |= down
    edge[:-1] |= down
    if not edge.any():
        return edge
    return distance_transform_edt(~edge) + 0.5 <= width_px


def _ratio(values: np.ndarray, first: np.ndarray, second: np.ndarray) -> float | None:
    if not first.any() or not second.any() or values[second].mean() == 0:
        return None
    return float(values[first].mean() / values[second].mean())


def attention_ratios(runs: Sequence[RunFolder], data: str | Path, out: Path, *, seed: int = 0) -> Path:
    """Measure the maps of all test cases of some runs.

    Args:
        runs: trained with LAFR.
        data: the dataset.
        out: folder for ``lafr.csv`` (mean ratio per row and tap with its interval over cases) and
            ``lafr_cases.csv``.
        seed: of the intervals.

    Returns:
        The path of ``lafr.csv``. Seeds of a case are averaged first.

    Raises:
        UsageError: no runs, or a network without LAFR. InputError: a case or its weights can't be read.
    """
    if not runs:
        raise UsageError("no trained runs came; train a row with LAFR first")
    lines, taps = [], {}
    for run in runs:
        network, recipe = load_network(run.path)
        for case, images, truth, codes in model_grid(cases_of(data, test_cases(run)), recipe):
            for tap in attention_maps(network, images):
                taps[run.row, tap.tap] = tap
                found = ratios(tap.attention, codes.singleton[truth].numpy())
                place = {"row": run.row, "fold": run.fold, "seed": run.seed, "case": case, "tap": tap.tap}
                lines.append({**place, **found})
    write_csv(out / "lafr_cases.csv", CASE_COLUMNS, lines)
    rng = np.random.default_rng(seed)
    rows = [_summary(row, tap, ratio, lines, rng) for (row, _), tap in taps.items() for ratio in RATIOS]
    write_csv(out / "lafr.csv", COLUMNS, rows)
    return out / "lafr.csv"


def _summary(
    row: str, tap: TapMap, ratio: str, lines: Sequence[dict[str, Any]], rng: np.random.Generator
) -> dict[str, Any]:
    by_case: dict[str, list[float]] = {}
    for line in lines:
        if (line["row"], line["tap"]) == (row, tap.tap) and line[ratio] is not None:
            by_case.setdefault(line["case"], []).append(line[ratio])
    values = np.array([np.mean(v) for v in by_case.values()])
    interval = bootstrap_interval(values, rng)
    return {
        "row": row,
        "tap": tap.tap,
        "channels": tap.channels,
        "pixels_per_cell": int(tap.tap.removeprefix("1/")),
        "ratio": ratio,
        "cases": len(values),
        "mean": float(values.mean()) if len(values) else None,
        "low": interval.low,
        "high": interval.high,
        "reason": interval.reason,
    }
