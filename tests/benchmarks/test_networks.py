import json

import networks
import numpy as np
import pytest
import torch

from cafrnet.learning.export.onnx import export_onnx
from cafrnet.learning.models import REGISTRY, build_model
from cafrnet.learning.training.module import Segmenter

TINY = {"channels": (4, 6, 8, 12, 16), "width": 24, "heads": 2, "depths": (1, 1, 1)}
TINY |= {"decoder_channels": (12, 8, 8, 8)}


def row(name, precision, engine, to_shipped, to_fp32):
    spread = {"quartile_1": 0.0, "quartile_3": 9.0}
    return {
        "name": name,
        "precision": precision,
        "engine": engine,
        **{f"{kind}_ratio_to_shipped": {"median": to_shipped, **spread} for kind in ("slice", "scan")},
        **{f"{kind}_ratio_to_fp32": {"median": to_fp32, **spread} for kind in ("slice", "scan")},
    }


def test_the_aims_ask_for_twice_the_fastest_published_baseline_and_for_twice_fp32():
    rows = [
        row("shipped", "fp32", "e", 1.0, 1.0),
        row("unet", "fp32", "e", 2.5, 1.0),
        row("unetr_pp", "fp32", "e", 1.9, 1.0),
        row("swin_unet_paper", "fp32", "e", 0.5, 1.0),  # no published size
        row("shipped", "int8, plan 1", "e", 0.4, 0.4),
    ]
    slice_, int8 = networks.aims(rows)[:2]
    assert slice_ == {
        "engine": "e",
        "work": "slice",
        "ratio": "unetr_pp / shipped",
        "times": 1.9,
        "reached": False,
    }
    assert (int8["times"], int8["reached"]) == (2.5, True)


def test_without_the_shipped_network_there_is_no_aim():
    nothing = {"slice_ratio_to_shipped": None, "scan_ratio_to_shipped": None}
    assert networks.aims([{**row("unet", "fp32", "e", 1, 1), **nothing}]) == []


def test_the_baselines_are_registered_and_cost_what_they_cost():
    assert set(networks.BASELINES) < set(REGISTRY)
    found = networks.costs(["unet", networks.SHIPPED])
    assert found["unet"]["gmacs"] == pytest.approx(12.073, abs=0.001)
    assert found["shipped"]["params"] == pytest.approx(5.39e6, rel=0.01)


def test_an_unknown_network_is_refused(tmp_path):
    with pytest.raises(SystemExit, match="did you mean 'unet'"):
        networks.main(["-o", str(tmp_path), "--models", "unett"])


@pytest.fixture
def files(tmp_path):
    """Small networks where the full ones would lie, so that nothing large is made."""
    for name in ("shipped", "unet"):
        torch.manual_seed(0)
        net = build_model("cafr_net_plus", num_classes=20, clr=False, args=TINY)
        export_onnx(Segmenter(net, np.ones(20, bool)), 64, tmp_path / f"models/{name}/fp32.onnx", {})
    damaged = tmp_path / "models/shipped/int8_1.onnx"
    damaged.write_bytes(b"no model")
    return tmp_path


@pytest.mark.slow
def test_the_whole_command(files, monkeypatch, capsys):
    monkeypatch.setattr(networks, "images", lambda engine, count: np.zeros((count, 1, 64, 64), np.float32))
    words = ["-o", str(files), "--models", "shipped", "unet", "--rounds", "2", "--scans", "1"]
    networks.main([*words, "--threads", "1"])
    found = json.loads((files / "networks.json").read_text())
    assert [r["name"] for r in found["rows"]] == ["shipped", "unet"]
    (refused,) = found["refused"]
    assert refused.startswith("onnxruntime refuses shipped, int8, plan 1: ")
    for r in found["rows"]:
        assert 0 < r["idle_mb"] < r["peak_slice_mb"] <= r["peak_scan_mb"]
        assert r["slices_per_s"] == pytest.approx(12e3 / r["scan"]["median_ms"], rel=0.01)
    assert found["rows"][0]["scan_ratio_to_shipped"]["median"] == 1
    assert "| unet | fp32 | 12.07 | 7.76 |" in capsys.readouterr().out
