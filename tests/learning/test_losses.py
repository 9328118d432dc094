"""The losses against values worked out by hand."""

import math

import pytest
import torch

from cafrnet.errors import UsageError
from cafrnet.labels import ValueSets
from cafrnet.learning.codes import TruthCodes
from cafrnet.learning.losses import (
    ClrSettings,
    Views,
    cell_labels,
    cross_entropy,
    dice_loss,
    info_nce,
    sample_cells,
)

CODES = TruthCodes(((0,), (1,), (2,), (0, 1), (0, 1, 2)), 3)  # code 3: background or 1; code 4: unknown


def logits_of(p: list[list[float]]) -> torch.Tensor:
    """[1, classes, 1, pixels] with these probabilities per pixel."""
    return torch.tensor(p).log().T[None, :, None]


def test_cross_entropy_of_sets_by_hand():
    logits = logits_of([[0.5, 0.25, 0.25], [0.2, 0.2, 0.6], [0.1, 0.3, 0.6], [0.9, 0.05, 0.05]])
    truth = torch.tensor([[[0, 2, 3, 4]]])
    expected = -(math.log(0.5) + math.log(0.6) + math.log(0.1 + 0.3)) / 3  # the unknown pixel is left out
    assert cross_entropy(logits, truth, CODES).item() == pytest.approx(expected, abs=1e-6)


def test_a_full_set_costs_nothing_and_an_unknown_batch_has_a_gradient_path():
    logits = torch.randn(1, 3, 2, 2, requires_grad=True)
    loss = cross_entropy(logits, torch.full((1, 2, 2), 4), CODES)
    loss.backward()
    assert loss.item() == 0
    assert torch.equal(logits.grad, torch.zeros_like(logits))


def test_binary_sum_is_eq_12_as_printed():
    logits = logits_of([[0.5, 0.25, 0.25], [0.2, 0.2, 0.6]])
    truth = torch.tensor([[[0, 2]]])
    first = math.log(0.5) + 2 * math.log(0.75)
    second = math.log(0.6) + 2 * math.log(0.8)
    assert cross_entropy(logits, truth, CODES, "binary_sum").item() == pytest.approx(
        -first - second, abs=1e-5
    )


def test_dice_by_hand():
    logits = logits_of([[0.2, 0.8, 0.0001], [0.5, 0.3, 0.2], [0.1, 0.1, 0.8]])
    p = logits.softmax(1)[0, :, 0]
    truth = torch.tensor([[[1, 0, 2]]])
    one = 2 * p[1, 0] / (p[1].square().sum() + 1)
    two = 2 * p[2, 2] / (p[2].square().sum() + 1)
    assert dice_loss(logits, truth, CODES).item() == pytest.approx(1 - (one + two).item() / 2, abs=1e-6)


def test_dice_leaves_out_pixels_that_say_nothing_about_a_class():
    logits = logits_of([[0.2, 0.8, 0.0001], [0.05, 0.9, 0.05], [0.1, 0.8, 0.1]])
    p = logits.softmax(1)[0, :, 0]
    truth = torch.tensor([[[1, 3, 4]]])  # certain 1; background or 1; unknown
    assert dice_loss(logits, truth, CODES).item() == pytest.approx(
        1 - (2 * p[1, 0] / (p[1, 0] ** 2 + 1)).item(), abs=1e-6
    )


def test_dice_of_a_perfect_answer_and_of_no_foreground():
    truth = torch.tensor([[[0, 1, 2, 2]]])
    perfect = torch.nn.functional.one_hot(truth, 3).permute(0, 3, 1, 2) * 100.0
    assert dice_loss(perfect, truth, CODES).item() == pytest.approx(0, abs=1e-6)
    empty = torch.randn(1, 3, 1, 4, requires_grad=True)
    loss = dice_loss(empty, torch.zeros(1, 1, 4, dtype=torch.long), CODES)
    loss.backward()
    assert loss.item() == 0


def test_dice_does_not_change_when_the_batch_is_repeated():
    logits, truth = torch.randn(2, 3, 8, 8), torch.randint(0, 5, (2, 8, 8))
    twice = dice_loss(logits.repeat(2, 1, 1, 1), truth.repeat(2, 1, 1), CODES)
    assert twice.item() == pytest.approx(dice_loss(logits, truth, CODES).item(), abs=1e-6)


# -- CLR


def test_a_cell_takes_foreground_that_covers_a_quarter():
    truth = torch.zeros(1, 4, 8, dtype=torch.long)
    truth[0, :2, :2] = 1  # a quarter of the first cell
    truth[0, 0, 4:7] = 2  # 3 of 16 pixels of the second
    assert cell_labels(truth, CODES, 4).tolist() == [[[1, 0]]]


def test_uncertain_cells_are_neither_anchors_nor_negatives():
    truth = torch.full((1, 4, 8), 3)
    truth[0, :2, 4:] = 2
    assert cell_labels(truth, CODES, 4).tolist() == [[[-1, 2]]]


def test_every_class_gets_the_same_number_of_anchors():
    labels = torch.tensor([[[0] * 10 + [1] * 3 + [-1] * 5]])
    cells, classes = sample_cells(labels, 4, 3, torch.Generator().manual_seed(0))
    assert classes.tolist() == [0] * 4 + [1] * 4 + [-1] * 4
    assert labels.flatten()[cells[:8]].tolist() == [0] * 4 + [1] * 4
    assert len(set(cells[:4].tolist())) == 4  # enough cells: none twice
    assert set(cells[4:8].tolist()) == {10, 11, 12}  # too few: all of them, one twice


def test_features_of_an_absent_class_take_no_part():
    torch.manual_seed(0)
    f = torch.nn.functional.normalize(torch.randn(6, 4), dim=1)
    classes, image = torch.tensor([1, 1, 2, 2, -1, -1]), torch.tensor([0, 1, 0, 1, 0, 1])
    settings = ClrSettings(negatives=0)
    where = views((0, 0, 0), (1, 0, 0))
    with_them = info_nce(f, classes, image, where, settings, torch.Generator())
    without = info_nce(f[:4], classes[:4], image[:4], where, settings, torch.Generator())
    assert with_them.item() == pytest.approx(without.item(), abs=1e-6)


def views(*triples: tuple[int, int, int]) -> Views:
    return Views(*(torch.tensor(x) for x in zip(*triples, strict=True)))


def test_info_nce_by_hand():
    a, b, c = [1.0, 0.0], [0.6, 0.8], [0.0, 1.0]
    features, classes = torch.tensor([a, b, c]), torch.tensor([1, 1, 2])
    image = torch.tensor([0, 1, 0])
    settings = ClrSettings(temperature=0.5, negatives=5)
    loss = info_nce(features, classes, image, views((0, 0, 0), (1, 0, 0)), settings, torch.Generator())
    # anchor a: positive a.b = 0.6, negative a.c = 0; anchor b: positive 0.6, negative b.c = 0.8; c has none
    first = -math.log(math.exp(1.2) / (math.exp(1.2) + math.exp(0)))
    second = -math.log(math.exp(1.2) / (math.exp(1.2) + math.exp(1.6)))
    assert loss.item() == pytest.approx((first + second) / 2, abs=1e-6)


def test_info_nce_without_a_pair_is_exactly_zero_with_a_gradient_path():
    features = torch.randn(3, 4, requires_grad=True)
    loss = info_nce(
        features,
        torch.tensor([1, 1, 2]),
        torch.zeros(3, dtype=torch.long),
        views((0, 0, 0)),
        ClrSettings(),
        torch.Generator(),
    )
    loss.backward()
    assert loss.item() == 0
    assert torch.equal(features.grad, torch.zeros_like(features))
    empty = info_nce(
        torch.zeros(0, 4, requires_grad=True),
        torch.zeros(0),
        torch.zeros(0),
        views((0, 0, 0)),
        ClrSettings(),
        torch.Generator(),
    )
    assert empty.item() == 0


@pytest.mark.parametrize(("kind", "pairs"), [("class", True), ("view", False), ("neighbour", True)])
def test_kinds_of_positives(kind, pairs):
    features = torch.eye(4)[:3]
    where = views((0, 3, 0), (0, 4, 0))  # two neighbouring slices of one scan
    loss = info_nce(
        features,
        torch.tensor([1, 1, 2]),
        torch.tensor([0, 1, 0]),
        where,
        ClrSettings(positives=kind),
        torch.Generator(),
    )
    assert (loss.item() > 0) == pairs


def test_views_of_one_slice_are_positives_of_kind_view():
    features = torch.eye(4)[:3]
    loss = info_nce(
        features,
        torch.tensor([1, 1, 2]),
        torch.tensor([0, 1, 0]),
        views((0, 3, 0), (0, 3, 1)),
        ClrSettings(positives="view"),
        torch.Generator(),
    )
    assert loss.item() > 0


def test_all_negatives_against_a_plain_formula():
    torch.manual_seed(0)
    features = torch.nn.functional.normalize(torch.randn(6, 4), dim=1)
    classes, image = torch.tensor([1, 1, 2, 2, 3, 3]), torch.tensor([0, 1, 0, 1, 0, 1])
    settings = ClrSettings(negatives=0, temperature=0.3)
    loss = info_nce(features, classes, image, views((0, 0, 0), (1, 0, 0)), settings, torch.Generator())
    s = (features @ features.T / 0.3).exp()
    expected = [-(s[i, i ^ 1] / (s[i, i ^ 1] + s[i, classes != classes[i]].sum())).log() for i in range(6)]
    assert loss.item() == pytest.approx(torch.stack(expected).mean().item(), abs=1e-6)


def test_minimising_clr_separates_classes():
    torch.manual_seed(0)
    raw = torch.nn.Parameter(torch.randn(40, 8))
    classes, image = torch.arange(40) % 4, torch.arange(40) // 4 % 2
    optimiser, g = torch.optim.Adam([raw], 0.05), torch.Generator().manual_seed(0)
    for _ in range(60):
        f = torch.nn.functional.normalize(raw, dim=1)
        optimiser.zero_grad()
        info_nce(f, classes, image, views((0, 0, 0), (1, 0, 0)), ClrSettings(), g).backward()
        optimiser.step()
    f = torch.nn.functional.normalize(raw.detach(), dim=1)
    same = classes[:, None] == classes[None]
    assert (f @ f.T)[same].mean() > (f @ f.T)[~same].mean() + 0.5


def test_bad_settings():
    with pytest.raises(UsageError, match="did you mean 'view'"):
        ClrSettings(positives="views")
    with pytest.raises(UsageError, match="temperature"):
        ClrSettings(temperature=0)


# -- codes


def test_codes_of_datasets_with_different_conventions():
    real = ValueSets({0: (0, 1), **{i: (i,) for i in range(2, 22)}})
    whole = ValueSets({0: (0, 20), 1: (1,), 2: (2, 21)})
    codes = TruthCodes.of([real, whole], 22)
    assert codes.sets[0] == (0,)
    assert codes.sets[codes.encode(torch.tensor([0]).numpy(), real)[0]] == (0, 1)
    assert codes.sets[codes.encode(torch.tensor([2]).numpy(), whole)[0]] == (2, 21)
    assert codes.sets[codes.encode(torch.tensor([255]).numpy(), whole)[0]] == tuple(range(22))


def test_twenty_outputs_make_canal_and_processes_background_but_keep_whole_vertebrae():
    whole = ValueSets({0: (0, 20), 2: (2, 21), 20: (20,), 21: (21,)})
    codes = TruthCodes.of([whole], 20)
    encoded = codes.encode(torch.tensor([0, 2, 20, 21]).numpy(), whole)
    assert [codes.sets[c] for c in encoded] == [(0,), (2,), (0,), (0,)]


def test_trained_classes():
    codes = TruthCodes(((0,), (0, 1), (2,), (3, 4)), 5)
    assert codes.trained([0, 1, 2, 3]).tolist() == [True, False, True, True, False]
    assert codes.trained([1, 2]).tolist() == [True, False, True, False, False]
