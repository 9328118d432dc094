"""The real thing, small: phantoms, real trainings of two steps, every table, one page."""

import csv
import json

import pytest

pytest.importorskip("lightning")

from cafrnet.cli.main import main


@pytest.mark.slow
def test_real_trainings_of_two_steps_fill_every_table(tmp_path, capsys):
    data, out = tmp_path / "phantoms", tmp_path / "out"
    assert main(["data", "phantom", "-o", str(data), "--cases", "5", "--seed", "3", "--small", "-q"]) == 0
    small = ["steps=2", "preprocessing.size=64", "preprocessing.pixel_mm=4.7"]
    rows = "unet,nnunet,cafr_net,baseline,lafr_only,clr_only"
    words = ["reproduce", "table3", "table4", "figures", *small, "--budget", "smoke", "--rows", rows]
    assert main([*words, "--data", str(data), "-o", str(out)]) == 0, capsys.readouterr().err
    tables = {path.stem for path in (out / "tables").glob("*.csv")}
    assert {"table3", "table3_pairs", "table4", "table4_interaction", "structures", "regions"} <= tables
    with (out / "tables/table3.csv").open(newline="") as file:
        unet, nnunet, full = list(csv.DictReader(file))
    for row in (unet, nnunet, full):
        assert float(row["latency_ms"]) > 0
        assert float(row["peak_mb"]) > 50
        assert row["converged"] == "convergence unknown"
    assert unet["p_holm"] == ""
    fit = json.loads((out / "runs/lafr_only/fold0/seed0/fit.json").read_text())
    assert (fit["steps"], fit["planned_steps"], fit["batch"]) == (2, 2, 4)
    assert {path.name for path in (out / "figures").glob("figure1*.png")}
    page = (out / "index.html").read_text()
    assert "data:image/png;base64," in page
    assert "http" not in page.partition('<section id="manifest">')[0]  # nothing is fetched
