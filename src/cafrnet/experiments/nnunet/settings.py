"""What a user may want otherwise of nnU-Net."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from ...errors import UsageError


@dataclass(frozen=True)
class Settings:
    """What a user may want otherwise.

    Attributes:
        python: of nnU-Net's environment.
        trainer: ``nnUNetTrainer`` trains 1000 epochs, ``nnUNetTrainer_50epochs`` and its like fewer; one from
            elsewhere is found through nnU-Net's variable ``nnUNet_extTrainer``.
        configuration: ``2d``, ``3d_fullres`` or ``3d_lowres``.
        device: ``cpu``, ``cuda``, ``mps``, or ``auto``: a GPU if its torch sees one.
    """

    python: Path
    trainer: str = "nnUNetTrainer"
    configuration: str = "2d"
    device: str = "auto"

    def __post_init__(self) -> None:
        known = {
            "configuration": ("2d", "3d_fullres", "3d_lowres"),
            "device": ("auto", "cpu", "cuda", "mps"),
        }
        for name, values in known.items():
            if (came := getattr(self, name)) not in values:
                raise UsageError(f"nnU-Net's {name} {came!r} came; one of {', '.join(values)} was expected")
        if not re.fullmatch(r"[A-Za-z_]\w*", self.trainer):
            raise UsageError(f"nnU-Net's trainer {self.trainer!r} came; the name of a class was expected")
