"""Batches are a pure function of seed, epoch and step, rare classes come up, patches show their class."""

import numpy as np

from cafrnet.learning.sampling import BatchPlan, patch_corner


def plan(**changes) -> BatchPlan:
    presence = np.zeros((40, 4), bool)
    presence[:, 1] = True
    presence[:20, 2] = True
    presence[:1, 3] = True
    return BatchPlan(
        **{"presence": presence, "batch": 8, "steps": 5, "class_aware": 0.5, "views": 1, "seed": 1, **changes}
    )


def test_same_seed_epoch_and_step_same_batch_and_another_epoch_another():
    assert plan().draws(3, 2) == plan().draws(3, 2)
    assert plan().draws(3, 2) != plan().draws(4, 2)
    assert plan(seed=2).draws(3, 2) != plan().draws(3, 2)


def test_a_class_drawn_for_is_in_the_slice():
    p = plan()
    for epoch in range(10):
        for d in p.draws(epoch, 0):
            assert d.wanted == -1 or p.presence[d.index, d.wanted]


def test_class_aware_batches_show_rare_classes_more_often():
    before, after = plan(steps=200).frequencies(0)
    assert before[3] == 1 / 40
    assert 0.15 < after[3] < 0.25  # half of the draws, a third of them for class 3, and a little by chance
    _, plain = plan(steps=200, class_aware=0.0).frequencies(0)
    assert abs(plain[3] - 1 / 40) < 0.01


def test_without_classes_an_epoch_passes_over_all_slices_once():
    drawn = [d.index for step in range(5) for d in plan(class_aware=0.0).draws(0, step)]
    assert sorted(drawn) == list(range(40))


def test_views_repeat_a_slice_with_another_augmentation():
    draws = plan(views=2).draws(0, 0)
    assert len(draws) == 8
    for a, b in zip(draws[::2], draws[1::2], strict=True):
        assert (a.index, a.view, b.index, b.view) == (a.index, 0, a.index, 1)
        assert a.seed != b.seed


def test_patches_lie_inside_and_hold_the_wanted_class():
    rng = np.random.default_rng(0)
    truth = np.zeros((96, 64), int)
    truth[90:94, 60:63] = 2
    truth[10:50, 10:50] = 1
    for _ in range(50):
        row, col = patch_corner(truth, 2, 32, np.array([0, 1.0, 5.0]), rng)
        assert 0 <= row <= 64
        assert 0 <= col <= 32
        assert (truth[row : row + 32, col : col + 32] == 2).any()


def test_patches_prefer_rare_classes_and_survive_empty_slices():
    rng = np.random.default_rng(0)
    truth = np.zeros((64, 64), int)
    truth[:8, :8], truth[56:, 56:] = 1, 2
    rarity = np.array([0, 1.0, 9.0])
    hits = 0
    for _ in range(200):
        row, col = patch_corner(truth, -1, 32, rarity, rng)
        hits += (truth[row : row + 32, col : col + 32] == 2).any()
    assert 150 < hits < 200
    assert patch_corner(np.full((64, 64), -1), 1, 32, rarity, rng) != (-1, -1)
