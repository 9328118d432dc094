"""The settings of preprocessing: one small record that travels with every run and bundle."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from ..errors import InputError, UsageError, nearest
from ..files import write_json

CONTRASTS = ("none", "he", "clahe", "he_clahe")


@dataclass(frozen=True)
class Preprocessing:
    """How a scan becomes model input; the same in training and in inference.

    Attributes:
        pixel_mm: edge of a square model pixel, in mm.
        size: rows and columns of the model grid; a multiple of 32.
        contrast: ``"none"``, ``"he"`` (histogram equalisation), ``"clahe"`` (contrast-limited adaptive
            histogram equalisation) or ``"he_clahe"`` (one after the other), the paper's Sect. 4.1; applied
            slice by slice on the model grid.
        low_percentile, high_percentile: of the non-zero voxels of the volume, mapped to 0 and 1.
        clahe_clip: clip limit, 0 to 1.
        clahe_tiles: contextual regions along each side.
        version: of this record.

    Raises:
        UsageError: a value outside its range.
    """

    pixel_mm: float = 1.17
    size: int = 256
    contrast: str = "clahe"
    low_percentile: float = 0.5
    high_percentile: float = 99.5
    clahe_clip: float = 0.01
    clahe_tiles: int = 8
    version: int = 1

    def __post_init__(self) -> None:
        for name in ("pixel_mm", "low_percentile", "high_percentile", "clahe_clip"):
            _number(name, getattr(self, name), float)
        for name in ("size", "clahe_tiles", "version"):
            _number(name, getattr(self, name), int)
        if self.contrast not in CONTRASTS:
            raise UsageError(f"contrast {self.contrast!r} came{nearest(self.contrast, CONTRASTS)}")
        if not self.pixel_mm > 0:
            raise UsageError(f"pixel_mm {self.pixel_mm} came, a positive number of mm was expected")
        if self.size < 32 or self.size % 32:
            raise UsageError(f"size {self.size} came, a multiple of 32 was expected")
        if not 0 <= self.low_percentile < self.high_percentile <= 100:
            raise UsageError(
                f"percentiles {self.low_percentile} and {self.high_percentile} came, "
                "0 <= low < high <= 100 was expected"
            )
        if not 0 <= self.clahe_clip <= 1 or self.clahe_tiles < 1:
            raise UsageError(
                f"clahe_clip {self.clahe_clip} and clahe_tiles {self.clahe_tiles} came, "
                "0 to 1 and at least 1 were expected"
            )

    @classmethod
    def from_dict(cls, raw: dict[str, Any], source: str = "preprocessing") -> Preprocessing:
        """Build from plain values.

        Raises:
            UsageError: a key that does not exist (the nearest is named) or a value out of range.
        """
        known = [f.name for f in fields(cls)]
        for key in raw:
            if key not in known:
                raise UsageError(f"{source}: unknown key {key!r}{nearest(key, known)}")
        return cls(**raw)

    @classmethod
    def load(cls, path: Path) -> Preprocessing:
        """Read ``preprocessing.json``.

        Raises:
            InputError: missing or not JSON.
        """
        try:
            raw = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise InputError(f"{path} could not be read ({error}); the model folder is incomplete") from error
        if not isinstance(raw, dict):
            raise InputError(f"{path} holds a {type(raw).__name__}, a table of settings was expected")
        return cls.from_dict(raw, str(path))

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, ready for JSON."""
        return asdict(self)

    def save(self, path: Path) -> None:
        """Write ``preprocessing.json``."""
        write_json(path, self.to_dict())


def _number(name: str, value: Any, kind: type) -> None:
    """Raise UsageError unless ``value`` is a finite number; for ``int`` a whole one."""
    wanted = "a whole number" if kind is int else "a number"
    right = isinstance(value, int if kind is int else (int, float)) and not isinstance(value, bool)
    if not right or not math.isfinite(value):
        raise UsageError(f"{name} {value!r} came, {wanted} was expected")
