"""Scans re-synthesised in random contrasts: intensities drawn anew per structure (SynthSeg's idea).

Source: Billot et al., SynthSeg, Medical Image Analysis 2023, who draw one Gaussian per label. Differs:
real label maps mark the spine only, so what is not marked gets a random curve over its own grey values, and
marked structures keep a random share of their real texture, of either sign.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from ...labels import TABLE
from .warp import chosen, uniform

#: Knots of the random curve for what is not marked.
KNOTS = 7
#: Spread of single bodies and discs about their kind's grey value: degenerate discs differ more than bodies.
SPREAD = {"body": 0.05, "disc": 0.15}
KINDS = ("background", "sacrum", "body", "disc", "canal", "posterior")


def kind_of_class(num_classes: int) -> Tensor:
    """Return the number in :data:`KINDS` of each class, [num_classes] int64."""
    return torch.tensor([KINDS.index(_kind(i)) for i in range(num_classes)])


def _kind(identity: int) -> str:
    kind = TABLE[identity].kind
    return kind if kind in KINDS else "background"


def resynthesise(image: Tensor, classes: Tensor, chance: float, generator: torch.Generator) -> Tensor:
    """Draw the grey values of some images anew.

    Args:
        image: [b, 1, H, W] in [0, 1].
        classes: [b, H, W] int64, principal class of each pixel; 0 where nothing is marked.
        chance: share of the images that are changed.
        generator: source of chance, on the image's device.

    Returns:
        [b, 1, H, W] in [0, 1]; zero stays zero outside the field of view.
    """
    n = len(image)
    drawn = chosen(n, chance, generator)
    curve = _curves(n, generator)
    means, slopes = _per_class(n, generator)
    position = image[:, 0] * (KNOTS - 1)
    low = position.floor().clamp(0, KNOTS - 2).long()
    left = curve.gather(1, low.flatten(1)).view_as(position)
    right = curve.gather(1, (low + 1).flatten(1)).view_as(position)
    ground = left + (right - left) * (position - low)
    mean, slope = (t.gather(1, classes.flatten(1)).view_as(position) for t in (means, slopes))
    local = F.avg_pool2d(image, (15, 1), stride=1, padding=(7, 0), count_include_pad=False)
    local = F.avg_pool2d(local, (1, 15), stride=1, padding=(0, 7), count_include_pad=False)[:, 0]
    structure = mean + slope * (image[:, 0] - local)
    marked = F.avg_pool2d((classes > 0)[:, None].to(image.dtype), 3, stride=1, padding=1)[:, 0]
    new = (ground + marked * (structure - ground)).clamp(0, 1)
    inside = image[:, 0] > 0
    return torch.where((drawn[:, None, None] & inside)[:, None], new[:, None], image)


def _curves(n: int, generator: torch.Generator) -> Tensor:
    """Return random curves from grey value to grey value: [n, KNOTS]; dark stays dark in half of them."""
    curve = torch.rand(n, KNOTS, generator=generator, device=generator.device)
    rising = chosen(n, 0.4, generator)
    ordered = curve.sort(dim=1).values
    curve = torch.where(rising[:, None], ordered, curve)
    curve[:, 0] *= torch.where(chosen(n, 0.7, generator), 0.15, 1.0)
    return curve


def _per_class(n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return grey value and share of texture per image and class: both [n, len(TABLE)]."""
    here = generator.device
    kinds = kind_of_class(len(TABLE))
    spread = torch.tensor([SPREAD.get(k, 0.0) for k in KINDS])[kinds].to(here)
    kinds = kinds.to(here)
    mean, slope = torch.rand(2, n, len(KINDS), generator=generator, device=here)[:, :, kinds]
    jitter = spread * torch.randn(n, len(TABLE), generator=generator, device=here)
    return mean + jitter, slope * 2.4 - 0.9


def random_curve(image: Tensor, chance: float, generator: torch.Generator) -> Tensor:
    """Send all grey values of some images through one random curve, rising or falling: [b, 1, H, W]."""
    n = len(image)
    drawn = chosen(n, chance, generator)
    gamma = torch.exp(uniform(n, -0.7, 0.7, generator))
    falling = chosen(n, 0.3, generator)
    drawn, gamma, falling = (t[:, None, None, None] for t in (drawn, gamma, falling))
    bent = image.clamp(1e-4, 1) ** gamma
    bent = torch.where(falling, 1 - bent, bent)
    return torch.where(drawn & (image > 0), bent, image)
