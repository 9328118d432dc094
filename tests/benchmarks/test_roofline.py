import json

import layer_times
import numpy as np
import onnx
import onnxruntime
import pytest
import roofline
import torch
from layer_times import Group, Times
from networks import export_int8

from cafrnet.learning.export.onnx import export_onnx
from cafrnet.learning.models import build_model
from cafrnet.learning.models.cost import count_macs
from cafrnet.learning.training.module import Segmenter

TINY = {"channels": (4, 6, 8, 12, 16), "width": 24, "heads": 2, "depths": (1, 1, 1)}
TINY |= {"decoder_channels": (12, 8, 8, 8)}


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return build_model("cafr_net_plus", num_classes=20, clr=False, args=TINY)


@pytest.fixture(scope="module")
def source(network, tmp_path_factory):
    path = tmp_path_factory.mktemp("models") / "shipped/fp32.onnx"
    export_onnx(Segmenter(network, np.ones(20, bool)), 256, path, {})
    return path


def test_costs_of_the_layers_add_up_to_those_of_the_network(network, source):
    _, found = layer_times.costs(source)
    assert sum(g.macs for g in found.groups.values()) == count_macs(network, (1, 1, 256, 256))
    # a 3 x 3 convolution of 1 channel to 4 reads the image and its weights, and writes 4 maps
    first = found.groups["pyramid.steps.0"]
    assert first.macs == 256**2 * 4 * 9
    assert first.elements == 256**2 + 4 * 9 + 4 * 256**2


def test_every_node_that_costs_finds_its_way_back_to_its_module(source):
    found = layer_times.layer_times(source, source, batch=2, threads=1, runs=2, keep=True)
    costly = {name for name, group in found.groups.items() if group.macs}
    assert {"pyramid.steps.1", "stages", "recalibrate", "decoder.3", "refine.3", "head"} <= costly
    assert all(found.groups[name].ms > 0 for name in costly)
    assert found.ms == pytest.approx(sum(g.ms for g in found.groups.values()))
    assert found.kinds["products"] > found.kinds["softmax"] > 0


def test_products_are_counted_by_hand():
    shapes = {"x": (2, 3, 8, 8), "w": (5, 3, 3, 3), "y": (2, 5, 8, 8), "t": (4, 6), "m": (6, 7), "p": (4, 7)}
    node = onnx.helper.make_node
    assert layer_times.macs_of(node("Conv", ["x", "w"], ["y"]), shapes) == 2 * 5 * 64 * 27
    assert layer_times.macs_of(node("MatMul", ["t", "m"], ["p"]), shapes) == 4 * 6 * 7
    assert layer_times.macs_of(node("Relu", ["x"], ["y"]), shapes) == 0


@pytest.mark.parametrize(
    ("operator", "kind"),
    [
        ("QLinearConv", "products"),
        ("FusedMatMul", "products"),
        ("ReorderOutput", "layout"),
        ("QLinearSoftmax", "softmax"),
        ("DequantizeLinear", "to and from int8"),
        ("SkipLayerNormalization", "other"),
    ],
)
def test_kinds(operator, kind):
    assert layer_times.kind_of(operator) == kind


def test_losses_add_up_to_the_whole():
    times = Times()
    times.groups["a"] = Group(macs=2e9, elements=1e6, ms=25.0)
    times.kinds |= {"products": 20.0, "layout": 5.0}
    # 2 GMACs at 200 per s are 10 ms
    assert roofline.losses(times, 200.0) == {
        "at the peak": 10.0,
        "products below the peak": 10.0,
        "layout": 5.0,
    }


def test_the_roof_is_memory_where_there_is_little_to_multiply():
    times = Times()
    times.groups["dense"] = Group(macs=1e9, elements=1e6, ms=10.0)
    times.groups["thin"] = Group(macs=1e6, elements=1e6, ms=1.0)
    times.groups["none"] = Group(ms=1.0)
    dense, thin, none = roofline.layer_rows(times, peak=200.0, stream=20.0, width=4)
    assert (dense["roof_gmacs_per_s"], dense["share_of_peak"]) == (200.0, 0.5)
    assert thin["roof_gmacs_per_s"] == 0.25 * 20  # a quarter of a MAC per byte
    assert none["gmacs_per_s"] is None
    assert sum(r["share_of_time"] for r in (dense, thin, none)) == pytest.approx(1, abs=1e-3)


def test_the_peak_is_the_fastest_product_not_a_network():
    rows = [
        {"kind": "matrix", "precision": "fp32", "library": "a", "size": "1", "gmacs_per_s": 10.0},
        {"kind": "convolution", "precision": "fp32", "library": "b", "size": "2", "gmacs_per_s": 12.0},
        {"kind": "network", "precision": "fp32", "library": "b", "size": "3", "gmacs_per_s": 99.0},
    ]
    found = roofline.peaks(rows)
    assert found == {"fp32": {"gmacs_per_s": 12.0, "kind": "convolution", "library": "b", "size": "2"}}


@pytest.mark.parametrize("shape", [(64,), (16, 8)])
def test_int8_products_are_products_of_integers(shape, tmp_path):
    """What stands between two files of quantised numbers is multiplied in int8, and is right."""
    path = tmp_path / "product.onnx"
    roofline.product_file(path, shape, int8=True)
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimised.onnx")
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    done = {node.op_type for node in onnx.load(tmp_path / "optimised.onnx").graph.node}
    assert {"QLinearMatMul", "QLinearConv"} & done
    size = (64, 64) if len(shape) == 1 else (1, 16, 8, 8)
    middle = session.run(None, {"xq": np.full(size, 128, np.uint8)})[0]
    assert (middle == 128).all()  # 128 stands for 0
    other = session.run(None, {"xq": np.full(size, 200, np.uint8)})[0]
    assert other.std() > 0


def test_missing_files_are_named_before_anything_is_measured(tmp_path):
    with pytest.raises(SystemExit, match=r"fp32\.onnx.*networks\.py --prepare"):
        roofline.main(["-o", str(tmp_path)])


@pytest.mark.slow
def test_the_whole_command(source, tmp_path, monkeypatch):
    monkeypatch.setattr(roofline, "EDGES", (64,))
    monkeypatch.setattr(roofline, "CONVOLUTIONS", ((16, 16),))
    monkeypatch.setattr(roofline, "STREAM", 100_000)
    export_int8(source, source.with_name("int8_1.onnx"), 1)
    words = ["-o", str(tmp_path), "--models", str(source.parents[1]), "--rounds", "1", "--batch", "1"]
    roofline.main([*words, "--threads", "1"])
    found = json.loads((tmp_path / "roofline.json").read_text())
    assert {r["kind"] for r in found["rows"]} == {"matrix", "convolution", "network"}
    assert set(found["peaks"]) == {"fp32", "bf16", "int8"}
    for profile in found["profiles"].values():
        assert sum(profile["goes"].values()) == pytest.approx(profile["ms"], abs=0.05)
    assert torch.is_grad_enabled()  # nothing stays switched off for who comes after
    text = (tmp_path / "roofline.md").read_text()
    assert "| ONNX Runtime, memory given back | fp32 |" in text
