"""Masked autoencoding: how much is hidden, an error by hand, and no look at what is hidden."""

import pytest
import torch
from small_pretraining import NETS, recipe

from cafrnet.errors import UsageError
from cafrnet.learning.models import build_model
from cafrnet.learning.pretraining.encoder import Encoder
from cafrnet.learning.pretraining.masking import MaskedReconstruction, draw_mask, error_where_hidden


def chance(seed=0):
    return torch.Generator().manual_seed(seed)


def test_the_same_number_of_whole_patches_is_hidden_in_every_image():
    mask = draw_mask(5, (64, 96), 16, 0.6, chance())
    patches = mask.view(5, 4, 16, 6, 16).transpose(2, 3).flatten(3)
    assert torch.equal(patches.any(-1), patches.all(-1))
    assert patches.all(-1).flatten(1).sum(dim=1).tolist() == [14] * 5  # 0.6 of 24
    assert len({tuple(m.flatten().tolist()) for m in mask}) == 5


def test_the_error_counts_hidden_patches_with_content_only():
    image = torch.zeros(1, 1, 16, 16)
    image[..., :8, :8], image[..., :8, 8:] = 0.5, 0.25  # two patches with content, two without
    guess, mask = torch.ones_like(image), torch.zeros(1, 16, 16, dtype=torch.bool)
    assert error_where_hidden(guess, image, mask, 8) == 0
    mask[:, :, :8] = True  # the left two, one of them empty
    assert error_where_hidden(guess, image, mask, 8) == pytest.approx(0.5)
    mask[:] = True
    assert error_where_hidden(guess, image, mask, 8) == pytest.approx((0.5 + 0.75) / 2)


@pytest.mark.parametrize("net", NETS)
def test_nothing_of_a_hidden_patch_reaches_the_encoder(net):
    made = recipe(net, "mask_share=0.99", still=True)
    encoder = Encoder(build_model(net, num_classes=22, clr=True, args=made.model_args)).eval()
    task = MaskedReconstruction(encoder, made)
    seen = []
    original = encoder.network.encode
    encoder.network.encode = lambda image: seen.append(image.detach().clone()) or original(image)
    task(encoder, torch.rand(2, 1, 64, 64, generator=chance()), 3)
    task(encoder, torch.rand(2, 1, 64, 64, generator=chance(1)), 3)
    assert torch.equal(seen[0], seen[1])  # all 16 patches are hidden
    assert seen[0].unique().tolist() == [0.5]


@pytest.mark.parametrize("net", NETS)
def test_a_gradient_reaches_the_whole_encoder_and_what_is_thrown_away(net):
    made = recipe(net)
    encoder = Encoder(build_model(net, num_classes=22, clr=True, args=made.model_args))
    task = MaskedReconstruction(encoder, made)
    task(encoder, torch.rand(2, 1, 64, 64, generator=chance()), 0).backward()
    without = {n.split(".")[1] for n, p in encoder.named_parameters() if p.grad is None}
    named = {name.split(".")[1] for name, _ in encoder.named_parameters()}
    assert without == named & {"recalibrate", "decoder", "refine", "head", "fuse"}
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in task.parameters())


def test_the_same_seed_gives_the_same_loss():
    made = recipe("cafr_net_plus")
    encoder = Encoder(build_model("cafr_net_plus", num_classes=22, args=made.model_args)).eval()
    task, image = MaskedReconstruction(encoder, made), torch.rand(2, 1, 64, 64, generator=chance())
    losses = [task(encoder, image, seed).item() for seed in (5, 5, 6)]
    assert losses[0] == losses[1] != losses[2]


def test_a_network_without_an_encoder_is_refused():
    with pytest.raises(UsageError, match="UNet has no encoder with taps"):
        Encoder(build_model("unet"))
