import json
from argparse import Namespace

import pareto
import pytest
from PIL import Image

from cafrnet.experiments.cost import count
from cafrnet.learning.recipes import load_recipe

ARGS = Namespace(steps=250, batch=8, precision="bf16", seed=0, change=[], fold=None)


def recipe_of(name, **changes):
    words = pareto.recipe_words(pareto.VARIANTS[name], Namespace(**{**vars(ARGS), **changes}))
    return load_recipe("cafr_net_plus", words)


def test_the_first_variant_is_the_network_that_ships():
    shipped, first = load_recipe("cafr_net_plus"), recipe_of("as it ships")
    assert count(first) == count(shipped)
    assert first.preprocessing == shipped.preprocessing
    assert first.augmentation.elastic_spacing_px == shipped.augmentation.elastic_spacing_px


def test_every_variant_is_a_recipe_of_the_same_window_and_the_same_steps():
    for name in pareto.VARIANTS:
        recipe = recipe_of(name)
        settings, t = recipe.preprocessing, recipe.training
        assert settings.pixel_mm * settings.size == pytest.approx(256 * 1.17), name
        assert t.epochs * t.steps_per_epoch == 250
        assert recipe.augmentation.shift_px * settings.pixel_mm == pytest.approx(12 * 1.17)


def test_the_variants_cost_what_is_planned():
    gmacs = {name: count(recipe_of(name)).gmacs for name in pareto.VARIANTS}
    assert min(gmacs.values()) == gmacs["half as wide, 192 pixels"] == pytest.approx(0.70, abs=0.02)
    assert max(gmacs.values()) == gmacs["320 pixels"] == pytest.approx(7.9, abs=0.05)
    assert gmacs["as it ships"] == pytest.approx(4.937, abs=0.001)


def test_the_front_holds_what_nothing_beats():
    points = {
        "cheap": (1, 50),
        "dear": (4, 80),
        "worse": (5, 70),
        "twin": (4, 80),
        "as good for more": (2, 50),
    }
    assert pareto.front(points) == ["cheap", "dear", "twin"]
    assert pareto.front({}) == []


def row(gmacs, dsc, ms):
    score = {"mean": dsc, "sd": 0.1, "n": 3}
    return {
        "gmacs": gmacs,
        "params": 1_000_000,
        "latency": ms and {"median_ms": ms, "spread_ms": 0.1, "minimum_ms": ms},
        "scores": {
            "dsc": score,
            "dsc_after_shift": {**score, "mean": dsc + 0.1},
            "hd95_mm": {"mean": None, "reason": "no structure was found"},
            "cases": 3,
            "cases_all_right": 1,
        },
    }


def test_what_is_written(tmp_path):
    about = {
        "steps": 1,
        "batch": 1,
        "seed": 0,
        "precision": "bf16",
        "threads": 2,
        "processor": "p",
        "date": "d",
    }
    rows = {"small": row(1.0, 0.5, 3.0), "large": row(2.0, 0.4, 2.0), "untimed": row(3.0, 0.7, None)}
    pareto.write({"about": about, "variants": rows}, tmp_path)
    fronts = json.loads((tmp_path / "pareto.json").read_text())["fronts"]
    assert fronts["dsc over gmacs"] == ["small", "untimed"]
    assert fronts["dsc over median_ms"] == ["large", "small"]
    lines = (tmp_path / "pareto.md").read_text().splitlines()
    assert lines[2].startswith("| small | 1.00 | 1.00 | 3.0 ± 0.1 | 50.0 ± 10.0 | 60.0 ± 10.0 | - | 1 of 3 |")
    assert Image.open(tmp_path / "pareto.png").size[0] > 500


def test_an_unknown_variant_is_refused_before_anything_starts(tmp_path):
    words = ["--data", "d", "--split", "s", "-o", str(tmp_path), "--only", "half as wid"]
    with pytest.raises(SystemExit, match="did you mean 'half as wide'"):
        pareto.main(words)


TINY = ["model_args.channels=[4,6,8,12,16]", "model_args.width=24", "model_args.heads=2"]
TINY += ["model_args.decoder_channels=[8,8,8,8]"]


@pytest.mark.slow
def test_the_whole_command_and_what_is_finished_stays(tiny_dataset, tmp_path):
    from cafrnet.datasets import make_split, open_dataset

    split = tmp_path / "split.json"
    make_split(open_dataset(tiny_dataset), seed=0).save(split)
    words = ["--data", str(tiny_dataset), "--split", str(split), "-o", str(tmp_path / "out"), "--batch", "2"]
    words += ["--only", "128 pixels", "--rounds", "3", "--threads", "1", "--change", *TINY]
    pareto.main([*words, "--steps", "2"])
    found = json.loads((tmp_path / "out/pareto.json").read_text())
    variant = found["variants"]["128 pixels"]
    assert variant["gmacs"] < 0.1
    assert variant["latency"]["median_ms"] > 0
    assert variant["scores"]["cases"] == 1
    run = tmp_path / "out/variants/128_pixels/run"
    before = (run / "best.safetensors").stat().st_mtime_ns
    pareto.main([*words, "--steps", "2", "--untimed"])
    assert (run / "best.safetensors").stat().st_mtime_ns == before
    assert "latency" not in json.loads((tmp_path / "out/pareto.json").read_text())["variants"]["128 pixels"]
    with pytest.raises(SystemExit, match="other settings"):
        pareto.main([*words, "--steps", "3"])
