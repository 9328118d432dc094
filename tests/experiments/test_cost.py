import json
import mmap

import numpy as np
import pytest

pytest.importorskip("torch")

import torch

from cafrnet.experiments import cost
from cafrnet.experiments.cost import count, measure
from cafrnet.experiments.footprint import ENGINE, measure_memory, one_slice
from cafrnet.experiments.memory import peak_memory
from cafrnet.inference.engines import open_engine
from cafrnet.learning.models import list_models
from cafrnet.learning.recipes import load_recipe
from handmade import write_grey_model


def test_counts_are_those_of_cafrnet_models():
    listed = {row["name"]: row for row in list_models()}
    for name in ("unet", "cafr_net"):
        found = count(load_recipe(name))
        assert (found.params, found.gmacs) == (listed[name]["params"], listed[name]["gmacs"])
    without = count(load_recipe("cafr_net", ["clr=false"]))
    assert without == count(load_recipe("cafr_net"))


def test_models_take_turns_and_a_measurement_is_kept(tmp_path, monkeypatch):
    models = {name: write_grey_model(tmp_path / name) / "model.onnx" for name in ("a", "b")}
    models["b"].write_bytes(write_grey_model(tmp_path / "c", size=32).joinpath("model.onnx").read_bytes())
    calls = []

    class Engine:
        image_shape = (None, 1, 64, 64)

        def __init__(self, name):
            self.name = name

        def __call__(self, images):
            assert images.shape == (1, 1, 64, 64)
            calls.append(self.name)

    monkeypatch.setattr(cost, "open_engine", lambda path, threads, engine: Engine(path.parent.name))
    monkeypatch.setattr(cost, "measure_memory", lambda path, threads: (100.0, 150.0))
    recipe = load_recipe("demo")
    recipes = dict.fromkeys([*models, "not run"], recipe)
    found, about = measure(recipes, models, tmp_path / "kept.json", rounds=3)
    assert calls == ["a", "b", "b", "a"] * 2 + ["a", "b"]  # two rounds to warm up, then three
    assert found["a"].peak_mb == 150
    assert found["not run"].latency_ms is None
    assert found["not run"].params == count(recipe).params
    assert about["threads"] == 2
    calls.clear()
    models["b"].unlink()  # its measurement stays
    again, _ = measure(recipes, models, tmp_path / "kept.json", rounds=3)
    assert again == found
    assert calls == []
    json.loads((tmp_path / "kept.json").read_text())
    recipes["b"] = load_recipe("demo", ["model_args.width=48"])
    monkeypatch.setattr(cost, "_untrained", lambda recipe, folder: folder / "model.onnx")
    measure(recipes, models, tmp_path / "kept.json", rounds=1)
    assert calls == ["a", "b", "b", "a", "a", "b"]  # another network: all are measured anew, side by side


def test_a_model_that_was_not_kept_is_measured_with_new_weights(tmp_path):
    before = torch.random.get_rng_state()
    path = cost._untrained(load_recipe("demo"), tmp_path / "demo")
    engine = open_engine(path, 1, ENGINE)
    assert np.isfinite(engine(one_slice(engine))).all()
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.slow
def test_memory_is_that_of_a_fresh_process(tmp_path):
    model = write_grey_model(tmp_path / "a") / "model.onnx"
    idle, peak = measure_memory(model, 1)
    assert 20 < idle <= peak < idle + 200
    assert idle < 250  # MB: a process that imported PyTorch holds more


def test_peak_of_a_block_is_not_what_was_before():
    # maps, not objects: what the process keeps of freed memory (see `set_allocator`) can't serve these
    with mmap.mmap(-1, 400_000_000) as big:
        big[::4096] = b"1" * len(big[::4096])
    with peak_memory() as before:
        pass
    with peak_memory() as during, mmap.mmap(-1, 200_000_000) as more:
        more[::4096] = b"1" * len(more[::4096])
    if before.process_mb is None:
        pytest.skip("this system doesn't tell")
    assert 190 < during.process_mb - before.process_mb < 300
