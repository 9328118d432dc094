"""The scripts of examples/ run, and show what they say they show."""

import runpy
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import yaml

from cafrnet.errors import UsageError
from cafrnet.files import stem
from cafrnet.labels import ValueSets
from handmade import stairs, write_stairs

EXAMPLES = Path(__file__).parents[1] / "examples"


def run_example(monkeypatch, name, *words):
    monkeypatch.setattr(sys, "argv", [name, *map(str, words)])
    runpy.run_path(str(EXAMPLES / name), run_name="__main__")


def test_every_example_has_a_docstring_that_names_itself():
    scripts = sorted(EXAMPLES.glob("*.py"))
    assert {stem(s) for s in scripts} == {"any_network", "evaluate_arrays", "segment_one"}
    for script in scripts:
        assert f"python examples/{script.name}" in script.read_text(encoding="utf-8").split('"""')[1]


def test_evaluate_arrays(monkeypatch, capsys):
    run_example(monkeypatch, "evaluate_arrays.py")
    rows = {line[:20].strip(): line[20:].split() for line in capsys.readouterr().out.splitlines()}
    assert rows["L3"] == ["found", "right", "1.000", "0.00", "1.000"]
    assert rows["L4"][:2] == ["found", "right"]
    assert float(rows["L4"][3]) == pytest.approx(2 * 1.17, abs=0.01)  # moved by two voxels
    assert rows["L3/L4"] == ["missed", "missing", "0.000", "-", "0.000"]
    assert rows["L2"][:2] == ["missed", "merge"]
    assert rows["T9"][0] == "beyond"
    assert any(name.startswith("case score") for name in rows)


def test_segment_one(grey_model, tmp_path, monkeypatch, capsys):
    scan, out = write_stairs(tmp_path / "a.nii.gz"), tmp_path / "found.nii.gz"
    run_example(monkeypatch, "segment_one.py", scan, "--model", grey_model, "-o", out)
    written, source = nib.load(out), nib.load(scan)
    np.testing.assert_array_equal(written.affine, source.affine)
    _, labels, _ = stairs()
    np.testing.assert_array_equal(np.asanyarray(written.dataobj), labels)
    printed = capsys.readouterr().out
    assert "(32, 48, 5) voxels of 2.00 x 2.00 x 4.00 mm" in printed
    assert f"L2                  {(labels == 5).sum() * 0.016:8.2f} ml" in printed  # 2 x 2 x 4 mm3 each
    assert printed.rstrip().endswith(str(out))


def test_another_network_with_clr_is_refused_with_what_to_do():
    pytest.importorskip("torch", reason="the 'train' extra is not installed")
    from cafrnet.learning.codes import TruthCodes
    from cafrnet.learning.recipes import load_recipe
    from cafrnet.learning.training.module import TrainingModule

    words = ["model=monai.networks.nets.BasicUNetPlusPlus", "model_args.features=[4, 4, 4, 4, 4, 4]"]
    recipe = load_recipe("cafr_net", [*words, "preprocessing.size=64"])
    codes = TruthCodes.of([ValueSets.identity()], recipe.num_classes)
    with pytest.raises(UsageError, match=r"fused.*hands out none.*clr=false"):
        TrainingModule(recipe, codes, np.ones(recipe.num_classes, bool))


@pytest.mark.slow
def test_any_network_on_data_of_ones_own(tiny_dataset, tmp_path, monkeypatch):
    pytest.importorskip("torch", reason="the 'train' extra is not installed")
    words = ("--data", tiny_dataset, "-o", tmp_path / "with space", "--steps", 1)
    run_example(monkeypatch, "any_network.py", *words)
    run = tmp_path / "with space" / "run"
    recipe = yaml.safe_load((run / "config.yaml").read_text(encoding="utf-8"))["recipe"]
    assert recipe["model"] == "monai.networks.nets.BasicUNetPlusPlus"
    assert recipe["model_args"] == {"features": [8, 8, 16, 32, 64, 8]}  # none of cafr_net's own
    assert (run / "model.onnx").exists()
    assert not (tmp_path / "with space" / "data").exists()


@pytest.mark.slow
def test_any_network_on_its_own_phantoms(tmp_path, monkeypatch, capsys):
    pytest.importorskip("torch", reason="the 'train' extra is not installed")
    run_example(monkeypatch, "any_network.py", "-o", tmp_path / "all", "--steps", 1)
    assert len(list((tmp_path / "all/data/train/MR").glob("Case*.nii.gz"))) == 5
    assert "Case1: (256, 256, 12) labelled" in capsys.readouterr().out
