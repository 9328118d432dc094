"""Which series of a folder: what each one is, and the choice of the sagittal T2."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import InputError, UsageError, nearest
from .dicom_frames import Frame, Series

logger = logging.getLogger(__name__)

#: A series of fewer slices than this is taken for a scout while there is another choice.
FEWEST_SLICES = 5
#: Echo times from here on make a spin echo T2-weighted; shorter ones, with a short TR, T1-weighted.
T2_ECHO_MS = 60.0
T1_REPETITION_MS = 1200.0
#: Inversion times up to here null fat (STIR); longer ones serve T1 contrast.
STIR_INVERSION_MS = 300.0
#: Best first. Water is bright in the first three, which is what the default model has learnt.
PREFERENCE = (
    "T2",
    "T2 fat-saturated",
    "STIR",
    "PD",
    "T1",
    "gradient echo",
    "echo planar",
    "unknown contrast",
)
#: Normal of the slices in LPS: the axis it follows most -> the plane's name.
PLANES = ("sagittal", "coronal", "axial")
SCOUT_WORDS = re.compile(r"\b(loc|locali[sz]ers?|scouts?|survey|3[ -]?pl|3[ -]?plane)\b")
FAT_SAT_WORDS = re.compile(r"(?<![a-z])(fs|fat ?sat|spair|spir)(?![a-z])|dixon.*(water|\bw\b)")


@dataclass(frozen=True)
class SeriesInfo:
    """One MR series of a folder.

    Attributes:
        uid: SeriesInstanceUID.
        study: StudyInstanceUID.
        number: SeriesNumber.
        description: SeriesDescription, or ProtocolName.
        plane: sagittal, coronal, axial, mixed (several orientations) or unknown (no orientation given).
        weighting: one of ``PREFERENCE``.
        why: what the weighting was read from.
        n_slices: number of frames.
        rows: rows of the first frame.
        columns: columns of the first frame.
        scout: whether it looks like a localizer.
    """

    uid: str
    study: str
    number: int
    description: str
    plane: str
    weighting: str
    why: str
    n_slices: int
    rows: int
    columns: int
    scout: bool

    def __str__(self) -> str:
        kind = f"{self.plane} {self.weighting}" + (", scout" if self.scout else "")
        size = f"{self.n_slices} x {self.rows} x {self.columns}"
        return f"{self.uid}  {self.description or '(no description)'!r}  {kind}  {size}"

    @property
    def merit(self) -> tuple[bool, bool, int]:
        """Sorts series: the greatest is the one wanted."""
        return not self.scout, self.plane == "sagittal", -PREFERENCE.index(self.weighting)


def describe(series: Series) -> SeriesInfo:
    """Sum up a series from the headers of its frames."""
    first = series.frames[0]
    kind, why = weighting(first.contrast)
    plane = _plane(series.frames)
    words = f"{first.contrast['names']} {first.contrast['image_type']}".lower().replace("_", " ")
    return SeriesInfo(
        uid=series.uid,
        study=series.study,
        number=series.number,
        description=series.description,
        plane=plane,
        weighting=kind,
        why=why,
        n_slices=len(series.frames),
        rows=first.shape[0],
        columns=first.shape[1],
        scout=plane == "mixed" or len(series.frames) < FEWEST_SLICES or bool(SCOUT_WORDS.search(words)),
    )


def _plane(frames: list[Frame]) -> str:
    planes = {
        "unknown" if f.directions is None else PLANES[int(np.abs(np.cross(*f.directions)).argmax())]
        for f in frames
    }
    return planes.pop() if len(planes) == 1 else "mixed"


def weighting(contrast: Mapping[str, Any]) -> tuple[str, str]:
    """Tell the contrast of a frame, and from what.

    Physics first (TE, TR, TI, kind of sequence), then the contrast that an enhanced object states, then
    words of the description.
    """
    words = " ".join(contrast[k] for k in ("names", "stated")).lower().replace("_", " ")
    sequence = contrast["sequence"].upper()
    te, tr, ti = (_number(contrast[f"{name}_time_ms"]) for name in ("echo", "repetition", "inversion"))
    times = ", ".join(
        f"{n} {v:g} ms" for n, v in (("TE", te), ("TR", tr), ("TI", ti)) if v is not None and v > 0
    )
    if (
        "t2*" in words
        or "t2star" in words
        or "GRADIENT" in sequence.split()
        or sequence.split()[:1] == ["GR"]
    ):
        return "gradient echo", "kind of sequence"
    if "EP" in sequence.split():  # diffusion: its echo time alone would make it T2
        return "echo planar", "kind of sequence"
    if ti is not None and 50 < ti <= STIR_INVERSION_MS:
        return "STIR", times
    if "stir" in words or "tirm" in words:
        return "STIR", "description"
    if te is not None and te >= T2_ECHO_MS:
        return _with_fat(words, contrast["options"]), times
    named = next((w.upper() for w in ("t2", "t1", "pd") if w in words), None)
    if te is not None and te > 0 and tr is not None and tr > 0 and named != "T2":
        short = tr < T1_REPETITION_MS or (ti is not None and ti > STIR_INVERSION_MS) or named == "T1"
        return ("T1" if short else "PD"), times
    if named is not None:
        return (_with_fat(words, contrast["options"]) if named == "T2" else named), "description"
    return "unknown contrast", "no times and no telling description"


def _with_fat(words: str, options: str) -> str:
    saturated = FAT_SAT_WORDS.search(words) or "FS" in options.upper().split()
    return "T2 fat-saturated" if saturated else "T2"


def _number(value: Any) -> float | None:
    """Return a number, the first of several, or None."""
    if value is None:
        return None
    return float(value if isinstance(value, (int, float, str)) else value[0])


def choose(found: list[SeriesInfo], series: str, source: str) -> SeriesInfo:
    """Pick the series to read.

    Args:
        found: all MR series, at least one.
        series: a UID, or ``"auto"``: scouts lose, sagittal wins, then the first of ``PREFERENCE``. Series of
            different studies (two patients, or two days) are never chosen between.
        source: named in messages.

    Raises:
        UsageError: no series with this UID, several studies, or several series that fit equally well; all
            are listed.
        InputError: several series, none of them sagittal.
    """
    by_uid = {info.uid: info for info in found}
    if series != "auto":
        if series not in by_uid:
            raise UsageError(
                f"{source} has no MR series {series!r}{nearest(series, by_uid)}. It holds:\n{_list(found)}"
            )
        return by_uid[series]
    if len(studies := {info.study for info in found}) > 1:
        raise UsageError(
            f"{source}: series of {len(studies)} studies lie in one folder; give the folder of one study, or "
            f"choose with --series UID:\n{_list(found)}"
        )
    best = max(info.merit for info in found)
    fitting = [info for info in found if info.merit == best]
    if len(fitting) > 1:
        raise UsageError(
            f"{source}: {len(fitting)} series fit equally well; choose one with --series UID:\n"
            f"{_list(fitting)}"
        )
    chosen = fitting[0]
    if len(found) > 1 and chosen.plane != "sagittal":
        raise InputError(
            f"{source}: none of its {len(found)} MR series is sagittal; choose another folder, or one of "
            f"these with --series UID:\n{_list(found)}"
        )
    logger.info(
        "%s: series %s %r chosen of %d: %s, %s (by %s), %d slices",
        source,
        chosen.uid,
        chosen.description,
        len(found),
        chosen.plane,
        chosen.weighting,
        chosen.why,
        chosen.n_slices,
    )
    return chosen


def _list(found: list[SeriesInfo]) -> str:
    return "\n".join(f"  {info}" for info in sorted(found, key=lambda i: (i.number, i.uid)))
