"""Augmentation moves image and truth together, never along the spine's order, and follows its seed."""

import pytest
import torch

from cafrnet.labels import ValueSets
from cafrnet.learning.augmentation import Augmentation
from cafrnet.learning.augmentation.synthesis import kind_of_class
from cafrnet.learning.augmentation.warp import draw_warp
from cafrnet.learning.codes import TruthCodes
from cafrnet.learning.recipes.schema import AugmentationRecipe

OFF = {"flip": 0, "rotation_deg": 0, "scale": 0, "shift_px": 0, "elastic": 0, "intensity": 0}
CODES = TruthCodes.of([ValueSets({i: (i,) for i in range(22)})], 22)


def augmentation(**changes) -> Augmentation:
    return Augmentation(AugmentationRecipe(**{**OFF, **changes}), CODES)


def pair(n: int = 4) -> tuple[torch.Tensor, torch.Tensor]:
    """Return n times two blocks, the upper one L4 (3) and the lower one L5 (2), on a grey ground."""
    truth = torch.zeros((n, 96, 96), dtype=torch.uint8)
    truth[:, 20:40, 30:60], truth[:, 44:64, 30:60] = 3, 2
    return (0.1 + truth[:, None].float() / 4), truth


def test_all_off_changes_nothing():
    image, truth = pair()
    out = augmentation()(image, truth, 1)
    assert torch.equal(out[0], image)
    assert torch.equal(out[1], truth)


def test_the_flip_is_front_to_back_only():
    image, truth = pair()
    i, t = augmentation(flip=1)(image, truth, 1)
    assert torch.allclose(i, image.flip(-1), atol=1e-5)
    assert torch.equal(t, truth.flip(-1))


def test_a_rotation_by_hand():
    """A quarter turn is out of a recipe's range, so the matrix is held by a known small one."""
    grid = draw_warp(
        AugmentationRecipe(**{**OFF, "rotation_deg": 15}), 64, (8, 8), torch.Generator().manual_seed(0)
    )
    right, down = grid[:, 4, 5] - grid[:, 4, 4], grid[:, 5, 4] - grid[:, 4, 4]
    assert torch.allclose(right.norm(dim=1), torch.full((64,), 2 / 8), atol=1e-6)  # one pixel stays one pixel
    assert torch.allclose((right * down).sum(1), torch.zeros(64), atol=1e-6)  # and square
    angle = torch.rad2deg(torch.atan2(right[:, 1], right[:, 0]))
    assert angle.abs().max() <= 15
    assert angle.std() > 5


@pytest.mark.parametrize(
    "change",
    [{"rotation_deg": 15}, {"elastic": 1, "elastic_px": 4}, {"scale": 0.2, "shift_px": 10}, {"crop": 1}],
)
def test_image_and_truth_move_together_and_order_stays(change):
    image, truth = pair(20)
    i, t = augmentation(**change)(image, truth, 3)
    assert i.shape == image.shape
    assert t.dtype == torch.uint8
    assert set(t.unique().tolist()) <= {0, 2, 3}
    seen = i[:, 0] > 0.05
    agree = ((i[:, 0] - 0.1 - t / 4).abs() < 0.13) | ~seen
    assert agree.float().mean() > 0.97  # only the blurred edges differ
    rows = torch.arange(96.0)[:, None].expand(96, 96)
    for one in t:
        if (one == 3).any() and (one == 2).any():
            assert rows[one == 3].mean() < rows[one == 2].mean()
    assert (t != truth).flatten(1).any(1).sum() >= 18


def test_a_cut_field_of_view_is_centred_and_empty_outside():
    image, truth = pair(40)
    i, t = augmentation(crop=1, crop_to=0.5)(image, truth, 0)
    heights = []
    for one, codes in zip(i[:, 0], t, strict=True):
        rows = (one > 0).any(1).nonzero()[:, 0]
        heights.append(len(rows))
        assert rows[0] + rows[-1] == 95
        assert not codes[: rows[0]].any()
    assert min(heights) < 60
    assert max(heights) > 85


@pytest.mark.parametrize(
    "change",
    [
        {"intensity": 1},
        {"synthesis": 1},
        {"curve": 1},
        {"artefacts": 1},
        {"metal": 1},
        {"intensity": 1, "artefacts": 1},
    ],
)
def test_intensity_changes_leave_the_truth_and_the_range(change):
    image, truth = pair()
    image[:, :, :, 80:] = 0  # outside the field of view
    i, t = augmentation(**change)(image, truth, 2)
    assert torch.equal(t, truth)
    assert 0 <= i.min() <= i.max() <= 1
    assert not torch.equal(i, image)
    assert not i[:, :, :, 90:].any()


def test_synthesis_gives_structures_grey_values_of_their_own():
    image, truth = pair(64)
    image = torch.full_like(image, 0.5)  # nothing to be seen before
    i, t = augmentation(synthesis=1)(image, truth, 5)
    body, ground = (
        torch.stack([x[k][m[k]].mean() for k in range(64)]) for x, m in ((i[:, 0], t == 3), (i[:, 0], t == 0))
    )
    assert (body - ground).abs().median() > 0.1
    assert body.std() > 0.1


def test_the_seed_is_the_whole_of_the_chance():
    image, truth = pair()
    recipe = AugmentationRecipe(synthesis=0.5, artefacts=0.5, crop=0.5, curve=0.5, metal=0.5)
    a, b = Augmentation(recipe, CODES), Augmentation(recipe, CODES)
    b(image, truth, 99)  # what came before must not matter
    first, second = a(image, truth, 7), b(image, truth, 7)
    assert torch.equal(first[0], second[0])
    assert torch.equal(first[1], second[1])
    assert not torch.equal(first[0], a(image, truth, 8)[0])


def test_every_kind_of_the_label_table_has_grey_values_of_its_own():
    kinds = kind_of_class(22).tolist()
    assert [kinds[i] for i in (0, 1, 2, 10, 11, 19, 20, 21)] == [0, 1, 2, 2, 3, 3, 4, 5]
