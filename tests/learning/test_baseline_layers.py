"""The baselines' building blocks: what each must do, worked out by hand."""

import pytest
import torch
from torch import nn

from cafrnet.learning.layers import (
    Bottleneck,
    PairedAttention,
    PatchExpanding,
    StandardisedConv,
    SwinStage,
    TransformerBlock,
)
from cafrnet.learning.models.attention_unet import AttentionUNet


def changed(module, tokens, row, column):
    """[H, W] bool: which outputs change with the token (or pixel, channels last) at one place."""
    other = tokens.clone()
    other[:, row, column] += 1 + torch.rand(tokens.shape[-1])
    with torch.no_grad():
        return (module.eval()(tokens) - module(other)).abs().amax(dim=(0, 3)) > 1e-7


def box(rows, columns, edge):
    expected = torch.zeros(edge, edge, dtype=torch.bool)
    expected[rows, columns] = True
    return expected


@pytest.mark.parametrize("upscale", [2, 4])
def test_patch_expanding_puts_each_token_at_its_place(upscale):
    torch.manual_seed(0)
    found = changed(PatchExpanding(8, upscale, 4), torch.rand(1, 3, 3, 8), 1, 2)
    place = slice(upscale, 2 * upscale), slice(2 * upscale, 3 * upscale)
    assert torch.equal(found, box(*place, 3 * upscale))


def test_swin_attends_within_windows_then_across_their_borders_and_never_around_the_edge():
    r"""8 x 8 tokens, windows of 4; a token of the first window is changed.

    One block:            two blocks, the second shifted by 2: borders at 2 and 6
    +----+----+           rows 0-3 reach the windows of rows 0-1 and 2-5. Rows 6-7 lie in one shifted
    |XXXX|    |           window with rows 0-1 of the other side, which the mask keeps apart.
    +----+----+
    |    |    |
    +----+----+
    """
    torch.manual_seed(0)
    tokens = torch.rand(1, 8, 8, 6)
    one, two = SwinStage(6, 2, 4, [0.0], 4.0), SwinStage(6, 2, 4, [0.0, 0.0], 4.0)
    assert torch.equal(changed(one, tokens, 0, 3), box(slice(0, 4), slice(0, 4), 8))
    assert torch.equal(changed(two, tokens, 0, 3), box(slice(0, 6), slice(0, 6), 8))


def test_swin_sees_the_whole_map_where_one_window_covers_it():
    torch.manual_seed(0)
    assert changed(SwinStage(6, 2, 4, [0.0, 0.0], 4.0), torch.rand(1, 4, 4, 6), 0, 0).all()


def test_paired_attention_head_by_head():
    torch.manual_seed(0)
    n, c, heads = 10, 8, 2
    layer, x = PairedAttention(c, n, 3, heads, 0.0).eval(), torch.rand(1, n, c)
    with torch.no_grad():
        layer.factor_place.copy_(torch.tensor([2.0, 0.5]).view(2, 1, 1))
        layer.factor_channel.copy_(torch.tensor([3.0, 0.7]).view(2, 1, 1))
        q, k, v_channel, v_place = (x[0] @ layer.qkvv.weight.T).split(c, dim=1)  # each [N, C]
        place, channel = torch.zeros(n, c), torch.zeros(n, c)
        for head in range(heads):
            part = slice(head * c // heads, (head + 1) * c // heads)
            qh, kh = q[:, part], k[:, part]
            keys, values = layer.project(kh.T).T, layer.project(v_place[:, part].T).T  # [P, C / heads]
            qn, kn = qh / qh.norm(dim=0), kh / kh.norm(dim=0)
            place[:, part] = (layer.factor_place[head] * qn @ keys.T).softmax(dim=1) @ values
            mixing = (layer.factor_channel[head] * qn.T @ kn).softmax(dim=1)
            channel[:, part] = v_channel[:, part] @ mixing.T
        by_hand = torch.cat([layer.out_place(place), layer.out_channel(channel)], dim=1)
        assert torch.allclose(layer(x)[0], by_hand, atol=1e-6)


def test_standardised_kernels_ignore_their_scale_and_offset():
    torch.manual_seed(0)
    conv, image = StandardisedConv(3, 4, 3, padding=1, bias=False), torch.rand(1, 3, 6, 6)
    with torch.no_grad():
        before = conv(image)
        conv.weight.mul_(7).add_(2)
        assert torch.allclose(conv(image), before, rtol=2e-3, atol=2e-3)
        kernel = conv.weight - conv.weight.mean(dim=(1, 2, 3), keepdim=True)
        kernel /= kernel.flatten(1).std(dim=1, correction=0).view(-1, 1, 1, 1)
        assert torch.allclose(nn.functional.conv2d(image, kernel, padding=1), before, rtol=2e-3, atol=2e-3)


def test_bottleneck_shapes_and_its_shortcut():
    image = torch.rand(1, 64, 8, 8)
    assert Bottleneck(64, 32, stride=2)(image).shape == (1, 128, 4, 4)
    same = Bottleneck(128, 32)
    with torch.no_grad():
        same.path[-1].weight.zero_()
        x = torch.rand(1, 128, 4, 4)
        assert torch.equal(same(x), x)  # the path gives 0; what comes is positive


def test_pre_norm_leaves_the_residual_path_free():
    torch.manual_seed(0)
    block, x = TransformerBlock(8, 2, pre_norm=True).eval(), 5 * torch.rand(1, 4, 8)
    with torch.no_grad():
        attended = x + block.attention(block.norm1(x))
        assert torch.allclose(block(x), attended + block.ffn(block.norm2(attended)))
        for layer in (block.out, block.ffn[2]):
            layer.weight.zero_()
            layer.bias.zero_()
        assert torch.equal(block(x), x)


def test_attention_gates_scale_each_place_of_the_skip_connection_between_0_and_1():
    torch.manual_seed(0)
    gate = AttentionUNet(widths=(4, 8)).eval().unet.up[0].gate
    skip = 1 + torch.rand(1, 4, 6, 6)
    with torch.no_grad():
        share = gate(g=torch.rand(1, 4, 6, 6), x=skip) / skip
    assert ((share > 0) & (share < 1)).all()
    assert torch.allclose(share, share[:, :1].expand_as(share))  # one number per place, for all channels
