"""One contract over all registered networks: shapes, gradients, chance, export, cost against a hand count.

Costs and shapes of the full sizes are checked without weights (torch's "meta" device); what needs numbers
runs on small forms of the same networks, and, marked slow, on the full ones.
"""

import json
import math

import numpy as np
import onnxruntime
import pytest
import torch
from torch import nn

from cafrnet.cli.main import main
from cafrnet.errors import UsageError
from cafrnet.experiments.rows import TABLE4
from cafrnet.learning.export.onnx import export_onnx
from cafrnet.learning.layers import TransformerBlock
from cafrnet.learning.models import REGISTRY, build_model, list_models
from cafrnet.learning.models.cost import count_macs, count_parameters
from cafrnet.learning.recipes import load_recipe
from cafrnet.learning.training.module import network_for
from cafrnet.learning.types import Output

NAMES = list(REGISTRY)
#: Small forms that keep every kind of layer; ``size`` is where the network fixes it.
SMALL = {
    "unet": {"widths": (4, 8, 12, 16, 20)},
    "attention_unet": {"widths": (4, 8, 12, 16, 20)},
    "nnunet": {"widths": (4, 8, 12, 16, 20)},
    "transunet": {
        "size": 64,
        "base": 32,
        "units": (1, 1, 1),
        "width": 24,
        "layers": 2,
        "heads": 2,
        "bridge": 16,
        "decoder_channels": (16, 8, 8, 4),
    },
    "swin_unet": {"width": 12, "heads": (1, 2, 2), "window": 2},
    "unetr_pp": {"size": 64, "widths": (8, 16, 32, 32), "depth": 1, "projected": (8, 8, 8, 4), "heads": 2},
    "cafr_net": {
        "size": 64,
        "width": 48,
        "tap_channels": (8, 12, 16),
        "clr_channels": 16,
        "decoder_channels": (12, 8, 8, 8),
    },
    "cafr_net_plus": {
        "channels": (4, 6, 8, 12, 16),
        "width": 24,
        "heads": 2,
        "depths": (1, 1, 1),
        "decoder_channels": (12, 8, 8, 8),
        "clr_channels": 16,
    },
}
#: Table 4: CAFR-Net without one of its parts or both.
ABLATIONS = {
    "baseline": {"lafr": False, "clr": False},
    "lafr_only": {"clr": False},
    "clr_only": {"lafr": False},
}
#: Everything that is trained, small: registered name and arguments.
FORMS = {name: (name, args) for name, args in SMALL.items()}
FORMS |= {name: ("cafr_net", {**SMALL["cafr_net"], **args}) for name, args in ABLATIONS.items()}
#: Sizes that a network takes only if it is built for them.
FIXED = {"unetr_pp"}
SHAPE = (1, 1, 256, 256)


def full(name, **args):
    """The registered size, without weights."""
    with torch.device("meta"):
        if name in ABLATIONS:
            return build_model("cafr_net", args={**ABLATIONS[name], **args})
        return build_model(name, args=args)


def small(name, **more):
    torch.manual_seed(0)
    model, args = FORMS[name]
    return build_model(model, num_classes=5, args={**args, **more})


def test_the_seven_of_table_3_and_the_sizes_near_its_figures_are_registered():
    published = {"unet", "attention_unet", "nnunet", "transunet", "swin_unet", "unetr_pp", "cafr_net"}
    ours = {"cafr_net_plus"}
    assert set(NAMES) == published | ours | {"transunet_paper", "swin_unet_paper", "unetr_pp_paper"}
    assert set(SMALL) == published | ours


def test_the_ablations_are_the_rows_of_table_4():
    assert [row.name for row in TABLE4] == [*ABLATIONS, "cafr_net"]
    parts = []
    for row in TABLE4:
        with torch.device("meta"):
            trained = network_for(load_recipe(row.recipe, row.changes))
        parts.append(frozenset(trained.state_dict()))
        assert parts[-1] == frozenset(full(row.name).state_dict())
    assert len(set(parts)) == 4


# -- shapes ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [*NAMES, *ABLATIONS])
def test_full_size_shapes_at_256_and_another_size(name):
    for edge in (256, 320):
        model = full(name, **({"size": edge} if name.removesuffix("_paper") in FIXED else {})).eval()
        output = model(torch.zeros(2, 1, edge, edge, device="meta"))
        assert isinstance(output, Output)
        assert output.logits.shape == (2, 20, edge, edge)
        assert output.embeddings == {}


@pytest.mark.parametrize("name", FORMS)
def test_small_forms_take_other_sizes_channels_and_classes(name):
    size = {"size": 96} if name in FIXED else {}
    model, args = FORMS[name]
    model = build_model(model, in_channels=2, num_classes=3, args={**args, **size}).eval()
    with torch.no_grad():
        logits = model(torch.rand(1, 2, 96, 96)).logits
    assert logits.shape == (1, 3, 96, 96)
    assert logits.dtype == torch.float32
    assert logits.isfinite().all()


def test_images_that_are_not_square():
    for name in set(FORMS) - FIXED:
        with torch.no_grad():
            assert small(name).eval()(torch.rand(1, 1, 64, 96)).logits.shape == (1, 5, 64, 96)


@pytest.mark.parametrize(
    ("name", "edge", "message"),
    [
        ("swin_unet", 128, "multiples of 32 from 256"),
        ("swin_unet", 270, "multiples"),
        ("unetr_pp", 128, "built"),
    ],
)
def test_sizes_that_a_network_cannot_take_are_refused(name, edge, message):
    with pytest.raises(UsageError, match=message):
        full(name)(torch.zeros(1, 1, edge, edge, device="meta"))


@pytest.mark.parametrize(
    ("name", "args", "message"),
    [
        ("swin_unet", {"width": 97}, "multiple of the 3 heads"),
        ("transunet", {"width": 700}, "multiple of heads"),
        ("unetr_pp", {"size": 250}, "multiple of 32"),
        ("unet", {"width": 32}, "did you mean 'widths'"),
    ],
)
def test_arguments_that_contradict_each_other_are_refused(name, args, message):
    with pytest.raises(UsageError, match=message):
        full(name, **args)


# -- gradients and chance ----------------------------------------------------------------------------------


def without_gradient(model, image):
    """Names of parameters that the logits and embeddings in training mode don't depend on."""
    model.train()
    for module in model.modules():
        if "Drop" in type(module).__name__:  # a block that chance leaves out has no gradient in that step
            module.eval()
    output = model(image)
    (output.logits.square().mean() + sum(e.square().mean() for e in output.embeddings.values())).backward()
    return [n for n, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]


@pytest.mark.parametrize("name", FORMS)
def test_every_parameter_gets_a_gradient(name):
    assert without_gradient(small(name), torch.rand(2, 1, 64, 64)) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_every_parameter_of_the_full_size_gets_a_gradient(name):
    torch.manual_seed(0)
    assert without_gradient(build_model(name), torch.rand(2, 1, 256, 256)) == []


@pytest.mark.parametrize("name", FORMS)
def test_same_seed_same_network_and_same_training_step(name):
    image, results = torch.rand(2, 1, 64, 64), []
    for _ in range(2):
        model = small(name).train()
        torch.manual_seed(1)
        with torch.no_grad():
            results.append([*model.parameters(), model(image).logits])
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))


@pytest.mark.parametrize("name", FORMS)
def test_inference_is_the_same_twice_and_slice_by_slice(name):
    model, images = small(name).eval(), torch.rand(3, 1, 64, 64)
    with torch.no_grad():
        first, again = model(images).logits, model(images).logits
        alone = model(images[1:2]).logits
    assert torch.equal(first, again)
    assert torch.allclose(first[1:2], alone, atol=1e-3)  # rounding of other kernels, no other slice


# -- export ------------------------------------------------------------------------------------------------


def export_and_compare(model, size, path):
    """``export_onnx`` compares by itself; here once more with its file alone and another number of slices."""
    export_onnx(model, size, path, {"num_classes": 5})
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    image = torch.rand(1, 1, size, size, generator=torch.Generator().manual_seed(7))
    with torch.no_grad():
        ours = model.eval()(image).logits.numpy()
    (theirs,) = session.run(None, {"image": image.numpy()})
    assert np.abs(ours - theirs).max() <= 1e-3 * max(1.0, np.abs(ours).max())


LONG = {"swin_unet", "unetr_pp"}  # torch.export needs about ten seconds for them, whatever their size
LONG |= {"lafr_only", "clr_only"}  # in inference the networks of the full model and of the baseline


@pytest.mark.parametrize("name", [pytest.param(n, marks=[pytest.mark.slow] * (n in LONG)) for n in FORMS])
def test_export_agrees(name, tmp_path):
    export_and_compare(small(name), 64, tmp_path / "model.onnx")


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_export_of_the_full_size_agrees(name, tmp_path):
    torch.manual_seed(0)
    export_and_compare(build_model(name), 256, tmp_path / "model.onnx")


# -- cost --------------------------------------------------------------------------------------------------


def layers_by_hand(model):
    """Multiply-accumulates of convolutions, transposed ones and linear layers, by their definition."""
    total = 0

    def add(module, inputs, output):
        nonlocal total
        if isinstance(module, nn.Linear):
            total += output.numel() * module.in_features
        elif isinstance(module, nn.ConvTranspose2d):  # each input value meets every weight of its channel
            total += inputs[0].numel() * math.prod(module.weight.shape[1:])
        else:  # each output value sums over the weights of its channel
            total += output.numel() * math.prod(module.weight.shape[1:])

    kinds = (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)
    hooks = [m.register_forward_hook(add) for m in model.modules() if isinstance(m, kinds)]
    with torch.no_grad():
        model.eval()(torch.zeros(SHAPE, device="meta"))
    for hook in hooks:
        hook.remove()
    return total


def attention(places, keys, channels):
    """Q K^T and the sum over V, over all heads."""
    return 2 * places * keys * channels


def paired(places, projected, channels, heads=4):
    """UNETR++: attention over projected places, and over the channels of each head."""
    return attention(places, projected, channels) + 2 * places * channels * (channels // heads)


def unetr_pp_by_hand(widths, depth):
    places = (64**2, 32**2, 16**2, 8**2)
    encoder = sum(paired(n, p, c) for n, p, c in zip(places, (64, 64, 64, 32), widths, strict=True))
    decoder = sum(paired(n, 64, c) for n, c in zip(places[:3], widths[:3], strict=True))
    return depth * (encoder + decoder)


SWIN = sum(blocks * attention(edge**2, 8 * 8, c) for blocks, edge, c in
           ((4, 64, 96), (4, 32, 192), (4, 16, 384), (2, 8, 768)))  # fmt: skip
#: Attention products, worked out here; the rest are layers.
PRODUCTS = {
    "unet": 0,
    "attention_unet": 0,
    "nnunet": 0,
    "transunet": 12 * attention(256, 256, 768),
    "transunet_paper": 12 * attention(256, 256, 432),
    "swin_unet": SWIN,
    "swin_unet_paper": SWIN,
    "unetr_pp": unetr_pp_by_hand((32, 64, 128, 256), 3),
    "unetr_pp_paper": unetr_pp_by_hand((64, 128, 256, 512), 2),
    **dict.fromkeys(("cafr_net", *ABLATIONS), 3 * attention(256, 256, 768)),
    "cafr_net_plus": 6 * attention(256, 256, 256),
}


@pytest.mark.parametrize("name", [*NAMES, *ABLATIONS])
def test_cost_equals_a_hand_count(name):
    model = full(name)
    assert count_macs(model, SHAPE) == layers_by_hand(model) + PRODUCTS[name]


@pytest.mark.parametrize(
    ("name", "gmacs"),
    [("unet", 12.07), ("attention_unet", 12.34), ("nnunet", 12.07), ("transunet", 38.6), ("swin_unet", 8.15)],
)
def test_costs_of_the_published_sizes(name, gmacs):
    assert count_macs(full(name), SHAPE) / 1e9 == pytest.approx(gmacs, rel=0.005)


def test_cafr_net_plus_keeps_the_budget():
    assert count_macs(full("cafr_net_plus"), SHAPE) <= 5.12e9


@pytest.mark.parametrize(("name", "millions"), [("unet", 7.76), ("transunet", 105), ("swin_unet", 27.2)])
def test_parameters_of_the_published_sizes(name, millions):
    assert count_parameters(full(name)) / 1e6 == pytest.approx(millions, rel=0.005)


@pytest.mark.parametrize("name", [n for n in NAMES if n.endswith("_paper")])
def test_paper_sizes_come_within_a_hundredth_or_so_of_table_3(name):
    assert count_macs(full(name), SHAPE) / 1e9 == pytest.approx(REGISTRY[name].table_3, rel=0.015)


def test_cost_by_hand_of_the_first_step_of_the_u_net():
    model = full("unet", widths=(32, 64))
    enc = 256**2 * 9 * (1 * 32 + 32 * 32) + 128**2 * 9 * (32 * 64 + 64 * 64)
    up = 128**2 * 64 * 32 * 4 + 256**2 * 9 * (64 * 32 + 32 * 32)
    assert count_macs(model, SHAPE) == enc + up + 256**2 * 32 * 20


@pytest.mark.parametrize(("ratio", "gmacs"), [(1, 1.01), (2, 1.31), (4, 1.91)])
@pytest.mark.parametrize("device", ["meta", "cpu"])
def test_no_form_of_attention_is_left_out_of_the_count(ratio, gmacs, device):
    """Fused attention and torch's fused encoder layer are the counters' usual traps."""
    blocks = (
        TransformerBlock(768, 6, ratio),
        TransformerBlock(768, 12, ratio, activation=nn.GELU, pre_norm=True),
        nn.TransformerEncoderLayer(768, 12, 768 * ratio, batch_first=True),
    )
    for block in blocks:
        counted = count_macs(block.to(device), (1, 256, 768))
        assert counted == 256 * 768**2 * (4 + 2 * ratio) + attention(256, 256, 768)
        assert counted / 1e9 == pytest.approx(gmacs, abs=0.005)


def test_counting_leaves_the_network_as_it_was():
    model = small("transunet").train()
    count_macs(model, (1, 1, 64, 64))
    assert model.training
    assert torch.backends.mha.get_fastpath_enabled()


def test_the_command_lists_names_parameters_and_cost(capsys):
    rows = list_models()
    assert [row["name"] for row in rows] == NAMES
    assert all(isinstance(row["gmacs"], float) and isinstance(row["params"], int) for row in rows)
    assert {row["name"]: row["table_3_gmacs"] for row in rows}["transunet_paper"] == 11.66
    assert all("et al." in row["source"] for row in rows)
    assert main(["models", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == rows


def test_of_the_published_sizes_only_2d_unetr_pp_costs_less_than_cafr_net():
    rows = [name for name in NAMES if REGISTRY[name].table_3]
    cost = {name: count_macs(full(name), SHAPE) for name in rows if name in SMALL}
    assert [name for name in cost if cost[name] < cost["cafr_net"]] == ["unetr_pp"]
    near_table_3 = [n for n in rows if f"{n}_paper" not in NAMES]
    assert min(near_table_3, key=lambda n: count_macs(full(n), SHAPE)) == "cafr_net"
