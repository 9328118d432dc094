"""The network: its budget by hand, its shapes, its switches, and a gradient in every parameter."""

import pytest
import torch

from cafrnet.errors import UsageError
from cafrnet.learning.models import build_model, normal_output
from cafrnet.learning.models.cost import count_macs, count_parameters

SMALL = {"size": 64, "patch": 16, "width": 48, "heads": 6, "tap_channels": (8, 12, 16), "clr_channels": 16}
SMALL["decoder_channels"] = (12, 8, 8, 8)


def test_budget_of_512_gmacs_against_a_hand_count():
    n, d = 256, 768
    block = 3 * n * d * d + n * d * d + 2 * n * n * d + 2 * n * d * (2 * d)
    assert block / 1e9 == pytest.approx(1.31, abs=0.005)  # facts: a block at ratio 2
    hand = n * 16 * 16 * d + 3 * block
    hand += n * d * (64 * 16 + 128 * 4 + 256)  # reassembly of the taps
    for pixels, c in ((64 * 64, 64), (32 * 32, 128), (16 * 16, 256)):  # LAFR
        hand += pixels * (c * c + 9 * c)
    for pixels, i, o in ((32**2, 256 + 128, 64), (64**2, 64 + 64, 32), (128**2, 32, 16), (256**2, 16, 16)):
        hand += pixels * 9 * i * o
    hand += 256**2 * 16 * 20
    counted = count_macs(build_model("cafr_net"), (1, 1, 256, 256))
    assert counted == hand
    assert counted / 1e9 <= 5.12


def test_lafr_costs_little_and_clr_nothing_at_inference():
    full, without = build_model("cafr_net"), build_model("cafr_net", args={"lafr": False})
    no_clr = build_model("cafr_net", args={"clr": False})
    shape = (1, 1, 256, 256)
    assert 0 < count_macs(full, shape) - count_macs(without, shape) < 0.06e9
    assert count_macs(full, shape) == count_macs(no_clr, shape)
    assert count_parameters(full) == count_parameters(no_clr)


@pytest.mark.parametrize("lafr", [True, False, "ungated"])
@pytest.mark.parametrize("clr", [True, False])
def test_ablation_switches_shapes_and_gradients(lafr, clr):
    model = build_model("cafr_net", num_classes=7, args={**SMALL, "lafr": lafr, "clr": clr})
    logits, embeddings = model(torch.rand(2, 1, 64, 64))
    assert logits.shape == (2, 7, 64, 64)
    assert set(embeddings) == ({"fused", "1/8", "1/4"} if clr else set())
    if clr:
        assert embeddings["fused"].shape == (2, 16, 16, 16)
        assert embeddings["1/8"].shape == (2, 12, 8, 8)
    (logits.square().mean() + sum(e.square().mean() for e in embeddings.values())).backward()
    without = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    # A key's bias shifts every logit of a softmax alike: its gradient is 0 by mathematics, so the query,
    # key and value biases are one parameter here and are not in the list.
    assert not without


def test_the_fused_map_is_not_computed_in_inference():
    model = build_model("cafr_net", args=SMALL).eval()
    assert model(torch.rand(1, 1, 64, 64)).embeddings == {}


def test_clr_source_changes_what_is_fused():
    torch.manual_seed(0)
    model = build_model("cafr_net", args={**SMALL, "dropout": 0.0}).train()
    image = torch.rand(2, 1, 64, 64)
    encoder = model(image).embeddings["fused"]
    model.clr_source = "recalibrated"
    assert not torch.allclose(encoder, model(image).embeddings["fused"])


@pytest.mark.parametrize(("height", "width"), [(64, 64), (96, 64), (128, 160)])
def test_other_input_sizes_interpolate_the_positions(height, width):
    model = build_model("cafr_net", args=SMALL).eval()
    assert model(torch.rand(1, 1, height, width)).logits.shape == (1, 20, height, width)


def test_any_network_by_import_path():
    model = build_model(
        "monai.networks.nets.BasicUNetPlusPlus", num_classes=5, args={"features": [4, 4, 4, 4, 4, 4]}
    )
    assert normal_output(model.eval()(torch.rand(1, 1, 32, 32))).logits.shape == (1, 5, 32, 32)


@pytest.mark.parametrize(
    ("name", "args", "message"),
    [
        ("cafr_nett", {}, "did you mean 'cafr_net'"),
        ("monai.networks.nets.NoSuchNet", {}, "could not be imported"),
        ("cafr_net", {"widht": 3}, "did you mean 'width'"),
        ("cafr_net", {"width": 50}, "multiple of heads"),
        ("cafr_net", {"patch": 8}, "decoder"),
        ("cafr_net", {"clr_source": "x"}, "encoder"),
    ],
)
def test_bad_names_and_arguments(name, args, message):
    with pytest.raises(UsageError, match=message):
        build_model(name, args=args)
