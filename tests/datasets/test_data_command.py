"""``cafrnet data``: exit codes, and what goes to stdout."""

import argparse
import json

import pytest

from cafrnet.cli import data
from cafrnet.errors import UsageError


@pytest.fixture
def command(capsys):
    """A function that runs ``cafrnet data ...`` and returns its exit code and what it printed."""

    def run(*arguments):
        parser = argparse.ArgumentParser()
        data.add_parser(parser.add_subparsers())
        code = data.run(parser.parse_args(["data", *map(str, arguments)]))
        return code, capsys.readouterr().out

    return run


def test_check(command, spinemri):
    root = spinemri(1, 2, 3)
    code, out = command("check", root)
    assert code == 0
    assert "3 cases, 0 errors" in out
    (root / "train/Mask/mask_case2.nii.gz").unlink()
    code, out = command("check", root, "--json")
    assert code == 1
    assert json.loads(out)["findings"][0]["case"] == "Case2"


def test_split_and_check_with_it(command, spinemri, tmp_path):
    root, target = spinemri(*range(1, 9)), tmp_path / "split.json"
    code, out = command("split", root, "-o", target)
    raw = json.loads(target.read_text())
    assert code == 0
    assert raw["hash"] in out
    assert [len(raw[p]) for p in ("train", "val", "test")] == [6, 1, 1]
    assert command("split", root, "-o", target)[0] == 0  # the same one
    with pytest.raises(UsageError, match="--overwrite"):
        command("split", root, "-o", target, "--seed", 1)
    code, out = command("split", root, "-o", target, "--folds", 4, "--overwrite", "--json")
    assert len(json.loads(out)["folds"]) == 4
    assert command("check", root, "--split", target)[0] == 0


def test_stats(command, spinemri, tmp_path):
    pytest.importorskip("matplotlib")
    root = spinemri(1, 2)
    code, out = command("stats", root, "-o", tmp_path / "stats")
    assert code == 0
    assert [line.rpartition("/")[2] for line in out.split()] == ["classes.csv", "geometry.csv", "classes.png"]
    (root / "train/MR/Case2.nii.gz").write_text("x")
    assert command("stats", root, "-o", tmp_path / "stats")[0] == 1


def test_download_shows_the_terms_and_needs_them_accepted(command, tmp_path, capsys):
    with pytest.raises(UsageError, match="--accept-licence"):
        command("download", "spinemri", "-o", tmp_path / "new")
    assert "Southern Medical University" in capsys.readouterr().err


def test_phantom(command, tmp_path):
    code, _ = command("phantom", "-o", tmp_path / "made", "--cases", 1, "--seed", 3, "--small")
    assert code == 0
    assert (tmp_path / "made/train/MR/Case1.nii.gz").exists()
    assert command("check", tmp_path / "made")[0] == 0


def test_wrong_use(command, tmp_path):
    with pytest.raises(UsageError, match="no such folder"):
        command("check", tmp_path / "none")
    with pytest.raises(SystemExit) as stopped:
        command("frobnicate")
    assert stopped.value.code == 2
