"""Augmentation of a whole batch, on the device it lies on.

Plain PyTorch, because one piece of code has to serve a GPU too, where augmentation on the CPU would be the
bottleneck, and because no library draws new contrasts from a label map. All geometry is one resampling of
the batch. On one CPU core it takes about as long as MONAI's transforms slice by slice, and Kornia's sequence
takes 3.7 times as long (``benchmarks/augmentation.py``).
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from ..codes import TruthCodes
from ..recipes.schema import AugmentationRecipe
from . import artefacts, synthesis
from .warp import draw_warp, warp

#: Zeros further than half of this from anything else lie outside the field of view and stay zero.
FOV_PX = 9


class Augmentation:
    """The augmentation that a recipe asks for.

    Args:
        recipe: which changes, how strong, how often.
        codes: what truth codes stand for; needed for ``recipe.synthesis``.

    Order: warp (flip, rotation, scale, shift, bending, field of view), re-synthesis, a curve over all grey
    values, metal, gamma, gain and offset, bias field, ghosts, blur, noise, normalisation. What comes in from
    outside the slice is 0 in the image and code 0 (certain background) in the truth.

    Decided beyond the paper: Table 1's "intensity normalization" is read as the intensity changes.
    """

    def __init__(self, recipe: AugmentationRecipe, codes: TruthCodes) -> None:
        self.recipe = recipe
        self._principal = torch.tensor(
            [0 if c == codes.unknown else ids[0] for c, ids in enumerate(codes.sets)]
        )

    def __call__(self, image: Tensor, truth: Tensor, seed: int) -> tuple[Tensor, Tensor]:
        """Change one batch.

        Args:
            image: [b, 1, H, W] float32 in [0, 1].
            truth: [b, H, W] uint8 codes.
            seed: the whole of the chance; on one kind of device the same seed gives the same change.

        Returns:
            Both, same shapes and types; the image is clipped to [0, 1].
        """
        r, chance = self.recipe, torch.Generator(image.device).manual_seed(seed)
        if r.flip or r.rotation_deg or r.scale or r.shift_px or r.elastic or r.crop:
            grid = draw_warp(r, len(image), (image.shape[2], image.shape[3]), chance)
            image, truth = warp(image, truth, grid)
        inside = F.max_pool2d(image, (FOV_PX, 1), stride=1, padding=(FOV_PX // 2, 0))
        inside = F.max_pool2d(inside, (1, FOV_PX), stride=1, padding=(0, FOV_PX // 2)) > 0
        if r.synthesis:
            classes = self._principal.to(truth.device)[truth.long()]
            image = synthesis.resynthesise(image, classes, r.synthesis, chance)
        if r.curve:
            image = synthesis.random_curve(image, r.curve, chance)
        if r.metal:
            image = artefacts.metal(image, r, chance)
        if r.intensity:
            image = artefacts.gamma_gain_offset(image, r, chance)
        if r.artefacts:
            for change in (artefacts.bias_field, artefacts.ghosts, artefacts.blur):
                image = change(image, r, chance)
        if r.intensity and r.noise_std:
            image = artefacts.noise(image, r, chance)
        if r.artefacts or r.synthesis:
            image = artefacts.renormalise(image)
        return torch.where(inside, image, 0.0).clamp(0, 1), truth
