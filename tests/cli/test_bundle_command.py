"""``cafrnet bundle list | check | add``, and ``segment`` with a bundle's name and without --model."""

import json

import nibabel as nib
import numpy as np
import pytest

from cafrnet.bundles import SUMS, places
from cafrnet.bundles.label_file import write_labels_file
from cafrnet.bundles.layout import write_sums
from cafrnet.cli.main import main
from cafrnet.files import sha256
from handmade import stairs, write_stairs
from handmade_bundle import copied, write_grey_bundle, zipped


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("CAFRNET_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(places, "DEFAULT", tmp_path / "no default")
    return tmp_path / "home"


@pytest.fixture(scope="module")
def grey(tmp_path_factory):
    return write_grey_bundle(tmp_path_factory.mktemp("bundle") / "grey")


def run(capsys, *words):
    code = main(["bundle", *map(str, words)])
    shown = capsys.readouterr()
    return code, shown.out, shown.err


def test_list_when_there_is_none(home, capsys):
    assert run(capsys, "list") == (0, "", "no bundle: none ships with this version, and none was added\n")
    assert json.loads(run(capsys, "list", "--json")[1]) == {"bundles": []}


def test_add_list_check_segment(home, grey, tmp_path, capsys):
    archive = zipped(grey, tmp_path / "grey.zip")
    code, out, err = run(capsys, "add", archive, "--sha256", sha256(archive))
    assert (code, out) == (0, f"{home / 'bundles/grey'}\n")
    assert "use it with --model grey" in err
    assert run(capsys, "list")[1] == "grey  1  Reads structures off grey values\n"
    (row,) = json.loads(run(capsys, "list", "--json")[1])["bundles"]
    assert (row["state"], row["sha256"]) == ("whole", sha256(grey / SUMS))
    assert row["card"]["metrics"][0]["command"] == "cafrnet evaluate DATA out"
    code, out, _ = run(capsys, "check", "grey")
    assert code == 0
    assert "limit: Not a medical device." in out
    assert "measured: DSC 1 (0.9 to 1) on stairs" in out
    scan = write_stairs(tmp_path / "in/a.nii.gz")
    words = ["segment", str(scan), "-o", str(tmp_path / "out"), "-q", "--model", "grey"]
    assert main(words) == 0
    assert np.array_equal(nib.load(tmp_path / "out/a_seg.nii.gz").get_fdata(), stairs()[1])
    record = json.loads((tmp_path / "out/a.json").read_text())
    assert record["model"]["sha256"]["model.onnx"] == sha256(grey / "model.onnx")


def test_segment_without_model_uses_the_default(home, grey, tmp_path, capsys, monkeypatch):
    scan = write_stairs(tmp_path / "in/a.nii.gz")
    words = ["segment", str(scan), "-o", str(tmp_path / "out"), "-q"]
    assert main(words) == 2
    assert "no trained model ships with this version" in capsys.readouterr().err
    monkeypatch.setattr(places, "DEFAULT", grey)
    assert main(words) == 0
    assert np.array_equal(nib.load(tmp_path / "out/a_seg.nii.gz").get_fdata(), stairs()[1])
    capsys.readouterr()
    assert run(capsys, "list")[1].startswith("default (grey)  1  ")


def test_check_lists_everything_and_fails(home, grey, tmp_path, capsys):
    folder = copied(grey, tmp_path / "b")
    (folder / "model.onnx").write_bytes(b"cut")
    (folder / "more.bin").write_bytes(b"")
    code, out, err = run(capsys, "check", folder)
    assert (code, out) == (1, "")
    assert err.count("\n") == 1
    assert "model.onnx has the SHA-256" in err
    assert "more.bin is no file of a bundle" in err
    code, out, _ = run(capsys, "check", folder, "--json")
    assert code == 1
    assert len(json.loads(out)["problems"]) == 2


def test_check_loads_the_model_and_compares_its_card(home, tmp_path, capsys):
    folder = write_grey_bundle(tmp_path / "b", not_trained=["S"])
    code, _, err = run(capsys, "check", folder)
    assert code == 1
    assert "its card says that ['S'] were not trained, the model []" in err


@pytest.mark.parametrize(("outputs", "untrained"), [(20, ()), (22, ("S",))])
def test_check_compares_the_label_file_with_the_model(home, tmp_path, capsys, outputs, untrained):
    folder = write_grey_bundle(tmp_path / "b")
    write_labels_file(folder / "labels.yaml", outputs, untrained)
    write_sums(folder)
    code, _, err = run(capsys, "check", folder)
    assert code == 1
    assert "its labels.yaml lists other outputs, or other trained ones, than the 22 of its model" in err


def test_a_damaged_one_is_listed_as_such(home, grey, capsys):
    folder = copied(grey, home / "bundles/grey")
    (folder / "card.yaml").unlink()
    assert "grey  DAMAGED: " in run(capsys, "list")[1]
    (row,) = json.loads(run(capsys, "list", "--json")[1])["bundles"]
    assert row["state"] == "damaged"


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["check", "nothing"], "'nothing' is no folder, and no bundle was added yet"),
        (["make", "r", "-o", "b", "--card", "c", "--most-mb", "nan"], "a number above 0 was expected"),
        (["make", "r", "-o", "b", "--card", "c", "--most-mb", "inf"], "a number above 0 was expected"),
        (["make", "r", "-o", "b", "--card", "c", "--most-mb", "-1"], "a number above 0 was expected"),
        (["check", "."], "is no bundle: it has neither a card nor hashes"),
        (["add", "gone.zip", "--sha256", "0" * 64], "no such file or folder"),
        (["add", "gone.zip", "--sha256", "12"], "64 hexadecimal digits"),
    ],
)
def test_wrong_use(home, tmp_path, capsys, monkeypatch, words, sentence):
    monkeypatch.chdir(tmp_path)
    code, out, err = run(capsys, *words)
    assert (code, out) == (2, "")
    assert sentence in err


def test_the_hash_is_demanded(home, grey, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["bundle", "add", str(grey)])
    assert stop.value.code == 2
    assert "--sha256" in capsys.readouterr().err
