"""Contrast of views: a cell's place in the other view is right, and InfoNCE by hand."""

import math

import pytest
import torch
from small_pretraining import NETS, recipe
from torch import nn
from torch.nn import functional as F

from cafrnet.errors import UsageError
from cafrnet.learning.augmentation.warp import warp
from cafrnet.learning.losses import ClrSettings
from cafrnet.learning.models import build_model
from cafrnet.learning.pretraining.encoder import Encoder
from cafrnet.learning.pretraining.images import no_truth
from cafrnet.learning.pretraining.views import ViewContrast, contrast_cells, draw_cells, paired_features

SETTINGS = ClrSettings(temperature=1.0, negatives=0, positives="view")


def chance(seed=0):
    return torch.Generator().manual_seed(seed)


def moved(image, dx, dy):
    """The image moved by whole pixels to the left and up, and the grid that says so."""
    n, _, height, width = image.shape
    grid = F.affine_grid(torch.eye(2, 3).repeat(n, 1, 1), list(image.shape), align_corners=False)
    grid = grid + torch.tensor([2 * dx / width, 2 * dy / height])
    return warp(image, no_truth(image), grid)[0], grid


def test_paired_features_are_of_the_same_tissue():
    first = torch.rand(2, 1, 64, 64, generator=chance()) + 0.1
    second, grid = moved(first, 12, 8)  # 3 and 2 cells of 4 pixels
    cells = draw_cells(second, grid, 4, 40, chance())
    maps = [F.avg_pool2d(view, 4) for view in (first, second)]
    pairs = paired_features(*maps, cells)
    assert pairs.shape == (2, 2, 40, 1)
    assert cells.valid.all()
    assert torch.allclose(pairs[0], pairs[1], atol=1e-5)
    rows, columns = cells.which // 16, cells.which % 16
    assert rows.max() < 14  # the lowest two rows and the last three columns came from outside
    assert columns.max() < 13


def test_cells_that_one_view_does_not_show_fill_up_but_do_not_count():
    first = torch.zeros(1, 1, 64, 64)
    first[..., 16:24, 16:24] = 1  # four cells
    cells = draw_cells(*moved(first, 0, 0), 4, 10, chance())
    assert cells.valid.tolist() == [[True] * 4 + [False] * 6]
    assert sorted(cells.which[0, :4].tolist()) == [68, 69, 84, 85]


def test_the_loss_of_two_places_by_hand():
    pairs = torch.tensor([[[1.0, 0.0], [0.0, 1.0]], [[1.0, 0.0], [0.0, 1.0]]])[:, None]  # [view, image, n, c]
    loss = contrast_cells(pairs, torch.ones(1, 2, dtype=torch.bool), nn.Identity(), SETTINGS, chance())
    # positive 1; negatives: the other place in both views, both 0
    assert float(loss) == pytest.approx(math.log(1 + 2 / math.e), rel=1e-5)
    alone = torch.tensor([[True, False]])
    assert float(contrast_cells(pairs, alone, nn.Identity(), SETTINGS, chance())) == 0  # no negative is left


@pytest.mark.parametrize("net", NETS)
def test_a_gradient_reaches_the_encoder_the_fused_map_and_the_projections(net):
    made = recipe(net, "method=view", "cells=6")
    encoder = Encoder(build_model(net, num_classes=22, clr=True, args=made.model_args))
    task = ViewContrast(encoder, made)
    task(encoder, torch.rand(3, 1, 64, 64, generator=chance()) + 0.1, 0).backward()
    without = {n.split(".")[1] for n, p in encoder.named_parameters() if p.grad is None}
    named = {name.split(".")[1] for name, _ in encoder.named_parameters()}
    assert without == named & {"recalibrate", "decoder", "refine", "head"}
    assert all(p.grad is not None for p in task.parameters())


def test_a_network_without_maps_for_clr_is_refused():
    made = recipe("cafr_net_plus", "method=view")
    encoder = Encoder(build_model("cafr_net_plus", num_classes=22, clr=False, args=made.model_args))
    with pytest.raises(UsageError, match=r"leave clr\.enabled true"):
        ViewContrast(encoder, made)
