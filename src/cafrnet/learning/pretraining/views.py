"""Contrast of views: the same place of the same slice in two pictures, against other places."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..augmentation import Augmentation
from ..augmentation.warp import draw_warp, warp
from ..losses import ClrSettings, Views, info_nce
from ..recipes import Recipe
from ..recipes.schema import AugmentationRecipe
from ..training.module import projections_for
from ..types import Features, Image
from .encoder import Encoder
from .images import NO_TRUTH, no_truth

#: What switches off each half of the augmentation.
NO_INTENSITIES = dict.fromkeys(("synthesis", "curve", "metal", "intensity", "artefacts"), 0.0)
NO_GEOMETRY = dict.fromkeys(("flip", "rotation_deg", "scale", "shift_px", "elastic", "crop"), 0.0)
#: Share of a cell that has to lie in the field of view.
INSIDE = 0.5


class Cells(NamedTuple):
    """Cells of the second view, and the places in the first that show the same tissue.

    Attributes:
        which: [B, n] int64 into the flattened cells of the second view's map.
        place: [B, n, 2] (x, y) in the first view, -1 to 1, as ``grid_sample`` wants them.
        valid: [B, n] bool; False fills up where an image has fewer than n cells that both views show.
    """

    which: Tensor
    place: Tensor
    valid: Tensor


def draw_cells(second: Image, grid: Tensor, cell: int, n: int, generator: torch.Generator) -> Cells:
    """Choose cells that both views show.

    Args:
        second: [B, 1, H, W], the first view as ``grid`` warped it.
        grid: [B, H, W, 2], where each pixel of the second view comes from; beyond 1 is outside.
        cell: edge of a cell in pixels. n: cells per image.
        generator: source of chance, on the images' device.
    """
    shown = F.avg_pool2d((second > 0).float(), cell)[:, 0] > INSIDE
    inside = -F.max_pool2d(-(grid.abs().amax(dim=-1) <= 1).float()[:, None], cell)[:, 0] > 0
    usable = (shown & inside).flatten(1)
    chance = torch.rand(usable.shape, generator=generator, device=generator.device)
    best, which = chance.masked_fill(~usable, -1).topk(min(n, usable.shape[1]), dim=1)
    centres = F.avg_pool2d(grid.permute(0, 3, 1, 2), cell).flatten(2).transpose(1, 2)
    place = centres.gather(1, which[..., None].expand(-1, -1, 2))
    return Cells(which, place, best >= 0)


def paired_features(first: Features, second: Features, cells: Cells) -> Tensor:
    """Return the features of the same tissue in both views.

    Args:
        first, second: [B, c, h, w] maps of the two views.
        cells: see :class:`Cells`.

    Returns:
        [2, B, n, c]: between the first view's cells bilinearly, in the second as they are.
    """
    at = F.grid_sample(first, cells.place[:, :, None], mode="bilinear", align_corners=False)[..., 0]
    own = second.flatten(2).gather(2, cells.which[:, None].expand(-1, second.shape[1], -1))
    return torch.stack([at, own]).transpose(2, 3)


def contrast_cells(
    pairs: Tensor, valid: Tensor, projection: nn.Module, settings: ClrSettings, generator: torch.Generator
) -> Tensor:
    """Return InfoNCE over paired features: positive the same place, negatives all other places of the batch.

    Args:
        pairs: [2, B, n, c], see :func:`paired_features`.
        valid: [B, n] bool.
        projection: MLP from c.
        settings: temperature, negatives, positives ``"view"``.
        generator: source of chance, on the CPU.

    A place plays the class of :func:`~cafrnet.learning.losses.info_nce`, which is Eq. 9.
    """
    _, images, n, channels = pairs.shape
    features = F.normalize(projection(pairs.reshape(-1, channels)), dim=1)
    places = torch.arange(images * n, device=pairs.device)
    classes = torch.where(valid.flatten(), places, -1).repeat(2)
    image = torch.arange(2 * images, device=pairs.device).repeat_interleave(n)
    section = torch.arange(images, device=pairs.device).repeat(2)
    view = torch.arange(2, device=pairs.device).repeat_interleave(images)
    views = Views(torch.zeros_like(section), section, view)
    return info_nce(features, classes, image, views, settings, generator)


class ViewContrast(nn.Module):
    """CLR without labels: two views of a slice, each with its own geometry and grey values.

    Args:
        encoder: what is pretrained.
        recipe: ``pretraining.cells``, ``clr.maps``, ``clr.temperature``, augmentation.

    Shapes: image [B, 1, H, W] in [0, 1] -> scalar loss; the encoder sees 2 B images.

    The second view is the first one warped once more, so that every cell's place in the first is known. Grey
    values are changed for each alone. The projections are thrown away afterwards.

    Source: Sect. 3.3 with "view positives"; places as instances: Pinheiro et al. 2020, "Unsupervised learning
    of dense visual representations". Decided beyond the paper (future work there): all other places of the
    batch are negatives, those of the same image too, so neighbouring vertebrae are told apart.
    """

    def __init__(self, encoder: Encoder, recipe: Recipe) -> None:
        super().__init__()
        self.recipe: AugmentationRecipe = recipe.augmentation
        self.geometry = Augmentation(recipe.augmentation.model_copy(update=NO_INTENSITIES), NO_TRUTH)
        self.intensities = Augmentation(recipe.augmentation.model_copy(update=NO_GEOMETRY), NO_TRUTH)
        self.settings = ClrSettings(recipe.clr.maps, recipe.clr.temperature, negatives=0, positives="view")
        self.cells, size, was = recipe.pretraining.cells, recipe.preprocessing.size, encoder.training
        with torch.no_grad():
            maps = encoder.maps(encoder.eval()(torch.zeros(1, 1, size, size)))
        encoder.train(was)
        self.projections = projections_for(self.settings, {name: m.shape[1] for name, m in maps.items()})

    def views(self, image: Image, seed: int) -> tuple[Image, Image, Tensor]:
        """Return both views before their grey values are changed, and the grid between them."""
        first, _ = self.geometry(image, no_truth(image), seed)
        chance = torch.Generator(image.device).manual_seed(seed + 1)
        grid = draw_warp(self.recipe, len(image), (image.shape[2], image.shape[3]), chance).to(image.device)
        return first, warp(first, no_truth(first), grid)[0], grid

    def forward(self, encoder: Encoder, image: Image, seed: int) -> Tensor:
        """Return the loss of one batch; ``seed`` is the whole of its chance."""
        first, second, grid = self.views(image, seed)
        both = [self.intensities(v, no_truth(v), seed + k)[0] for k, v in ((2, first), (3, second))]
        maps = encoder.maps(encoder(torch.cat(both)))
        chance, on_cpu = (
            torch.Generator(image.device).manual_seed(seed + 4),
            torch.Generator().manual_seed(seed),
        )
        losses = []
        for name in self.settings.maps:
            one, other = maps[name].chunk(2)
            cells = draw_cells(second, grid, image.shape[2] // one.shape[2], self.cells, chance)
            pairs = paired_features(one, other, cells)
            projection = self.projections[name.replace("/", "_")]
            losses.append(contrast_cells(pairs, cells.valid, projection, self.settings, on_cpu))
        return torch.stack(losses).mean()
