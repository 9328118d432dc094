"""An environment that looks like nnU-Net's from outside: a Python and commands that do what they are told.

The commands write what nnU-Net's write, in no time: label maps are the truths of ``labelsTr``. A file
``fail`` beside them makes the named command fail.
"""

import json
import stat
import sys
from pathlib import Path

COMMAND = """#!{python}
import json, os, shutil, sys
from pathlib import Path

name, words = Path(sys.argv[0]).name, sys.argv[1:]
here = Path(sys.argv[0]).parent
with (here / "calls.txt").open("a") as file:
    file.write(json.dumps([name, words]) + "\\n")
if (here / "fail").exists() and (here / "fail").read_text() == name:
    print("first line")
    print("    ^^^^^^")
    sys.exit("RuntimeError: Some background workers are no longer alive")
raw = next(Path(os.environ["nnUNet_raw"]).iterdir())
prepared = Path(os.environ["nnUNet_preprocessed"]) / raw.name
after = lambda word: words[words.index(word) + 1]
if name == "nnUNetv2_plan_and_preprocess":
    prepared.mkdir(parents=True)
    shutil.copy(raw / "dataset.json", prepared)
    (prepared / "nnUNetPlans.json").write_text("{{}}")
elif name == "nnUNetv2_train":
    assert json.loads((prepared / "splits_final.json").read_text())[int(words[2])]["train"]
    model = Path(os.environ["nnUNet_results"]) / raw.name / (after("-tr") + "__nnUNetPlans__" + words[1])
    (model / ("fold_" + words[2])).mkdir(parents=True, exist_ok=True)
    (model / ("fold_" + words[2]) / "checkpoint_final.pth").write_bytes(b"")
else:
    out = Path(after("-o"))
    out.mkdir(parents=True)
    for image in Path(after("-i")).iterdir():
        case = image.name.replace("_0000", "")
        shutil.copy(raw / "labelsTr" / case, out / case)
"""

PYTHON = """#!{python}
import json, sys
from pathlib import Path
question, out, words = sys.argv[2], Path(sys.argv[3]), sys.argv[4:]
here = Path(sys.argv[0]).parent
if question == "about":
    if (here / "fail").exists() and (here / "fail").read_text() == "python":
        sys.exit("ModuleNotFoundError: No module named 'nnunetv2'")
    versions = {{"python": "3", "nnunetv2": (here / "version").read_text(), "torch": "2"}}
    answer = {{"versions": versions, "cuda": False}}
else:
    assert Path(words[4]).is_file()
    answer = json.loads((here / "trained.json").read_text())
out.write_text(json.dumps(answer))
"""


def trained(epochs: int = 1) -> dict:
    """Return what ``inside.py`` says of a training: 2 s per epoch of 250 steps, a Dice that stands still."""
    return {
        "trainer": "nnUNetTrainer_1epoch",
        "epochs": epochs,
        "planned_epochs": epochs,
        "iterations": 250,
        "mirroring": [0, 1],
        "pseudo_dice": [0.5] * epochs,
        "seconds": [2.0] * epochs,
        "threads": 1,
        "gpu": None,
        "plan": {
            "network": "PlainConvUNet",
            "patch_size": [48, 32],
            "spacing_mm": [2.0, 2.0],
            "batch": 12,
            "stages": 4,
            "features": [32, 64, 128, 256],
            "outputs": 20,
            "params": 2_000_000,
            "gmacs_patch": 0.25,
            "gmacs_256": 10.5,
        },
    }


def write_environment(folder: Path, answer: dict | None = None) -> Path:
    """Write the environment and return its Python."""
    folder.mkdir(parents=True)
    for name in ("plan_and_preprocess", "train", "predict"):
        _script(folder / f"nnUNetv2_{name}", COMMAND)
    (folder / "trained.json").write_text(json.dumps(answer or trained()))
    (folder / "version").write_text("2.8.1")
    return _script(folder / "python", PYTHON)


def calls(python: Path) -> list[str]:
    """Return the names of the commands that were called, in order."""
    path = python.parent / "calls.txt"
    return [json.loads(line)[0] for line in path.read_text().splitlines()] if path.exists() else []


def _script(path: Path, text: str) -> Path:
    path.write_text(text.format(python=sys.executable))
    path.chmod(path.stat().st_mode | stat.S_IEXEC)
    return path
