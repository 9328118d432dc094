"""Masked autoencoding: hide most of an image, let the encoder's taps say what stood there."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..augmentation import Augmentation
from ..recipes import Recipe
from ..types import Image, Mask
from .encoder import Encoder
from .images import NO_TRUTH, no_truth


def draw_mask(n: int, size: tuple[int, int], patch: int, share: float, generator: torch.Generator) -> Mask:
    """Choose which patches of each image are hidden, the same number in all.

    Args:
        n: images. size: (H, W) in pixels, multiples of ``patch``.
        patch: edge of a patch in pixels.
        share: of the patches that are hidden.
        generator: source of chance; the mask comes on its device.

    Returns:
        [n, H, W] bool, True where hidden.
    """
    rows, columns = size[0] // patch, size[1] // patch
    hidden = round(share * rows * columns)
    order = torch.rand(n, rows * columns, generator=generator, device=generator.device).argsort(dim=1)
    mask = torch.zeros(n, rows * columns, dtype=torch.bool, device=generator.device)
    mask.scatter_(1, order[:, :hidden], True)
    return mask.view(n, rows, columns).repeat_interleave(patch, 1).repeat_interleave(patch, 2)


def error_where_hidden(guess: Image, image: Image, mask: Mask, patch: int) -> Tensor:
    """Return the mean absolute error over hidden patches that hold anything but zeros; 0 if none does.

    Patches outside the field of view are left out: guessing zero there teaches nothing.
    """
    holds = F.max_pool2d(image, patch) > 0
    counted = mask & F.interpolate(holds.float(), scale_factor=patch)[:, 0].bool()
    error = (guess - image).abs()[:, 0]
    return torch.where(counted, error, 0.0).sum() / counted.sum().clamp(min=1)


class MaskedReconstruction(nn.Module):
    """Hide patches, reconstruct their pixels from the taps by one linear map per tap.

    Args:
        encoder: what is pretrained.
        recipe: mask (``pretraining``), augmentation, size of the image.

    Shapes: image [B, 1, H, W] in [0, 1] -> scalar loss.

    What is thrown away afterwards: the patch of pixels that stands where something is hidden, which is learnt
    (to a patch embedding of the same edge it is the mask token), and the linear maps.

    Source: He et al. 2022, "Masked autoencoders are scalable vision learners"; in the form of Xie et al.
    2022, "SimMIM", since the encoder sees hidden patches too: a pyramid of convolutions can't skip them.
    Decided beyond the paper (future work there): 60 % of 16 x 16 patches, pixels as they are, all three taps.
    """

    def __init__(self, encoder: Encoder, recipe: Recipe) -> None:
        super().__init__()
        self.settings, size = recipe.pretraining, recipe.preprocessing.size
        patch = self.settings.mask_px
        self.augment = Augmentation(recipe.augmentation, NO_TRUTH)
        self.hidden = nn.Parameter(torch.full((1, 1, patch, patch), 0.5))
        self.heads = nn.ModuleList(_heads(encoder, size))

    def forward(self, encoder: Encoder, image: Image, seed: int) -> Tensor:
        """Return the loss of one batch; ``seed`` is the whole of its chance."""
        image, _ = self.augment(image, no_truth(image), seed)
        n, size = len(image), (image.shape[2], image.shape[3])
        patch, chance = self.settings.mask_px, torch.Generator(image.device).manual_seed(seed + 1)
        mask = draw_mask(n, size, patch, self.settings.mask_share, chance)
        tiled = self.hidden.repeat(1, 1, size[0] // patch, size[1] // patch)
        taps = encoder(torch.where(mask[:, None], tiled, image))
        guesses = [
            F.pixel_shuffle(head(tap), size[0] // tap.shape[2])
            for head, tap in zip(self.heads, taps, strict=True)
        ]
        return error_where_hidden(torch.stack(guesses).sum(dim=0), image, mask, patch)


def _heads(encoder: Encoder, size: int) -> Sequence[nn.Module]:
    was = encoder.training
    with torch.no_grad():
        taps = encoder.eval()(torch.zeros(1, 1, size, size))
    encoder.train(was)
    return [nn.Conv2d(tap.shape[1], (size // tap.shape[2]) ** 2, kernel_size=1) for tap in taps]
