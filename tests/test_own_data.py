"""The loop of docs/your-own-data.md, command by command as it stands there, on drawn scans."""

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

pytest.importorskip("torch", reason="the 'train' extra is not installed")

from cafrnet.bundles import open_bundle, places
from cafrnet.cli.main import main
from cafrnet.datasets import open_dataset
from cafrnet.learning.bundling import make, read_trained
from grey_net import write_run
from handmade import stairs

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs/your-own-data.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```bash\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
COMMANDS = [line for block in BLOCKS for line in block.splitlines() if line.strip()]
#: A few steps are enough to see the way.
SHORT = ["epochs=1", "steps_per_epoch=2", "batch=4", "precision=fp32", "lr=1e-6", "patience=0", "-q"]


def test_the_page_has_the_whole_loop():
    words = [" ".join(shlex.split(c)[1:3]) for c in COMMANDS if c.startswith("cafrnet")]
    for part in ("segment scans", "data add-corrections", "data split", "train finetune", "bundle make"):
        assert any(w.startswith(part) for w in words), part


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A folder with scans, a card, and a default bundle that reads structures off grey values."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CAFRNET_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(make, "PHANTOMS", 1)
    run = write_run(tmp_path / "base", "model=grey_net.GreyNet", "num_classes=22")
    added = {
        "name": "grey",
        "title": "Grey values",
        "intended_use": "Tests.",
        "licence": "CC0-1.0",
        "data": [{"name": "none", "licence": "CC0-1.0", "citation": "made by hand"}],
    }
    monkeypatch.setattr(places, "DEFAULT", make.make_bundle(run, tmp_path / "default", added).path)
    (tmp_path / "scans").mkdir()
    for k in range(8):
        image, _, affine = stairs(slices=5 + k)
        nib.save(nib.Nifti1Image(image, affine), tmp_path / f"scans/scan{k}.nii.gz")
    shutil.copy(ROOT / "examples/card_additions.yaml", tmp_path / "card.yaml")
    return tmp_path


def carry_out(line, capsys):
    """Run one line of the page; what the shell would do is left to the shell."""
    words = shlex.split(line)
    if words[0] != "cafrnet":
        subprocess.run(line, shell=True, check=True)
        return
    if words[1] == "train":
        words += SHORT
    words = [open_bundle(Path("my-lumbar-t2")).sha256 if w == "HASH" else w for w in words]
    code = main(words[1:])
    assert code == 0, (line, capsys.readouterr().err)


@pytest.mark.slow
def test_every_command_of_the_page(home, capsys):
    for line in COMMANDS:
        carry_out(line, capsys)
        if line.startswith("cafrnet segment scans -o drawn"):
            truth = stairs(slices=8)[1]
            assert np.array_equal(nib.load("drawn/scan3_seg.nii.gz").get_fdata(), truth)
    dataset = open_dataset("mydata")
    assert len(dataset) == 8
    assert read_trained("run").recipe.model == "grey_net.GreyNet"
    assert (home / "home/bundles/my-lumbar-t2/SHA256SUMS").is_file()
    assert len(list(Path("again").glob("*_seg.nii.gz"))) == 8
    assert Path("scores/cases.csv").is_file()
