"""Geometry of the augmentation: one resampling for flip, rotation, scale, shift, bending and field of view.

Axes: b = image of the batch, y = row (downwards), x = column. Everything happens on the device the batch lies
on, chance included: parameters drawn elsewhere would have to be waited for. So a seed gives the same batch on
every device of one kind, and another one on a GPU than on a CPU.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from ..recipes.schema import AugmentationRecipe


def uniform(n: int, low: float, high: float, generator: torch.Generator) -> Tensor:
    """Return n numbers from low to high, [n]."""
    return low + (high - low) * torch.rand(n, generator=generator, device=generator.device)


def chosen(n: int, chance: float, generator: torch.Generator) -> Tensor:
    """Return n decisions, [n] bool."""
    return torch.rand(n, generator=generator, device=generator.device) < chance


def draw_warp(
    recipe: AugmentationRecipe,
    n: int,
    size: tuple[int, int],
    generator: torch.Generator,
) -> Tensor:
    """Draw where each output pixel comes from.

    Args:
        recipe: strengths; see :class:`AugmentationRecipe`.
        n: images.
        size: (H, W).
        generator: source of chance; the positions come on its device.

    Returns:
        [n, H, W, 2] sampling positions (x, y) as ``grid_sample`` wants them, -1 to 1 across the image. A
        position is (2, 2), outside, where the field of view was cut away.

    Decided beyond the paper, which says "random flipping": only front to back, since a flip along the spine
    would put the sacrum on top. A cut field of view stays centred, as :class:`ModelGrid` centres a scan's
    non-zero box: the anatomy moves, the window does not.
    """
    height, width = size
    device = generator.device
    theta, share = _affine(recipe, n, size, generator)
    grid = F.affine_grid(theta, [n, 1, height, width], align_corners=False)
    if recipe.elastic:
        grid = grid + _bending(recipe, n, size, generator)
    share = share[:, :, None, None]
    y = torch.linspace(-1 + 1 / height, 1 - 1 / height, height, device=device)[:, None]
    x = torch.linspace(-1 + 1 / width, 1 - 1 / width, width, device=device)[None]
    seen = (x.abs() <= share[:, 0]) & (y.abs() <= share[:, 1])
    return torch.where(seen[..., None], grid, 2.0)


def _affine(
    recipe: AugmentationRecipe, n: int, size: tuple[int, int], generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Return matrices [n, 2, 3] for ``affine_grid``, and the share of width and height seen, [n, 2]."""
    height, width = size
    angle = torch.deg2rad(uniform(n, -recipe.rotation_deg, recipe.rotation_deg, generator))
    scale = torch.exp(uniform(n, -1, 1, generator) * math.log(1 + recipe.scale))
    mirror = 1 - 2 * chosen(n, recipe.flip, generator).float()
    shift = torch.stack([uniform(n, -1, 1, generator) * 2 * recipe.shift_px / s for s in (width, height)], 1)
    cos, sin = torch.cos(angle) / scale, torch.sin(angle) / scale
    aspect = height / width
    matrix = torch.stack(
        [torch.stack([cos * mirror, -sin * aspect], 1), torch.stack([sin * mirror / aspect, cos], 1)], 1
    )
    cut = chosen(n, recipe.crop, generator)
    least = (max(recipe.crop_to, 0.6), recipe.crop_to)  # across the body less is cut than along it
    share = torch.stack([torch.where(cut, uniform(n, low, 1, generator), 1.0) for low in least], 1)
    reach = (0.5, 1.0)  # how far the window moves within what is cut
    away = (1 - share) * torch.stack([uniform(n, -r, r, generator) for r in reach], 1)
    return torch.cat([matrix, (shift + away)[:, :, None]], 2), share


def _bending(recipe: AugmentationRecipe, n: int, size: tuple[int, int], generator: torch.Generator) -> Tensor:
    """Return smooth displacements [n, H, W, 2]: random ones on a coarse net, cubic in between."""
    height, width = size
    coarse = [max(3, s // recipe.elastic_spacing_px + 2) for s in size]
    offsets = torch.randn(n, 2, *coarse, generator=generator, device=generator.device)
    strength = uniform(n, 0, recipe.elastic_px, generator) * chosen(n, recipe.elastic, generator)
    offsets = offsets * strength[:, None, None, None]
    offsets = torch.stack([offsets[:, 0] * (2 / width), offsets[:, 1] * (2 / height)], 1)
    smooth = F.interpolate(offsets, size=size, mode="bicubic", align_corners=True)
    return smooth.permute(0, 2, 3, 1)


def warp(image: Tensor, truth: Tensor, grid: Tensor) -> tuple[Tensor, Tensor]:
    """Resample a batch.

    Args:
        image: [b, 1, H, W] float; bilinear, 0 outside.
        truth: [b, H, W] uint8 codes; nearest, code 0 (certain background) outside.
        grid: [b, H, W, 2], see :func:`draw_warp`.

    Returns:
        Both, same shapes and types.
    """
    grid = grid.to(image.device, image.dtype)
    moved = F.grid_sample(image, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
    codes = truth[:, None].to(image.dtype)  # codes are few dozen: exact in every float type
    codes = F.grid_sample(codes, grid, mode="nearest", padding_mode="zeros", align_corners=False)
    return moved, codes[:, 0].round().to(truth.dtype)
