"""Flip, rotation, elastic deformation and intensity changes of one slice and its truth.

MONAI was chosen by measuring (``benchmarks/augmentation.py``): the same chain took Kornia 3 times as long
on a CPU, and MONAI's transforms take their chance from a seed that we hand over.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from monai import transforms as mt

from ..recipes.schema import AugmentationRecipe


class Augmentation:
    """The augmentation that a recipe asks for.

    Args:
        recipe: which changes, how strong, how often.

    All geometry happens in one resampling, image bilinear and truth nearest. What comes in from outside the
    slice is 0 in the image and code 0 (certain background) in the truth.

    Decided beyond the paper, which says "random flipping": only front to back, since a flip along the spine
    would put the sacrum on top. Intensity changes follow "intensity normalization" read as augmentation.
    """

    def __init__(self, recipe: AugmentationRecipe) -> None:
        both, image = ["image", "truth"], ["image"]
        chain: list[mt.Transform] = []
        if recipe.flip:
            chain.append(mt.RandFlipd(both, prob=recipe.flip, spatial_axis=1))
        angle, scale = np.radians(recipe.rotation_deg), recipe.scale
        sampling: dict[str, Any] = {"mode": ("bilinear", "nearest"), "padding_mode": "zeros"}
        affine: dict[str, Any] = {
            "rotate_range": angle,
            "scale_range": (scale, scale),
            "translate_range": recipe.shift_px,
        }
        if recipe.elastic:
            chain.append(
                mt.OneOf(
                    [
                        mt.Rand2DElasticd(
                            both,
                            spacing=(recipe.elastic_spacing_px,) * 2,
                            magnitude_range=(0, recipe.elastic_px),
                            prob=1.0,
                            **affine,
                            **sampling,
                        ),
                        mt.RandAffined(both, prob=1.0, **affine, **sampling),
                    ],
                    weights=[recipe.elastic, 1 - recipe.elastic],
                )
            )
        elif angle or scale or recipe.shift_px:
            chain.append(mt.RandAffined(both, prob=1.0, **affine, **sampling))
        if recipe.intensity:
            p = recipe.intensity
            chain += [
                mt.RandAdjustContrastd(image, prob=p, gamma=recipe.gamma),
                mt.RandScaleIntensityd(image, prob=p, factors=recipe.gain),
                mt.RandShiftIntensityd(image, prob=p, offsets=recipe.offset),
                mt.RandGaussianNoised(image, prob=p, std=recipe.noise_std),
            ]
        self._chain = mt.Compose(chain) if chain else None

    def __call__(self, image: np.ndarray, truth: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Change one slice.

        Args:
            image: [H, W] float32 in [0, 1].
            truth: [H, W] uint8 codes.
            seed: the whole of the chance; the same seed gives the same change.

        Returns:
            Both, same shapes and types; the image is clipped to [0, 1].
        """
        if self._chain is None:
            return image, truth
        self._chain.set_random_state(seed=seed)
        out = self._chain({"image": image[None], "truth": truth[None]})
        return np.clip(np.asarray(out["image"])[0], 0, 1), np.asarray(out["truth"])[0].astype(np.uint8)
