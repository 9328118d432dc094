"""The layers hold what their formulas say."""

import math

import pytest
import torch
from torch.nn import functional as F

from cafrnet.errors import UsageError
from cafrnet.learning.layers import (
    LAFR,
    PatchEmbedding,
    Pyramid,
    Reassemble,
    TransformerBlock,
    UngatedLAFR,
    recalibration,
)


def test_lafr_is_f_plus_f_times_a():
    layer, f = LAFR(3), torch.randn(2, 3, 5, 7)
    m = F.conv2d(
        F.conv2d(f, layer.pointwise.weight, layer.pointwise.bias),
        layer.depthwise.weight,
        layer.depthwise.bias,
        padding=1,
        groups=3,
    )
    assert torch.allclose(layer(f), f + f * (1 / (1 + (-m).exp())), atol=1e-6)
    attention = layer.attention(f)
    assert ((attention > 0) & (attention < 1)).all()


def test_lafr_keeps_zero_and_the_sign():
    layer, f = LAFR(4), torch.randn(1, 4, 6, 6)
    assert torch.equal(layer(torch.zeros(1, 4, 6, 6)), torch.zeros(1, 4, 6, 6))
    assert torch.equal(layer(f).sign(), f.sign())


def test_the_control_adds_what_lafr_multiplies():
    lafr, control, f = LAFR(3), recalibration("ungated", 3), torch.randn(2, 3, 5, 7)
    control.load_state_dict(lafr.state_dict())
    assert torch.allclose(control(f) - f, lafr.attention(f).logit(), atol=1e-4)


def test_what_stands_on_a_tap():
    kinds = [type(recalibration(kind, 3)) for kind in (True, "ungated", False)]
    assert kinds == [LAFR, UngatedLAFR, torch.nn.Identity]
    with pytest.raises(UsageError, match="lafr 'gated' came"):
        recalibration("gated", 3)


def test_patch_embedding_is_eq_1_plus_positions():
    embed = PatchEmbedding(1, 6, patch=4, size=8)
    image = torch.randn(1, 1, 8, 8)
    patch = image[0, 0, 4:8, 0:4].flatten()  # third of four tokens, row by row
    z = embed.project.weight.view(6, 16) @ patch + embed.project.bias
    assert torch.allclose(embed(image)[0, 2], z + embed.positions[0, :, 1, 0], atol=1e-6)


def test_transformer_block_is_post_norm_with_scaled_attention():
    torch.manual_seed(0)
    block, z = TransformerBlock(8, heads=2, ratio=2.0).eval(), torch.randn(1, 3, 8)
    q, k, v = (block.qkv(z).view(1, 3, 3, 2, 4)[:, :, i] for i in range(3))
    heads = []
    for h in range(2):
        weights = (q[0, :, h] @ k[0, :, h].T / math.sqrt(4)).softmax(dim=-1)
        heads.append(weights @ v[0, :, h])
    z1 = block.norm1(z + block.out(torch.cat(heads, dim=-1)[None]))
    assert torch.allclose(block(z), block.norm2(z1 + block.ffn(z1)), atol=1e-5)
    assert torch.allclose(block(z).mean(dim=-1), torch.zeros(1, 3), atol=1e-5)  # a norm comes last


def test_reassembly_puts_each_token_at_its_place():
    layer = Reassemble(4, channels=1, upscale=2)
    tokens = torch.randn(1, 6, 4)
    base = layer(tokens, (2, 3))
    tokens[0, 4] += 1.0  # second row, second column
    change = (layer(tokens, (2, 3)) - base)[0, 0].abs() > 1e-7
    assert base.shape == (1, 1, 4, 6)
    assert change[2:4, 2:4].all()
    assert change.sum() == 4


def test_pyramid_halves_the_resolution_at_each_step():
    maps = Pyramid(1, (2, 3, 4, 5, 6)).eval()(torch.rand(2, 1, 32, 48))
    assert [tuple(m.shape) for m in maps] == [
        (2, 2, 32, 48),
        (2, 3, 16, 24),
        (2, 4, 8, 12),
        (2, 5, 4, 6),
        (2, 6, 2, 3),
    ]
