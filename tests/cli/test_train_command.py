"""``cafrnet train``: words become recipe, changes and places; every mistake is named before work."""

import pytest

pytest.importorskip("torch", reason="the 'train' extra is not installed")

import yaml

from cafrnet.cli.main import main


def mistakes(root):
    places = [f"data={root / 'data'}", f"split={root / 'split.json'}", "-o", str(root / "run")]
    return {
        "no recipe": ([], "one recipe was expected, 0 came"),
        "two recipes": (["cafr_net", "demo"], "one recipe was expected, 2 came: cafr_net demo"),
        "unknown recipe": (["cafr_nett", *places], "no recipe 'cafr_nett'; did you mean 'cafr_net'"),
        "no such file": (["mine.yaml", *places], "recipe mine.yaml could not be read"),
        "unknown key": (["cafr_net", "epoch=3", *places], "unknown key 'epoch'; did you mean"),
        "out of range": (["cafr_net", "epochs=0", *places], "greater than or equal to 1 (0 came)"),
        "contradiction": (["cafr_net", "clr.positives=view", *places], "needs sampling.views of 2 or more"),
        "no number": (["cafr_net", "lr=fast", *places], "training.lr"),
        "no data": (["cafr_net", places[1], "-o", "run"], "data= is missing"),
        "no split": (["cafr_net", places[0], "-o", "run"], "split= is missing"),
        "no output": (["cafr_net", *places[:2]], "-o RUN is missing"),
        "fold": (["cafr_net", *places, "fold=one"], "fold=one came, a number from 0"),
        "missing data": (["cafr_net", *places], str(root / "data")),
        "resume nothing": (["--resume", str(root / "gone")], "resumed: there is no such folder; give"),
        "resume and recipe": (["cafr_net", "--resume", str(root)], "takes recipe and split from the run"),
        "resume and split": (["--resume", str(root), "split=x"], "takes recipe and split from the run"),
    }


def test_every_mistake_is_one_line_and_2_and_leaves_nothing(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, (words, sentence) in mistakes(tmp_path).items():
        code = main(["train", *words])
        shown = capsys.readouterr()
        assert (code, shown.out) == (2, ""), (name, shown.err)
        assert shown.err.count("\n") == 1, (name, shown.err)
        assert sentence in shown.err, (name, shown.err)
        assert list(tmp_path.iterdir()) == [], name


def test_show_prints_the_recipe_that_results(capsys):
    assert main(["train", "cafr_net", "epochs=7", "--show", "clr=false", "pixel_mm=1.5"]) == 0
    recipe = yaml.safe_load(capsys.readouterr().out)
    assert recipe["training"]["epochs"] == 7
    assert recipe["clr"]["enabled"] is False
    assert recipe["preprocessing"]["pixel_mm"] == 1.5


def test_a_recipe_file_may_have_an_equals_sign_in_its_path(tmp_path, capsys):
    (tmp_path / "lr=3").mkdir()
    path = tmp_path / "lr=3/mine.yaml"
    path.write_text("training:\n  epochs: 4\n")
    assert main(["train", str(path), "--show"]) == 0
    assert yaml.safe_load(capsys.readouterr().out)["training"]["epochs"] == 4
