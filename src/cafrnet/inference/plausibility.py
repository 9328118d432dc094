"""Measures of a scan and its column that say whether this is something the model knows.

Each is a number with a unit; the calibration keeps the range that it has on scans that the model knows. What
can't be measured is absent, never 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ..anatomy import Naming
from ..preprocessing import ModelGrid
from ..scan import Scan
from .watch import Watch

#: Slices in the middle of the scan whose noise is measured, and the window in their middle, in pixels.
NOISE_SLICES, NOISE_WINDOW = 3, 400
#: A range counts as at least this share of its upper end wide: few cases may all have come from one scanner.
LEAST_WIDTH = 0.1
#: Fewer bodies than this have no spread and no taper.
ENOUGH = 3


@dataclass(frozen=True)
class Measure:
    """One number, in words.

    Attributes:
        says: sentence with ``{value}`` and ``{usual}``.
        low, high: whether a value below, or above, the usual range counts against the scan.
        noun: of what has to be measurable in any scan that passes; empty for what may be absent.
        digits: after the point.
        grave: whether it can show, alone, that this is no spine that the model knows; what describes only how
            the scan was made never does.
    """

    says: str
    low: bool = True
    high: bool = True
    digits: int = 0
    grave: bool = False
    noun: str = ""


#: Every measure, in the order in which reasons are given.
MEASURES = {
    "bodies": Measure("vertebral bodies found: {value}, usual: {usual}", grave=True),
    "pitch_mm": Measure(
        "vertebrae follow each other every {value} mm, {usual} mm is usual",
        digits=1,
        grave=True,
        noun="the distance of vertebrae",
    ),
    "pitch_spread": Measure(
        "the distances of vertebrae vary by {value} of their median, {usual} is usual", low=False, digits=2
    ),
    "body_height_mm": Measure(
        "bodies are {value} mm high, {usual} mm is usual", digits=1, grave=True, noun="the height of bodies"
    ),
    "disc_share": Measure(
        "discs have {value} of the height of bodies, {usual} is usual", high=True, digits=2
    ),
    "tilt_deg": Measure(
        "the column leans {value} degrees from upright, in the patient or in the picture, {usual} is usual",
        low=False,
        grave=True,
        noun="the lean of the column",
    ),
    "turn_deg": Measure(
        "the column turns by up to {value} degrees from one vertebra to the next, {usual} is usual", low=False
    ),
    "taper": Measure(
        "from below upwards each body is larger than the one before by a factor of {value}, {usual} is usual",
        digits=2,
    ),
    "canal_behind_mm": Measure(
        "the spinal canal lies {value} mm behind the middle of the bodies, {usual} mm is usual",
        digits=1,
        grave=True,
        noun="the place of the spinal canal",
    ),
    "order": Measure(
        "what the network saw rises by {value} levels per level upwards, {usual} is usual",
        high=False,
        digits=2,
    ),
    "column_share": Measure("the column fills {value} of the picture, {usual} is usual", digits=3),
    "entropy": Measure(
        "the network's uncertainty within the column is {value} of the largest, {usual} is usual",
        low=False,
        digits=3,
    ),
    "snr": Measure("the signal is {value} times the noise, {usual} is usual", high=False, digits=1),
    "pixel_mm": Measure("pixels are {value} mm wide, {usual} mm is usual", low=False, digits=2),
    "slice_mm": Measure("slices lie {value} mm apart, {usual} mm is usual", low=False, digits=1),
    "width_mm": Measure("the slices cover {value} mm from side to side, {usual} mm is usual", high=False),
    "height_mm": Measure("the picture is {value} mm high, {usual} mm is usual", high=False),
}


def measure(naming: Naming, watch: Watch, scan: Scan, grid: ModelGrid) -> dict[str, float]:
    """Return what can be measured, keyed as in :data:`MEASURES`."""
    found = {**_of_column(naming, _upwards(scan)), **_of_picture(scan)}
    for name, value in (
        ("canal_behind_mm", watch.canal_behind),
        ("entropy", watch.mean_entropy),
        ("column_share", watch.column / watch.picture if watch.picture else None),
    ):
        if value is not None:
            found[name] = float(value) * (grid.pixel_mm if name == "canal_behind_mm" else 1.0)
    return {name: round(found[name], 4) for name in MEASURES if name in found}


def _upwards(scan: Scan) -> np.ndarray:
    """Return where the picture's columns point upwards: a unit vector in the world."""
    axis = scan.frame.axes[1]
    up = scan.rigid_affine[:3, axis] * (1 if scan.frame.flipped[1] else -1)
    return up / np.linalg.norm(up)


def _of_column(naming: Naming, upwards: np.ndarray) -> dict[str, float]:
    bodies = [e for e in naming.elements if e.kind == "body"]
    discs = [e for e in naming.elements if e.kind == "disc"]
    found = {"bodies": float(len(bodies))}
    if bodies:
        found["body_height_mm"] = float(np.median([b.height_mm for b in bodies]))
        if discs and found["body_height_mm"] > 0:
            found["disc_share"] = float(np.median([d.height_mm for d in discs]) / found["body_height_mm"])
    if len(bodies) < ENOUGH:
        return found
    centres = np.array([b.centre_mm for b in bodies])
    steps = np.diff(centres, axis=0)
    pitches = np.linalg.norm(steps, axis=1)
    found["pitch_mm"] = float(np.median(pitches))
    found["pitch_spread"] = float(pitches.std() / found["pitch_mm"])
    whole = centres[-1] - centres[0]
    upright = min(whole[2], whole @ upwards)  # in the patient, and in the picture that the network saw
    found["tilt_deg"] = float(np.degrees(np.arccos(np.clip(upright / np.linalg.norm(whole), -1, 1))))
    along = steps / pitches[:, None]
    found["turn_deg"] = float(
        np.degrees(np.arccos(np.clip((along[1:] * along[:-1]).sum(axis=1), -1, 1))).max()
    )
    inner = bodies[1:-1]  # those at the ends may be cut
    if len(inner) >= ENOUGH:
        found["taper"] = float(np.exp(_slope(np.log([b.volume_mm3 for b in inner]))))
    expected = [_expected(b.evidence) for b in bodies if b.evidence]
    if len(expected) >= ENOUGH:
        found["order"] = _slope(np.array(expected))
    return found


def _expected(evidence: tuple[float, ...]) -> float:
    """Return the mean level (0 = L5) that the network saw in a body."""
    p = np.exp(np.array(evidence) - max(evidence))
    return float((p * np.arange(len(p))).sum() / p.sum())


def _slope(values: np.ndarray) -> float:
    """Return the slope of a line through values at 0, 1, 2 ..."""
    return float(np.polyfit(np.arange(len(values)), values, 1)[0])


def _of_picture(scan: Scan) -> dict[str, float]:
    sagittal = scan.frame.to_sagittal(scan.voxels)
    slices, rows, _ = sagittal.shape
    across, down, front = scan.frame.spacing_mm
    found = {
        "pixel_mm": max(down, front),
        "slice_mm": across,
        "width_mm": slices * across,
        "height_mm": rows * down,
    }
    first = max(0, (slices - NOISE_SLICES) // 2)
    window = tuple(
        slice(max(0, (n - NOISE_WINDOW) // 2), (n + NOISE_WINDOW) // 2) for n in sagittal.shape[1:]
    )
    ratio = signal_to_noise(sagittal[first : first + NOISE_SLICES, *window])
    return found if ratio is None else {**found, "snr": ratio}


def signal_to_noise(slices: np.ndarray) -> float | None:
    """Estimate how many times the noise the signal is.

    The noise is the spread of what is left after each pixel's neighbourhood is subtracted by the mask
    1 -2 1 / -2 4 -2 / 1 -2 1, which no plane and no straight edge along an axis survives; the spread is taken
    from the median, so that the few pixels at other edges do not count. The signal is the mean over the
    brighter half of what is not the volume's minimum.

    Args:
        slices: [s, r, c], any real dtype.

    Returns:
        None where it can't be told: too small, or no noise at all.

    Source: J. Immerkaer, "Fast noise variance estimation", Computer Vision and Image Understanding 64, 1996.
    Differs from it: median instead of mean, and only where there is a picture.
    """
    if min(slices.shape[1:]) < 3:
        return None
    a = slices.astype(np.float32)
    rows = a[:, :-2] - 2 * a[:, 1:-1] + a[:, 2:]
    left = rows[:, :, :-2] - 2 * rows[:, :, 1:-1] + rows[:, :, 2:]
    inner = a[:, 1:-1, 1:-1]
    picture = inner > a.min()
    if not picture.any():
        return None
    bright = picture & (inner >= np.median(inner[picture]))
    noise = float(np.median(np.abs(left[bright]))) / 0.6745 / 6
    return float((inner[bright] - a.min()).mean()) / noise if noise > 0 else None


def outside(
    found: Mapping[str, float], ranges: Mapping[str, tuple[float, float]], margin: float
) -> list[tuple[str, float, bool]]:
    """Return (sentence, how many widths outside, whether grave) of each measure beyond range and margin.

    Below a range of positive numbers widths are counted as ratios, from 10 to 40 as from 2.5 to 10: a range
    that spans decades could never be left by differences.
    """
    reasons = []
    for name, about in MEASURES.items():
        if name not in found or name not in ranges:
            continue
        low, high = ranges[name]
        above = (found[name] - high) / max(high - low, LEAST_WIDTH * abs(high), 1e-6)
        off = max(_below(found[name], low, high) if about.low else 0.0, above if about.high else 0.0)
        if off > margin:
            value, usual = f"{found[name]:.{about.digits}f}", _usual(low, high, about)
            reasons.append((about.says.format(value=value, usual=usual), off, about.grave))
    return reasons


def _below(value: float, low: float, high: float) -> float:
    """Return how many widths a value lies below a range."""
    if low <= 0:
        return (low - value) / max(high - low, LEAST_WIDTH * abs(high), 1e-6)
    if value <= 0:
        return np.inf
    return float(np.log(low / value) / max(np.log(high / low), np.log1p(LEAST_WIDTH)))


def unmeasured(found: Mapping[str, float], ranges: Mapping[str, tuple[float, float]]) -> list[str]:
    """Return a sentence on what has to be known of every scan and could not be measured, or none."""
    nouns = [m.noun for name, m in MEASURES.items() if m.noun and name in ranges and name not in found]
    return [f"could not be measured: {', '.join(nouns)}"] if nouns else []


def _usual(low: float, high: float, about: Measure) -> str:
    a, b = f"{low:.{about.digits}f}", f"{high:.{about.digits}f}"
    if about.low and about.high:
        return f"{a} to {b}"
    return f"at least {a}" if about.low else f"at most {b}"
