import argparse
import json
import re

import numpy as np
import pytest

from cafrnet.cli import evaluate as command
from cafrnet.errors import UsageError
from cafrnet.evaluation.levels import move

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
    # case 1 has all four, case 2 has no L5 (id 2)
    assert "levels: all right in 1 of 2 cases; 7 of 8 structures right, 1 missing" in lines
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
    assert "failed, in no mean: 1 of 2 cases: case1" in capsys.readouterr().out


def test_all_cases_failed(files, capsys, caplog):
    for n in (1, 2):
        (files[1] / f"Case{n}_seg.nii.gz").write_bytes(b"")
    assert run(*files, "--fail-below", 0.7) == 1
    shown = capsys.readouterr()
    assert shown.out == "failed, in no mean: 2 of 2 cases: case1, case2\n"
    assert shown.err == "cafrnet: nothing was scored, so there is no mean DSC\n"
    assert len([r for r in caplog.records if "is empty" in r.getMessage()]) == 2  # each reason once


def test_nothing_to_score(tmp_path, capsys):
    empty = save(tmp_path / "empty.nii.gz", np.zeros_like(TRUTH))
    assert run(empty, empty) == 1
    shown = capsys.readouterr()
    assert "nothing to score in 1 case, where neither truth nor prediction holds" in shown.out
    assert "class" not in shown.out
    assert "no mean DSC" in shown.err


def test_no_name_matches(files, tmp_path):
    save(tmp_path / "other/patient7.nii.gz", TRUTH)
    with pytest.raises(UsageError, match=r"case1\.nii\.gz has the stem 'case1', patient7\.nii\.gz"):
        run(files[0], tmp_path / "other")


def test_ids_of_the_headline_are_those_that_the_truth_marks(files, capsys):
    (files[0] / "dataset.yaml").write_text("values:\n  0: [0, 1]\n")
    assert run(*files) == 0
    assert "2 of 2 cases, ids 2-19: DSC" in capsys.readouterr().out


def test_the_shift_that_would_help_is_named(files, capsys):
    save(files[1] / "Case1_seg.nii.gz", move(TRUTH, 1))
    assert run(*files) == 0
    out = capsys.readouterr().out
    assert re.search(r"whole-column shift 0\.\d+ .*: case1 -1; 'cafrnet relabel --shift N'", out)


def test_fail_below(files, capsys):
    assert run(*files, "--fail-below", 0.79) == 0
    assert run(*files, "--fail-below", 0.8) == 1
    assert capsys.readouterr().err == "cafrnet: the mean DSC is 0.7917, below 0.8\n"
    for word in ("90", "-0.1", "high"):
        with pytest.raises(SystemExit) as error:
            run(*files, "--fail-below", word)
        assert error.value.code == 2


@pytest.mark.parametrize("option", ["-o", "--output", "--out"])
def test_any_name_of_the_output(files, tmp_path, option):
    assert run(*files, option, tmp_path / "out") == 0
    assert (tmp_path / "out/summary.json").exists()


def test_options_of_a_split_need_one(files):
    with pytest.raises(UsageError, match="--part test came without --split"):
        run(*files, "--part", "test")
    with pytest.raises(UsageError, match="fold 1 came without a split"):
        run(*files, "--fold", 1)


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
