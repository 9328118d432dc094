"""What the page shows beside the tables: the same runs as they, under the words of what it was made with."""

from pathlib import Path

import pytest

pytest.importorskip("torch")

from cafrnet.experiments.figures.makers import figure_makers
from cafrnet.experiments.parts import MAKERS
from cafrnet.experiments.reproduce import Options, reproduce

from .small import Training, install

pytestmark = pytest.mark.usefixtures("no_measuring")


@pytest.fixture
def boxes_alone(monkeypatch):
    """Draw the box plots of the DSC and no other figure."""
    monkeypatch.setitem(MAKERS, "figures", lambda s: {"boxes": figure_makers(s)["per_class_dsc"]})


def boxes(result):
    """Return what the box plots of the DSC say."""
    return next(text for path, text in result.written.figures.items() if path.stem == "per_class_dsc")


def write_recipe(path: Path, *lines: str) -> str:
    path.write_text("\n".join(["extends: unet", *lines]) + "\n")
    return str(path)


def test_a_run_that_the_tables_refuse_is_in_no_figure(spines, tmp_path, monkeypatch, boxes_alone):
    install(monkeypatch, Training({"unet": (6,)}))
    mine = write_recipe(tmp_path / "mine.yaml", "loss: {dice: 0.7}")
    options = Options(steps=20, folds=(0,), rows=("cafr_net", "unet", mine))
    first = reproduce(["table3", "figures"], spines, tmp_path / "r", options=options)
    assert "unet, cafr_net, mine." in boxes(first)
    write_recipe(tmp_path / "mine.yaml", "loss: {dice: 0.8}")
    second = reproduce(["table3", "figures"], spines, tmp_path / "r", options=options)
    assert "unet, cafr_net." in boxes(second)
    assert "Left out: mine (no run)." in boxes(second)
    refused = [p for p in second.written.problems if p.startswith("mine/fold0/seed0 holds another")]
    assert len(refused) == 1  # named once, though table and figures both meet it


def test_figures_have_the_seeds_of_the_tables_and_every_row(spines, tmp_path, monkeypatch, boxes_alone):
    """``twin`` is U-Net under another name, so it has no folder of its own."""
    training = install(monkeypatch, Training())
    options = Options(steps=20, folds=(0,), seeds=(0, 1), rows=("cafr_net", "unet"))
    reproduce(["table3"], spines, tmp_path / "r", options=options)
    (tmp_path / "r/runs/unet/fold0/seed1/cases.csv").unlink()  # whoever reads it fails
    rows = (*options.rows, write_recipe(tmp_path / "twin.yaml"))
    one = Options(steps=20, folds=(0,), seeds=(0,), rows=rows)
    result = reproduce(["figures"], spines, tmp_path / "r", options=one)
    assert len(training.begun) == 4
    assert "unet, cafr_net, twin." in boxes(result)
    assert "Left out" not in boxes(result)


def test_sizes_that_the_fold_does_not_have_are_said(spines, tmp_path, monkeypatch, caplog):
    """Six cases train in each fold: 3 of them, and all; 12 and 25 there are not."""
    install(monkeypatch, Training())
    result = reproduce(["learning-curve"], spines, tmp_path, options=Options(steps=20, folds=(0,)))
    assert "the fold has 6 training cases: 12, 25 are left out" in caplog.text
    (caption,) = result.written.figures.values()
    assert "Left out, since the fold has fewer training cases: 12, 25." in caption


@pytest.mark.slow
def test_every_caption_of_the_page_says_what_it_was_made_with(spines, tmp_path, monkeypatch):
    pytest.importorskip("monai")
    install(monkeypatch, Training())
    rows = ("unet", "cafr_net", "baseline", "lafr_only", "clr_only", "contrast")
    written = reproduce(["all"], spines, tmp_path, budget_name="smoke", options=Options(rows=rows)).written
    captions = {
        **{t.name: t.caption for t in written.tables},
        **{p.stem: c for p, c in written.figures.items()},
    }
    assert {"claims", "table3", "table4", "sensitivity", "robustness_dsc", "learning_curve"} <= set(captions)
    for name, caption in captions.items():
        assert caption.startswith("Data: spines (10 cases"), name
        assert "test cases of fold 0 of 5" in caption, name
        assert "4 steps of 4 slices, seed 0, budget 'smoke'" in caption, name
    for path, caption in written.figures.items():
        assert path.with_suffix(".txt").read_text() == caption + "\n"
