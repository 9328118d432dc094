"""What should augment, and what share of a training step it takes.

    python benchmarks/augmentation.py            # 16 slices of 256 x 256, and a step of cafr_net
    python benchmarks/augmentation.py --repeat 9

Ours (one resampling of the whole batch in PyTorch) against MONAI's dictionary transforms slice by slice and
Kornia's sequence. All: front-back flip, rotation of +-15 degrees, elastic deformation, gamma; ours and
MONAI's scale, shift, gain, offset and noise as well. Kornia is left out, and said to be, when it is not
installed (it is no dependency). Prints medians over the repeats and their ratios.
"""

import argparse
import statistics
import time
import warnings
from collections.abc import Callable

import numpy as np
import torch

from cafrnet.learning.augmentation import Augmentation
from cafrnet.learning.codes import TruthCodes
from cafrnet.learning.losses import Views
from cafrnet.learning.recipes import load_recipe
from cafrnet.learning.training.module import TrainingModule

BATCH, EDGE = 16, 256


def median_s(work: Callable[[], object], repeat: int) -> float:
    work()
    times = []
    for _ in range(repeat):
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def ours(recipe: str, images: np.ndarray, truth: np.ndarray) -> Callable[[], object]:
    codes = TruthCodes(tuple((i,) for i in range(20)), 20)
    augment = Augmentation(load_recipe(recipe).augmentation, codes)
    x, y = torch.from_numpy(images)[:, None], torch.from_numpy(truth)
    return lambda: augment(x, y, 0)


def with_monai(images: np.ndarray, truth: np.ndarray) -> Callable[[], object]:
    from monai import transforms as mt

    both, image, sampling = ["image", "truth"], ["image"], {"mode": ("bilinear", "nearest")}
    affine = {"rotate_range": np.radians(15), "scale_range": (0.1, 0.1), "translate_range": 8}
    elastic = mt.Rand2DElasticd(both, (32, 32), (0, 3), prob=1.0, padding_mode="zeros", **affine, **sampling)
    plain = mt.RandAffined(both, prob=1.0, padding_mode="zeros", **affine, **sampling)
    chain = mt.Compose(
        [
            mt.RandFlipd(both, prob=0.5, spatial_axis=1),
            mt.OneOf([elastic, plain], weights=[0.5, 0.5]),
            mt.RandAdjustContrastd(image, prob=0.5, gamma=(0.7, 1.5)),
            mt.RandScaleIntensityd(image, prob=0.5, factors=0.2),
            mt.RandShiftIntensityd(image, prob=0.5, offsets=0.1),
            mt.RandGaussianNoised(image, prob=0.5, std=0.03),
        ]
    )
    pairs = list(zip(images, truth, strict=True))
    return lambda: [chain({"image": i[None], "truth": t[None]}) for i, t in pairs]


def with_kornia(images: np.ndarray, truth: np.ndarray) -> Callable[[], object] | None:
    try:
        import kornia.augmentation as K
    except ImportError:
        return None
    chain = K.AugmentationSequential(
        K.RandomHorizontalFlip(p=0.5),
        K.RandomRotation(15.0, p=1.0),
        K.RandomElasticTransform(kernel_size=(63, 63), sigma=(32.0, 32.0), p=0.5),
        K.RandomGamma((0.7, 1.5), p=0.5),
        data_keys=["input", "mask"],
    )
    x, y = torch.from_numpy(images)[:, None], torch.from_numpy(truth)[:, None].float()
    return lambda: chain(x, y)


def training_step(images: np.ndarray, truth: np.ndarray) -> Callable[[], object]:
    recipe = load_recipe("cafr_net")
    codes = TruthCodes(tuple((i,) for i in range(20)), 20)
    module = TrainingModule(recipe, codes, np.ones(20, bool)).train()
    optimiser = torch.optim.Adam(module.parameters(), 1e-4)
    views = Views(torch.arange(BATCH), torch.zeros(BATCH).long(), torch.zeros(BATCH).long())
    x, y = torch.from_numpy(images)[:, None], torch.from_numpy(truth).long()
    generator = torch.Generator()

    def step() -> None:
        from cafrnet.learning.losses import contrast, cross_entropy, dice_loss

        with torch.autocast("cpu", torch.bfloat16):
            logits, embeddings = module.segmenter(x)
            logits = logits.float()
            loss = 0.5 * dice_loss(logits, y, codes) + cross_entropy(logits, y, codes)
            loss = loss + 0.1 * contrast(
                embeddings, module.projections, y, codes, views, module.clr, generator
            )
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()

    return step


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeat", type=int, default=5)
    repeat = parser.parse_args().repeat
    warnings.simplefilter("ignore")
    rng = np.random.default_rng(0)
    images = rng.random((BATCH, EDGE, EDGE), np.float32)
    truth = np.repeat(np.repeat(rng.integers(0, 20, (BATCH, 16, 16)), 16, 1), 16, 2).astype(np.uint8)
    fused = median_s(ours("cafr_net", images, truth), repeat)
    print(f"ours    {1000 * fused:8.0f} ms for {BATCH} slices (cafr_net)")
    everything = median_s(ours("cafr_net_plus", images, truth), repeat)
    print(f"ours    {1000 * everything:8.0f} ms for {BATCH} slices (cafr_net_plus: new contrasts, too)")
    monai = median_s(with_monai(images, truth), repeat)
    print(f"MONAI   {1000 * monai:8.0f} ms for {BATCH} slices, {monai / fused:.1f} x ours")
    work = with_kornia(images, truth)
    if work is None:
        print("Kornia  not installed, not measured")
    else:
        kornia = median_s(work, repeat)
        print(f"Kornia  {1000 * kornia:8.0f} ms for {BATCH} slices, {kornia / fused:.1f} x ours")
    step = median_s(training_step(images, truth), repeat)
    threads = torch.get_num_threads()
    print(f"step    {1000 * step:8.0f} ms (cafr_net, bf16, {threads} threads, no augmentation)")
    print(f"augmentation is {100 * fused / (fused + step):.1f} % of a step with it")


if __name__ == "__main__":
    main()
