"""Which library should augment, and what share of a training step it takes.

    python benchmarks/augmentation.py            # MONAI against Kornia, 16 slices of 256 x 256, and a step
    python benchmarks/augmentation.py --repeat 9

Both chains: front-back flip, rotation of +-15 degrees, elastic deformation, gamma. Kornia is left out, and
said to be, when it is not installed (it is no dependency). Prints medians over the repeats and their ratio.
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


def with_monai(images: np.ndarray, truth: np.ndarray) -> Callable[[], object]:
    augment = Augmentation(load_recipe("cafr_net").augmentation)
    return lambda: [augment(i, t, k) for k, (i, t) in enumerate(zip(images, truth, strict=True))]


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
    monai = median_s(with_monai(images, truth), repeat)
    print(f"MONAI   {1000 * monai:8.0f} ms for {BATCH} slices")
    work = with_kornia(images, truth)
    if work is None:
        print("Kornia  not installed, not measured")
    else:
        kornia = median_s(work, repeat)
        print(f"Kornia  {1000 * kornia:8.0f} ms for {BATCH} slices, {kornia / monai:.1f} x MONAI")
    step = median_s(training_step(images, truth), repeat)
    print(
        f"step    {1000 * step:8.0f} ms (cafr_net, bf16, {torch.get_num_threads()} threads, no augmentation)"
    )
    print(f"augmentation is {100 * monai / (monai + step):.1f} % of a step with it")


if __name__ == "__main__":
    main()
