"""Locally Adaptive Feature Recalibration, LAFR (paper Sect. 3.2, Eq. 5-8, Fig 1b)."""

from __future__ import annotations

from torch import nn

from ...errors import UsageError
from ..types import Features


class LAFR(nn.Module):
    r"""Reweight every feature at every place, and add the result to what came.

    .. math:: A = \sigma(DWConv_{3\times3}(Conv_{1\times1}(F))), \qquad F_{out} = F + F \odot A

    Args:
        channels: of the feature map.

    Shapes: [B, C, H, W] -> [B, C, H, W]; ``attention`` gives A in (0, 1), same shape.

    Follows Eq. 5-8 as printed: no normalisation and no activation between the two convolutions.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.pointwise = nn.Conv2d(channels, channels, kernel_size=1)
        self.depthwise = nn.Conv2d(channels, channels, kernel_size=3, padding=1, groups=channels)

    def attention(self, features: Features) -> Features:
        """Return the attention map A of Eq. 6."""
        return self.depthwise(self.pointwise(features)).sigmoid()

    def forward(self, features: Features) -> Features:
        """Return the recalibrated features (Eq. 8)."""
        return features + features * self.attention(features)


class UngatedLAFR(nn.Module):
    r"""LAFR's convolutions without its gate: a control for the ablation, not part of the paper.

    .. math:: F_{out} = F + DWConv_{3\times3}(Conv_{1\times1}(F))

    The same weights and products as :class:`LAFR`, added instead of multiplied: what LAFR brings beyond it
    is due to the gate. Shapes: [B, C, H, W] -> [B, C, H, W].
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.pointwise = nn.Conv2d(channels, channels, kernel_size=1)
        self.depthwise = nn.Conv2d(channels, channels, kernel_size=3, padding=1, groups=channels)

    def forward(self, features: Features) -> Features:
        """Return the features with their local mixture added."""
        return features + self.depthwise(self.pointwise(features))


def recalibration(kind: bool | str, channels: int) -> nn.Module:
    """Return what stands on a tap: ``True`` :class:`LAFR`, ``"ungated"`` its control, ``False`` nothing.

    Raises:
        UsageError: another kind.
    """
    if kind not in (True, False, "ungated"):
        raise UsageError(f"lafr {kind!r} came; true, false or 'ungated' was expected")
    if kind == "ungated":
        return UngatedLAFR(channels)
    return LAFR(channels) if kind else nn.Identity()
