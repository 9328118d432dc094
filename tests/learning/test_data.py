"""Batches mix two sources in the share asked for, and are a pure function of seed, epoch and step."""

import numpy as np
import pytest
import torch

from cafrnet.errors import UsageError
from cafrnet.labels import ValueSets
from cafrnet.learning.codes import TruthCodes
from cafrnet.learning.data import PreparedCase, TrainingBatches
from cafrnet.learning.recipes import load_recipe

CODES = TruthCodes.of([ValueSets({i: (i,) for i in range(22)})], 22)
CPU = torch.device("cpu")


def cases(grey: float, count: int) -> list[PreparedCase]:
    truth = np.zeros((2, 32, 32), np.uint8)
    truth[:, 8:24, 8:24] = 3
    image = np.full(truth.shape, grey, np.float16)
    return [PreparedCase(f"{grey}-{k}", image, truth) for k in range(count)]


def batches(*words: str, mixed: int = 4) -> TrainingBatches:
    still = [
        f"augmentation.{k}=0" for k in ("flip", "rotation_deg", "scale", "shift_px", "elastic", "intensity")
    ]
    recipe = load_recipe("cafr_net", ["batch=10", "preprocessing.size=32", *still, *words])
    return TrainingBatches(cases(0.25, 3), CODES, recipe, cases(0.75, mixed))


def greys(b: TrainingBatches, step: int = 0) -> list[float]:
    return b.make(b[step], CPU).image.amax(dim=(1, 2, 3)).tolist()


@pytest.mark.parametrize(("share", "first", "second"), [(0.0, 10, 0), (0.3, 7, 3), (1.0, 0, 10)])
def test_the_share_of_the_second_source_holds_in_every_batch(share, first, second):
    b = batches("mix.data=elsewhere", f"mix.share={share}")
    for step in range(5):
        found = greys(b, step)
        assert (found.count(0.25), found.count(0.75)) == (first, second)


def test_views_stay_together_when_sources_are_mixed():
    b = batches("mix.data=elsewhere", "mix.share=0.3", "sampling.views=2")
    draws = b[0]
    assert draws.at[::2].tolist() == draws.at[1::2].tolist()
    assert draws.views.view.tolist() == [0, 1] * 5
    assert greys(b).count(0.75) in (2, 4)  # whole pairs only


def test_a_share_without_a_dataset_is_refused():
    with pytest.raises(UsageError, match=r"mix\.data"):
        batches("mix.share=0.3")


def test_a_batch_is_made_from_seed_epoch_and_step_alone():
    words = ("augmentation.intensity=1", "augmentation.rotation_deg=10")
    a, b = batches(*words), batches(*words)
    b.make(b[4], CPU)  # what came before must not matter
    first, second = a.make(a[2], CPU), b.make(b[2], CPU)
    assert torch.equal(first.image, second.image)
    assert torch.equal(first.truth, second.truth)
    b.epoch = 1
    assert not torch.equal(first.image, b.make(b[2], CPU).image)


def test_patches_show_what_the_slice_holds_there():
    b = batches("unit=patch", "patch=32", mixed=0)
    made = b.make(b[0], CPU)
    assert made.image.shape == (10, 1, 32, 32)
    assert (made.truth == CODES.sets.index((3,))).flatten(1).any(1).all()
