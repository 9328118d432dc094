"""What scanner, coil and patient add to the grey values: gain, bias field, ghosts, blur, noise, metal."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from ..recipes.schema import AugmentationRecipe
from .warp import chosen, uniform


def _column(values: Tensor, like: Tensor) -> Tensor:
    return values.to(like.dtype)[:, None, None, None]


def gamma_gain_offset(image: Tensor, recipe: AugmentationRecipe, generator: torch.Generator) -> Tensor:
    """Gamma, gain and offset, each in a share ``recipe.intensity`` of the images."""
    n, p = len(image), recipe.intensity
    gamma = torch.where(chosen(n, p, generator), uniform(n, *recipe.gamma, generator), 1.0)
    gain = torch.where(chosen(n, p, generator), 1 + uniform(n, -recipe.gain, recipe.gain, generator), 1.0)
    offset = torch.where(chosen(n, p, generator), uniform(n, -recipe.offset, recipe.offset, generator), 0.0)
    return image.clamp(0, 1) ** _column(gamma, image) * _column(gain, image) + _column(offset, image)


def noise(image: Tensor, recipe: AugmentationRecipe, generator: torch.Generator) -> Tensor:
    """Rician noise (Gudbjartsson and Patz 1995), its strength up to ``recipe.noise_std`` of the range."""
    n = len(image)
    std = uniform(n, 0, recipe.noise_std, generator) * chosen(n, recipe.intensity, generator)
    both = torch.randn((2, *image.shape), device=image.device, dtype=image.dtype, generator=generator)
    real, imaginary = both * _column(std, image)
    return torch.where(_column(std, image) > 0, torch.hypot(image + real, imaginary), image)


def bias_field(image: Tensor, recipe: AugmentationRecipe, generator: torch.Generator) -> Tensor:
    """A smooth factor, as of a surface coil: exp of a random cubic surface of strength ``recipe.bias``."""
    n = len(image)
    coarse = torch.randn(n, 1, 4, 3, generator=generator, device=generator.device) * recipe.bias
    coarse = coarse * chosen(n, recipe.artefacts, generator)[:, None, None, None]
    field = F.interpolate(
        coarse.to(image.device, image.dtype), image.shape[2:], mode="bicubic", align_corners=True
    )
    return image * torch.exp(field)


def ghosts(image: Tensor, recipe: AugmentationRecipe, generator: torch.Generator) -> Tensor:
    """Motion ghosts: a weak copy of the image, shifted along one axis, in a third of the artefact share."""
    n, (height, width) = len(image), image.shape[2:]
    weight = uniform(n, 0, recipe.ghost, generator) * chosen(n, recipe.artefacts / 3, generator)
    far = uniform(n, 0.08, 0.5, generator)
    down = chosen(n, 0.5, generator)
    rows = torch.where(down, far * height, 0.0).long()[:, None] + torch.arange(height, device=image.device)
    columns = torch.where(down, 0.0, far * width).long()[:, None] + torch.arange(width, device=image.device)
    each = torch.arange(n, device=image.device)[:, None, None]
    copy = image[each, 0, (rows % height)[:, :, None], (columns % width)[:, None, :]]
    return image + _column(weight, image) * copy[:, None]


def blur(image: Tensor, recipe: AugmentationRecipe, generator: torch.Generator) -> Tensor:
    """Coarser resolution: Gaussian blur, its standard deviations up to ``recipe.blur_px`` on each axis."""
    n = len(image)
    on = chosen(n, recipe.artefacts, generator)[:, None]
    sigma = (uniform(2 * n, 0, recipe.blur_px, generator).view(n, 2) * on).clamp(min=1e-3)
    reach = max(1, int(3 * recipe.blur_px))
    at = torch.arange(-reach, reach + 1, device=image.device)
    kernel = torch.exp(-0.5 * (at / sigma[..., None]) ** 2)
    kernel = (kernel / kernel.sum(-1, keepdim=True)).to(image.dtype)
    out = F.conv2d(image.transpose(0, 1), kernel[:, None, 0, :, None], padding=(reach, 0), groups=n)
    return F.conv2d(out, kernel[:, None, 1, None, :], padding=(0, reach), groups=n).transpose(0, 1)


def metal(image: Tensor, recipe: AugmentationRecipe, generator: torch.Generator) -> Tensor:
    """Signal voids, as of a screw: one dark ellipse in a share ``recipe.metal`` of the images."""
    n, (height, width) = len(image), image.shape[2:]
    device = image.device
    on = chosen(n, recipe.metal, generator)
    centre = uniform(2 * n, -0.6, 0.6, generator).view(2, n, 1, 1)
    half = uniform(2 * n, 0.02, 0.12, generator).view(2, n, 1, 1)
    y = (torch.linspace(-1, 1, height, device=device)[None, :, None] - centre[0]) / half[0]
    x = (torch.linspace(-1, 1, width, device=device)[None, None, :] - centre[1]) / half[1]
    inside = (y * y + x * x <= 1) & on[:, None, None]
    return image.masked_fill(inside[:, None], 0.0)


def renormalise(image: Tensor, low: float = 0.005, high: float = 0.995) -> Tensor:
    """Map the percentiles of each image's non-zero pixels to 0 and 1, as the preprocessing does for a volume.

    Taken over every fourth pixel along both axes: 4,096 of a 256 x 256 slice.
    """
    sample = image[:, 0, ::4, ::4].flatten(1)
    seen = sample.masked_fill(sample <= 0, float("nan"))
    ends = torch.nanquantile(seen.float(), torch.tensor([low, high], device=image.device), dim=1)
    bottom, top = (_column(e.nan_to_num(v), image) for e, v in zip(ends, (0.0, 1.0), strict=True))
    return (image - bottom) / (top - bottom).clamp(min=1e-3)
