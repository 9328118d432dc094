"""What ``docs/results.md`` prints is what the runs beside it scored."""

import re
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")

from cafrnet.experiments.layout import LARGE, Folder
from cafrnet.experiments.scores import read_run

DOCS = Path(__file__).parents[1] / "docs"
RESULTS = sorted(path.parent for path in DOCS.glob("results/*/manifest.json"))
#: | name of the row in code style | DSC [interval] | ...
LINE = re.compile(r"^\| [^|]+ `(\w+)` \| ([\d.]+)", re.MULTILINE)


@pytest.mark.parametrize("folder", RESULTS, ids=lambda path: path.name)
def test_printed_scores_are_those_of_the_runs(folder):
    page = (DOCS / "results.md").read_text()
    section = page.partition(f"results/{folder.name}/")[2].partition("\n## ")[0]
    printed = dict(LINE.findall(section))
    runs = Folder(folder).runs()
    assert set(printed) == {run.row for run in runs}
    for run in runs:
        scores = read_run(run)
        dsc = [case["dsc"] for case in scores.cases.values()]
        assert float(printed[run.row]) == pytest.approx(100 * np.mean(dsc), abs=0.051)


@pytest.mark.parametrize("folder", RESULTS, ids=lambda path: path.name)
def test_a_record_is_small_and_names_no_place(folder):
    for run in Folder(folder).runs():
        assert not [path for pattern in LARGE for path in run.path.glob(pattern.rstrip("/"))]
    for path in folder.rglob("*"):
        if path.is_file():
            text = path.read_text(encoding="utf-8")  # nothing but text
            assert not re.search(r"(?<![\w.])/(?:home|root|tmp|work|Users)/", text), path
