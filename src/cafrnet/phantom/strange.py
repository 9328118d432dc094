"""Scans that a lumbar model does not know: what triage must not let pass.

Some are drawn from nothing (noise, a bottle, a head), some are phantoms of the wrong region, and some are a
good scan with something wrong with it: a header that lies, planes of another direction, metal. The last can
be made from any scan, a phantom's or a real one's.

Array order in this file: that of SpineMRI (antero-posterior, cranio-caudal, left-right), index 0 growing to
the back and index 1 upwards; a scan in another order is brought there and back.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from scipy import ndimage

from ..errors import UsageError, nearest
from ..labels import TABLE
from ..scan import Scan
from .head import draw_head
from .options import SMALL
from .phantom import make_phantom

#: Axes of the array order of this file: to the back, upwards, to the right.
PLAIN = np.array([[0.0, 0, 1], [-1, 0, 0], [0, 1, 0]])
#: A cervical pitch is about half of a lumbar one.
CERVICAL_SCALE = 0.5
#: Radius of the signal void around a pedicle screw, in mm: smallest and largest.
VOID_MM = (13.0, 20.0)


@dataclass(frozen=True)
class Strange:
    """One kind of strange scan.

    Attributes:
        what: for people.
        make: (source of chance, scan to start from, its labels) -> scan. Kinds that are drawn from nothing
            take at most the grid and the grey values from the scan.
        uses_base: whether the scan matters at all.
        may_pass: whether nothing in the picture can tell it from a good scan.
    """

    what: str
    make: Callable[[np.random.Generator, Scan, np.ndarray], Scan]
    uses_base: bool = True
    may_pass: bool = False


def strange_scan(
    kind: str,
    rng: np.random.Generator | int,
    base: tuple[Scan, np.ndarray] | None = None,
) -> Scan:
    """Make one strange scan.

    Args:
        kind: a key of :data:`STRANGE`.
        rng: source of chance, or a seed.
        base: (scan, its label map of ids) to start from, sagittal, in any array order; a phantom where None.

    Raises:
        UsageError: no such kind; the nearest is named.
    """
    if kind not in STRANGE:
        raise UsageError(f"no kind of strange scan {kind!r}{nearest(kind, STRANGE)}")
    rng = rng if isinstance(rng, np.random.Generator) else np.random.default_rng(rng)
    if base is None:
        drawn = make_phantom(rng, replace(SMALL, contrast="t2"))
        base = drawn.scan, drawn.labels
    made = STRANGE[kind].make(rng, *_plain(*base))
    return replace(made, source=f"{kind} made of {base[0].source}")


def _plain(scan: Scan, labels: np.ndarray) -> tuple[Scan, np.ndarray]:
    """Bring scan and labels to this file's array order, with an affine of plain axes."""
    frame = scan.frame
    voxels, ids = (frame.to_sagittal(a)[:, ::-1].transpose(2, 1, 0) for a in (scan.voxels, labels))
    step = np.array([frame.spacing_mm[2], frame.spacing_mm[1], frame.spacing_mm[0]])
    affine = np.eye(4)
    affine[:3, :3] = PLAIN * step
    affine[:3, 3] = -affine[:3, :3] @ ((np.array(voxels.shape) - 1) / 2)
    return Scan(np.ascontiguousarray(voxels), affine), np.ascontiguousarray(ids)


def _as(scan: Scan, voxels: np.ndarray) -> Scan:
    """Return another picture under the same header, in the same type."""
    low, high = float(scan.voxels.min()), float(scan.voxels.max())
    return Scan(np.clip(voxels, low, high).astype(scan.voxels.dtype), scan.affine)


def _noise(rng: np.random.Generator, scan: Scan, _: np.ndarray) -> Scan:
    sigma = float(scan.voxels.mean()) / 1.25  # of a Rayleigh distribution, whose mean is 1.25 sigma
    return _as(scan, rng.rayleigh(sigma, scan.voxels.shape))


def _bottle(rng: np.random.Generator, scan: Scan, _: np.ndarray) -> Scan:
    n = scan.voxels.shape
    across, up = ((np.arange(m) / m - 0.5) for m in n[:2])
    inside = ((across / 0.38) ** 2)[:, None, None] + ((up / 0.42) ** 2)[:, None] + np.zeros(n[2]) < 1
    bright = 0.6 * float(scan.voxels.max())
    return _as(scan, np.abs(bright * inside + rng.normal(0, 0.02 * bright, n)))


def _head(rng: np.random.Generator, scan: Scan, _: np.ndarray) -> Scan:
    bright = float(np.percentile(scan.voxels, 99))
    step = tuple(float(s) for s in scan.spacing_mm)
    return _as(scan, bright * draw_head(rng, scan.voxels.shape, step))


def _cervical(rng: np.random.Generator, scan: Scan, _: np.ndarray) -> Scan:
    """A straight column of half the size, under a head that takes the upper third of the picture."""
    drawn = make_phantom(rng, replace(SMALL, fov=("L2", "T9"), contrast="t2", curvature=0.5)).scan
    rows = drawn.voxels.shape[1] // 2
    head = np.zeros((drawn.voxels.shape[0], 2 * rows, drawn.voxels.shape[2]), np.float32)
    step = tuple(CERVICAL_SCALE * float(s) for s in drawn.spacing_mm)
    head[:] = np.percentile(drawn.voxels, 99) * draw_head(rng, head.shape, step, radius_mm=60.0)
    voxels = np.concatenate([drawn.voxels, head[:, rows:].astype(drawn.voxels.dtype)], axis=1)
    affine = drawn.affine.copy()
    affine[:3, :3] *= CERVICAL_SCALE
    return Scan(voxels, affine)


def _thoracic(rng: np.random.Generator, scan: Scan, _: np.ndarray) -> Scan:
    return make_phantom(rng, replace(SMALL, fov=("T12", "T9"), contrast="t2")).scan


def _axial(rng: np.random.Generator, scan: Scan, _: np.ndarray) -> Scan:
    """Axial planes under a header that calls them sagittal: a reformat whose header was not rewritten."""
    ap, si, lr = scan.spacing_mm
    wide = ndimage.zoom(scan.voxels.astype(np.float32), (1, 1, lr / ap), order=1)
    every = max(1, round(4.0 / si))
    voxels = wide[:, ::every].transpose(0, 2, 1)
    affine = np.eye(4)
    affine[:3, :3] = PLAIN * np.array([ap, ap, every * si])
    return Scan(np.ascontiguousarray(voxels).astype(scan.voxels.dtype), affine)


def _metal(rng: np.random.Generator, scan: Scan, labels: np.ndarray) -> Scan:
    """Screws in most lumbar bodies: signal voids with a bright rim, the picture around them bent inwards."""
    voxels = scan.voxels.astype(np.float32)
    step = np.array(scan.spacing_mm)[:, None, None, None]
    index = np.indices(voxels.shape, dtype=np.float32)
    bodies = [i for i in TABLE.of_kind("body")[:6] if (labels == i).any()]
    pull, void, rim = np.zeros_like(index), np.zeros(voxels.shape, bool), np.zeros(voxels.shape, bool)
    for identity in bodies:
        centre = np.argwhere(labels == identity).mean(axis=0)
        centre[0] += rng.uniform(0, 12) / scan.spacing_mm[0]  # towards the pedicles, at the back
        away = (index - centre[:, None, None, None]) * step
        away[2] *= 0.4  # screws run from side to side
        far = np.sqrt((away**2).sum(axis=0))
        radius = rng.uniform(*VOID_MM)
        void |= far < radius
        rim |= (far >= radius) & (far < radius + 3)
        near = np.where(far < 3 * radius, np.exp(-((far / radius) ** 2)), 0)
        pull[:2] += (away / step)[:2] * (0.35 * near)
    bent = ndimage.map_coordinates(voxels, index - pull, order=1, mode="nearest")
    bent[rim] = np.maximum(bent[rim], np.percentile(voxels, 99.5))
    bent[void] = np.percentile(voxels, 1)
    return _as(scan, bent)


def _flipped(axis: int) -> Callable[[np.random.Generator, Scan, np.ndarray], Scan]:
    """A header whose direction of one axis is wrong."""

    def make(rng: np.random.Generator, scan: Scan, _: np.ndarray) -> Scan:
        return Scan(np.ascontiguousarray(np.flip(scan.voxels, axis)), scan.affine)

    return make


def _upside_down_and_cut(rng: np.random.Generator, scan: Scan, labels: np.ndarray) -> Scan:
    """The same with 5 to 20 % of the rows missing at what is then the top: no sacrum hangs there."""
    turned = _flipped(1)(rng, scan, labels)
    kept = round((1 - rng.uniform(0.05, 0.2)) * turned.voxels.shape[1])
    return Scan(np.ascontiguousarray(turned.voxels[:, :kept]), turned.affine)


def _sideways(rng: np.random.Generator, scan: Scan, _: np.ndarray) -> Scan:
    """A header that exchanges up-down and front-back: the spine lies on its side."""
    return Scan(np.ascontiguousarray(scan.voxels.transpose(1, 0, 2)), scan.affine)


#: Every kind by name.
STRANGE = {
    "noise": Strange("pure noise", _noise),
    "bottle": Strange("a bottle of water, as scanners are tested with", _bottle),
    "head": Strange("a brain-like head", _head),
    "cervical": Strange("a neck: bodies of half the size under a head", _cervical, uses_base=False),
    "thoracic": Strange("thoracic bodies only, T12 to T9", _thoracic, uses_base=False),
    "axial": Strange("axial planes that the header calls sagittal", _axial),
    "metal": Strange("screws in most lumbar bodies", _metal),
    "upside-down": Strange("a header that exchanges up and down", _flipped(1)),
    "upside-down-cut": Strange("the same, cut at what is then the top", _upside_down_and_cut),
    "front-back": Strange("a header that exchanges front and back", _flipped(0)),
    "sideways": Strange("a header that lays the spine on its side", _sideways),
    "left-right": Strange("a header that exchanges left and right", _flipped(2), may_pass=True),
}
