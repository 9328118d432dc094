import argparse
import json

import numpy as np
import pytest

from cafrnet.cli import evaluate as command
from cafrnet.errors import UsageError

from .drawn import column, ids, save

TRUTH = column(*ids("L5/S", "L5", "L4/L5", "L4"))


def run(*words) -> int:
    parser = argparse.ArgumentParser()
    command.add_parser(parser.add_subparsers())
    args = parser.parse_args(["evaluate", *map(str, words)])
    return command.run(args)


@pytest.fixture
def files(tmp_path):
    save(tmp_path / "truth/case1.nii.gz", TRUTH)
    save(tmp_path / "truth/case2.nii.gz", TRUTH)
    save(tmp_path / "pred/Case1_seg.nii.gz", np.roll(TRUTH, 1, axis=2))
    save(tmp_path / "pred/Case2_seg.nii.gz", np.where(TRUTH == 2, 0, TRUTH))
    return tmp_path / "truth", tmp_path / "pred"


def test_table(files, tmp_path, capsys):
    assert run(*files, "-o", tmp_path / "out") == 0
    lines = capsys.readouterr().out.splitlines()
    l5 = next(line.split() for line in lines if line.startswith("L5 "))
    assert l5 == ["L5", "0.4167", "0.3571", "1.00", "1.00", "2", "1", "0"]
    # case 1: 5/6; case 2: three of four
    assert any("2 of 2 cases, ids 1-19: DSC 0.7917 +- 0.0589" in line for line in lines)
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {"cases.csv", "cases_after_shift.csv", "slices.csv", "summary.json"}


def test_json(files, tmp_path, capsys):
    assert run(*files, "--json", "-o", tmp_path / "out", "--no-slices") == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed == json.loads((tmp_path / "out/summary.json").read_text())
    assert printed["headline"]["dsc"]["n"] == 2


def test_some_case_failed(files, capsys):
    save(files[1] / "Case1_seg.nii.gz", TRUTH[:, :5])
    assert run(*files) == 1
    assert "failed: case1:" in capsys.readouterr().out


def test_all_cases_failed(files, capsys):
    for n in (1, 2):
        (files[1] / f"Case{n}_seg.nii.gz").write_bytes(b"")
    assert run(*files) == 1
    assert "DSC -" in capsys.readouterr().out


def test_split(files, tmp_path, capsys):
    split = tmp_path / "split.json"
    split.write_text(json.dumps({"train": ["Case1"], "val": [], "test": ["Case2"]}))
    assert run(*files, "--split", split, "--json") == 0
    assert json.loads(capsys.readouterr().out)["cases"]["total"] == 1


def test_wrong_use(files, tmp_path):
    with pytest.raises(UsageError):
        run(*files, "--labels", "nonsense")
    with pytest.raises(UsageError):
        run(tmp_path / "nowhere", files[1])
    with pytest.raises(SystemExit) as error:
        run(*files, "--common", "whole")
    assert error.value.code == 2
