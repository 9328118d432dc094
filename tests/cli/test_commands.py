"""The command line as a whole: help, versions, extras that are missing, closed pipes."""

import json
import os
import subprocess
import sys
import types

import pytest

import cafrnet
from cafrnet.cli import main as command_line
from cafrnet.cli.main import main
from cafrnet.errors import InputError, UsageError

#: Makes the import of a package fail, as if it were not installed.
WITHOUT = """
import sys
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in %r:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Missing())
from cafrnet.cli.main import main
sys.exit(main(sys.argv[1:]))
"""


def without(packages, *words):
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT % (packages,), *map(str, words)], capture_output=True, text=True
    )
    return done.returncode, done.stdout, done.stderr


DATA_VERBS = ("check", "split", "stats", "download", "phantom", "add-corrections")
BUNDLE_VERBS = ("make", "list", "check", "add")
SUBVERBS = [*(("data", verb) for verb in DATA_VERBS), *(("bundle", verb) for verb in BUNDLE_VERBS)]


@pytest.mark.parametrize("words", [(), *((verb,) for verb in command_line.VERBS), *SUBVERBS])
def test_every_verb_has_help(words, capsys):
    with pytest.raises(SystemExit) as stop:
        main([*words, "--help"])
    assert stop.value.code == 0
    shown = capsys.readouterr()
    assert shown.out.startswith(f"usage: {' '.join(['cafrnet', *words])} ")
    assert shown.err == ""
    if words and words not in (("data",), ("bundle",)):
        assert "-q, --quiet" in shown.out
        assert "-v, --verbose" in shown.out


def test_help_names_schemes_recipes_and_inputs(capsys):
    from cafrnet.cli.scheme_option import NAMES
    from cafrnet.labels import SCHEMES

    def shown(*words):
        with pytest.raises(SystemExit):
            main([*words, "--help"])
        return " ".join(capsys.readouterr().out.split())

    assert tuple(SCHEMES) == NAMES
    for words in (["segment"], ["relabel"], ["evaluate"], ["data", "add-corrections"]):
        assert "cafrnet, spinemri, spider, verse, tptbox, totalspineseg" in shown(*words)
    assert "cafr_net, cafr_net_plus, demo" in shown("train")
    assert "NIfTI, DICOM folders" in shown("segment")
    assert "70, 20 and 10 % of the cases" in shown("data", "phantom")


def test_version(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["--version"])
    assert stop.value.code == 0
    assert capsys.readouterr().out == f"cafrnet {cafrnet.__version__}\n"


@pytest.mark.parametrize("words", [[], ["segmnt"], ["segment"], ["data"], ["data", "nope"], ["models", "x"]])
def test_wrong_words_exit_with_2(words, capsys):
    with pytest.raises(SystemExit) as stop:
        main(words)
    assert stop.value.code == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "error:" in shown.err
    assert shown.err.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (
            ["segment", "x", "-o", "y", "--overwritten"],
            "cafrnet segment: error: unrecognized arguments: --overwritten; did you mean '--overwrite'?; "
            "see 'cafrnet segment --help'",
        ),
        (
            ["data", "split", "x", "-o", "y", "z"],
            "cafrnet data split: error: unrecognized arguments: z; see 'cafrnet data split --help'",
        ),
        (
            ["segment", "x", "-o", "y", "--pixel-mm", "abc"],
            "cafrnet segment: error: argument --pixel-mm: invalid float value: 'abc'; "
            "see 'cafrnet segment --help'",
        ),
    ],
)
def test_wrong_words_are_one_line_of_their_verb(words, line, capsys):
    with pytest.raises(SystemExit) as stop:
        main(words)
    assert stop.value.code == 2
    assert capsys.readouterr().err == line + "\n"


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (UsageError("wrong"), 2, "cafrnet: wrong\n"),
        (InputError("bad file"), 1, "cafrnet: bad file\n"),
        (PermissionError(13, "Permission denied", "x.txt"), 1, "cafrnet: x.txt: Permission denied\n"),
        (KeyboardInterrupt(), 130, "cafrnet: interrupted\n"),
    ],
)
def test_errors_are_one_line_and_an_exit_code(monkeypatch, capsys, error, code, line):
    from cafrnet.cli import models

    def fail(args):
        raise error

    monkeypatch.setattr(models, "run", fail)
    assert main(["models"]) == code
    shown = capsys.readouterr()
    assert (shown.out, shown.err) == ("", line)


def test_training_without_its_extra(tmp_path):
    for words in (["models"], ["train", "cafr_net"], ["train", "--resume", tmp_path]):
        code, out, err = without({"torch", "lightning", "monai"}, *words)
        assert (code, out) == (2, "")
        assert err.endswith("pip install 'cafrnet[train]'\n")
        assert err.count("\n") == 1
        assert err.startswith(f"cafrnet {words[0]}: this part, which is built on PyTorch, needs the 'train'")


def test_an_mha_without_its_extra(tmp_path, grey_model):
    (tmp_path / "a.mha").write_bytes(b"ObjectType = Image\n")
    words = ["segment", tmp_path / "a.mha", "-o", tmp_path / "out", "--model", grey_model]
    code, out, err = without({"SimpleITK"}, *words)
    assert (code, out) == (2, "")
    assert err.endswith("pip install 'cafrnet[itk]'\n")
    assert err.count("\n") == 1


def test_the_api_says_which_extra_is_missing():
    script = (WITHOUT % ({"torch"},)).split("from cafrnet.cli")[0]
    script += "import cafrnet\ncafrnet.train('cafr_net', 'data', 'split', 'run')"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    last = done.stderr.splitlines()[-1]
    assert last.startswith("cafrnet.errors.MissingExtraError: this part, which is built on PyTorch,")


def test_a_closed_pipe_is_no_traceback():
    code = (
        "import sys\nfrom cafrnet.cli import main as m, models\n"
        "models.run = lambda args: print('x' * 100_000) or 0\n"
        "sys.exit(m.main(['models']))"
    )
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run([sys.executable, "-c", code], stdout=writer, stderr=subprocess.PIPE, text=True)
    os.close(writer)
    assert (done.returncode, done.stderr) == (1, "")


def test_models_lists_the_networks(capsys, monkeypatch):
    row = {"name": "cafr_net", "params": 1234567, "gmacs": 3.98, "source": "The network of Fig 1."}
    stub = types.ModuleType("cafrnet.learning.models")
    stub.list_models = lambda: [row]
    for name in ("cafrnet.learning", "cafrnet.learning.models"):  # counting needs torch and is tested there
        monkeypatch.setitem(sys.modules, name, stub)
    assert main(["models", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == [row]
    assert main(["models"]) == 0
    assert "1,234,567     3.980   The network of Fig 1." in capsys.readouterr().out
