"""The whole way from words to a page, with a training that takes no time."""

import csv
import json
import shlex
import shutil
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace

import pytest

pytest.importorskip("torch")

from cafrnet.cli.main import main
from cafrnet.errors import Interrupted, UsageError
from cafrnet.experiments import cost, write
from cafrnet.experiments.engines import Clock
from cafrnet.experiments.layout import LARGE
from cafrnet.experiments.reproduce import Options, reproduce

from .small import WITHOUT_L1, Training, install, write_spines

pytestmark = pytest.mark.usefixtures("no_measuring")


def table(folder, name):
    with (folder / f"tables/{name}.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_table_3_from_words_to_page(spines, tmp_path, monkeypatch):
    training = install(monkeypatch, Training({"unet": (6,)}))
    options = Options(steps=100, rows=("unet", "cafr_net"))
    result = reproduce(["table3"], spines, tmp_path / "r", options=options)
    assert result.complete
    assert len(training.begun) == 5 * 2
    unet, full = table(tmp_path / "r", "table3")
    assert (unet["method"], full["method"]) == ("U-Net", "CAFR-Net")
    assert float(full["dsc"]) == pytest.approx(100)
    assert full["difference"] == "reference"
    assert int(unet["cases"]) == 10
    assert float(unet["dsc"]) == pytest.approx(100 * WITHOUT_L1, abs=1e-3)
    assert float(unet["difference"]) == pytest.approx(100 - 100 * WITHOUT_L1, abs=1e-3)
    assert float(unet["missed"]) == pytest.approx(100 / 11, abs=1e-3)
    # all ten differences have one sign: 2 of the 2^10 ways to give them signs
    assert float(unet["p_holm"]) == pytest.approx(2 / 2**10, rel=1e-3)
    assert float(unet["effect"]) == 1
    assert (unet["paper_dsc"], unet["paper_p"]) == ("85.31", "<0.001")
    structures = {row["structure"]: row for row in table(tmp_path / "r", "structures")}
    assert float(structures["L1"]["unet"]) == 0
    assert float(structures["L2"]["unet"]) == pytest.approx(200 / 3, abs=1e-3)
    assert structures["T9"]["group"] == "in no truth"
    assert structures["T9"]["unet_note"] == "in no truth"
    shape = table(tmp_path / "r", "shapes")[0]
    assert float(shape["over_segmentation"]) == pytest.approx(100 / 11, rel=0.2)  # L1's voxels, called L2
    regions = {(row["region"], row["method"]) for row in table(tmp_path / "r", "regions")}
    assert ("low contrast", "CAFR-Net") in regions
    pairs = {row["metric"]: row for row in table(tmp_path / "r", "regions_pairs")}
    assert float(pairs["low contrast: error_rate"]["difference"]) < 0
    assert float(pairs["low contrast: error_rate"]["p_holm"]) < 0.01
    assert float(pairs["dsc_low"]["difference"]) == 0
    assert pairs["dsc_low"]["p_holm_note"] == "no case differs"
    page = (tmp_path / "r/index.html").read_text()
    assert "Table 3: comparison of models" in page
    assert "spines (10 cases" in page
    text = (tmp_path / "r/tables/table3.md").read_text()
    assert "100 steps of 16 slices, seed 0" in text
    assert "fold 0, 1, 2, 3, 4 of 5" in text


def test_table_4_shares_the_full_model_and_shows_the_interaction(spines, tmp_path, monkeypatch):
    training = install(monkeypatch, Training({"no lafr": (6,)}))
    options = Options(steps=100, folds=(0, 1), rows=("cafr_net", "baseline", "lafr_only", "clr_only"))
    result = reproduce(["table3", "table4"], spines, tmp_path / "r", options=options)
    assert result.complete
    assert len(training.begun) == 4 * 2
    baseline, lafr, clr, full = table(tmp_path / "r", "table4")
    assert (
        float(baseline["dsc"])
        == pytest.approx(float(clr["dsc"]))
        == pytest.approx(100 * WITHOUT_L1, abs=1e-3)
    )
    assert float(lafr["dsc"]) == float(full["dsc"]) == pytest.approx(100)
    assert baseline["p_holm_note"] == "too few cases"
    assert baseline["noise_note"] == "one seed: unknown"
    assert float(full["ms_per_step"]) > 0
    interaction = table(tmp_path / "r", "table4_interaction")[0]
    assert float(interaction["lafr"]) == pytest.approx(1 - WITHOUT_L1, abs=1e-4)
    assert float(interaction["interaction"]) == pytest.approx(0, abs=1e-9)
    assert interaction["verdict"] == "no claim: too few cases"
    manifest = json.loads((tmp_path / "r/manifest.json").read_text())
    assert manifest["identity"]["steps"] == 100
    assert manifest["rows"]["lafr_only"]["resolved"]["clr"] == {"enabled": False}
    assert len(manifest["runs"]) == 8


def test_table_4_with_a_row_left_out_says_so(spines, tmp_path, monkeypatch):
    install(monkeypatch, Training())
    options = Options(steps=20, folds=(0,), rows=("cafr_net", "lafr_only"))
    assert reproduce(["table4"], spines, tmp_path / "r", options=options).complete
    baseline, lafr, *_ = table(tmp_path / "r", "table4")
    assert baseline["dsc_note"] == "not run"
    assert float(lafr["dsc"]) == pytest.approx(100)
    assert table(tmp_path / "r", "table4_interaction") == []


def test_the_second_time_nothing_is_trained(spines, tmp_path, monkeypatch):
    training = install(monkeypatch, Training())
    options = Options(steps=20, folds=(0,), rows=("unet", "cafr_net"))
    reproduce(["table3"], spines, tmp_path / "r", options=options)
    again = reproduce(["table3"], spines, tmp_path / "r", options=options)
    assert [o.status for o in again.outcomes] == ["skipped", "skipped"]
    assert len(training.begun) == 2
    more = Options(steps=20, folds=(0, 1), rows=("unet", "cafr_net"))
    assert len(reproduce(["table3"], spines, tmp_path / "r", options=more).outcomes) == 4
    assert len(training.begun) == 4
    manifest = json.loads((tmp_path / "r/manifest.json").read_text())
    assert len(manifest["commands"]) == 3
    assert {run["status"] for run in manifest["runs"].values()} == {"done"}
    for name, run in manifest["runs"].items():
        assert run["hash"] == json.loads((tmp_path / "r/runs" / name / "score.json").read_text())["hash"]


def test_the_manifest_has_a_command_that_a_shell_takes(spines, tmp_path, monkeypatch):
    install(monkeypatch, Training())
    options = Options(steps=20, folds=(0,), rows=("unet",))
    words = ("cafrnet", "reproduce", "table3", "clr.maps=['1/8', '1/4']", "--data", "my data")
    reproduce(["table3"], spines, tmp_path / "r", options=options, command=words)
    said = json.loads((tmp_path / "r/manifest.json").read_text())["commands"][0]["command"]
    assert tuple(shlex.split(said)) == words


def slim(folder):
    """Remove what a finished run can do without."""
    for run in folder.glob("runs/*/fold*/seed*"):
        for pattern in LARGE:
            for path in run.glob(pattern.rstrip("/")):
                shutil.rmtree(path) if path.is_dir() else path.unlink()


def test_scores_outlive_the_models_that_gave_them(spines, tmp_path, monkeypatch):
    training = install(monkeypatch, Training({"unet": (6,)}))
    timed = []
    monkeypatch.setattr(cost, "_side_by_side", lambda models, *_: timed.append(sorted(models)) or {})
    options = Options(steps=100, folds=(0,), rows=("unet", "cafr_net"))
    reproduce(["table3"], spines, tmp_path / "r", options=options)
    before = table(tmp_path / "r", "table3")
    slim(tmp_path / "r")
    assert not list((tmp_path / "r").rglob("*.onnx")) + list((tmp_path / "r").rglob("*.nii.gz"))
    more = replace(options, rows=("unet", "cafr_net", "baseline"))
    again = reproduce(["table3", "table4"], spines, tmp_path / "r", options=more)
    assert again.complete
    assert [o.status for o in again.outcomes] == ["skipped", "skipped", "done"]
    assert len(training.begun) == 3
    assert table(tmp_path / "r", "table3") == before
    assert timed == [["cafr_net", "unet"]]

    # what needs the models names them
    other = write_spines(tmp_path / "other", cases=3, mark=5)
    needs = reproduce(["table3"], spines, tmp_path / "r", options=replace(options, external=(other,)))
    assert [p for p in needs.written.problems if "unet/fold0/seed0 was kept without its model" in p]
    shown = reproduce(["robustness"], spines, tmp_path / "r", options=options)
    assert any("kept without its model" in p for p in shown.written.problems)

    # and without its score a run begins anew
    (tmp_path / "r/runs/unet/fold0/seed0/score.json").unlink()
    assert reproduce(["table3"], spines, tmp_path / "r", options=options).complete
    assert len(training.begun) == 4
    assert table(tmp_path / "r", "table3") == before


def test_a_row_that_fails_stops_no_other_and_is_named(spines, tmp_path, monkeypatch, capsys):
    install(monkeypatch, Training(broken=("unet",)))
    words = ["reproduce", "table3", "steps=20", "--data", str(spines), "-o", str(tmp_path / "r")]
    assert main([*words, "--folds", "0", "--rows", "unet,cafr_net"]) == 1
    out, err = capsys.readouterr()
    assert out.strip() == str(tmp_path / "r/index.html")
    assert "1 of 2 runs are not there" in err
    assert "unet/fold0/seed0 failed: ValueError: the loss became nan" in err
    assert "ValueError" in (tmp_path / "r/runs/unet/fold0/seed0.error.txt").read_text()
    unet, full = table(tmp_path / "r", "table3")
    assert unet["dsc_note"] == "not run"
    assert float(full["dsc"]) == pytest.approx(100)
    assert "1 of 2 runs are missing (1 failed)" in (tmp_path / "r/index.html").read_text()
    install(monkeypatch, Training())  # repaired: the same command goes on
    assert main([*words, "--folds", "0", "--rows", "unet,cafr_net", "-q"]) == 0
    assert not (tmp_path / "r/runs/unet/fold0/seed0.error.txt").exists()


def test_ctrl_c_keeps_what_is_finished_and_the_next_call_goes_on(spines, tmp_path, monkeypatch):
    training = install(monkeypatch, Training(interrupted=("cafr_net",)))
    options = Options(steps=20, folds=(0,), rows=("unet", "cafr_net"))
    with pytest.raises(Interrupted, match="1 of 2 runs were dealt with"):
        reproduce(["table3"], spines, tmp_path / "r", options=options)
    manifest = json.loads((tmp_path / "r/manifest.json").read_text())
    assert manifest["identity"]["steps"] == 20
    assert list(manifest["runs"]) == ["unet/fold0/seed0"]
    assert reproduce(["table3"], spines, tmp_path / "r", options=options).complete
    assert len(training.begun) == 2
    assert [path.parts[-3] for path in training.resumed] == ["cafr_net"]


def test_a_begun_run_does_not_go_on_with_corrected_masks(spines, tmp_path, monkeypatch):
    training = install(monkeypatch, Training(interrupted=("unet",)))
    data = shutil.copytree(spines, tmp_path / "data")
    options = Options(steps=20, folds=(0,), rows=("unet",))
    with pytest.raises(Interrupted):
        reproduce(["table3"], data, tmp_path / "r", options=options)
    shutil.copy(data / "train/MR/Case2.nii.gz", data / "train/MR/Case1.nii.gz")
    with pytest.raises(UsageError, match="made with data"):
        reproduce(["table3"], data, tmp_path / "r", options=options)
    assert not training.resumed


def test_a_part_that_breaks_or_is_stopped_costs_no_table(spines, tmp_path, monkeypatch):
    install(monkeypatch, Training())
    options = Options(steps=20, folds=(0,), rows=("unet", "cafr_net"))

    def breaks():
        raise BrokenProcessPool("a worker was killed")

    def stops():
        raise KeyboardInterrupt

    monkeypatch.setattr(write, "makers", lambda part, subject: {"bent": breaks})
    result = reproduce(["table3", "figures"], spines, tmp_path / "r", options=options)
    assert "bent: BrokenProcessPool: a worker was killed" in result.written.problems
    assert len(table(tmp_path / "r", "table3")) == 2

    shutil.rmtree(tmp_path / "r/tables")
    monkeypatch.setattr(write, "makers", lambda part, subject: {"bent": stops})
    with pytest.raises(KeyboardInterrupt):
        reproduce(["table3", "figures"], spines, tmp_path / "r", options=options)
    assert len(table(tmp_path / "r", "table3")) == 2


def test_after_the_time_limit_nothing_is_started_and_the_tables_say_so(spines, tmp_path, monkeypatch):
    install(monkeypatch, Training())
    over = iter([False, True, True, True])
    monkeypatch.setattr(Clock, "over", property(lambda self: next(over, True)))
    options = Options(steps=20, folds=(0,), rows=("unet", "cafr_net"), minutes=1)
    result = reproduce(["table3"], spines, tmp_path / "r", options=options)
    assert [o.status for o in result.outcomes] == ["done", "not started"]
    assert not result.complete
    text = (tmp_path / "r/tables/table3.md").read_text()
    assert "PARTIAL: 1 of 2 runs are missing (1 not started before the time limit)" in text
    assert "cafr_net not run" in text


def test_rows_under_another_protocol_never_join_a_folder(spines, tmp_path, monkeypatch):
    install(monkeypatch, Training())
    options = {"folds": (0,), "rows": ("unet", "cafr_net")}
    reproduce(["table3"], spines, tmp_path / "r", options=Options(steps=20, **options))
    with pytest.raises(UsageError, match="made with steps 20, now 30"):
        reproduce(["table3"], spines, tmp_path / "r", options=Options(steps=30, **options))
    with pytest.raises(UsageError, match="changes"):
        reproduce(
            ["table3"],
            spines,
            tmp_path / "r",
            options=Options(steps=20, changes=("training.lr=1e-3",), **options),
        )
    other = write_spines(tmp_path / "other", cases=9)
    with pytest.raises(UsageError, match="Case10"):
        reproduce(["table3"], other, tmp_path / "r", options=Options(steps=20, **options))


def test_a_run_of_another_split_is_not_compared(spines, tmp_path, monkeypatch):
    install(monkeypatch, Training())
    options = Options(steps=20, folds=(0,), rows=("unet", "cafr_net"))
    reproduce(["table3"], spines, tmp_path / "r", options=options)
    path = tmp_path / "r/runs/unet/fold0/seed0/split.json"
    raw = json.loads(path.read_text())
    raw["folds"] = raw["folds"][1:] + raw["folds"][:1]
    del raw["hash"]
    path.write_text(json.dumps(raw))
    result = reproduce(["table3"], spines, tmp_path / "r", options=options)
    assert "unet/fold0/seed0 was trained on another split" in result.written.problems[0]
    assert table(tmp_path / "r", "table3")[0]["dsc_note"] == "not run"


def test_a_missing_or_extra_prediction_of_a_run_is_an_error(spines, tmp_path, monkeypatch):
    install(monkeypatch, Training())
    options = Options(steps=20, folds=(0,), rows=("unet", "cafr_net"))
    reproduce(["table3"], spines, tmp_path / "r", options=options)
    run = tmp_path / "r/runs/unet/fold0/seed0"
    summary = json.loads((run / "summary.json").read_text())
    gone = sorted(summary["per_case"])[0]
    del summary["per_case"][gone]
    (run / "summary.json").write_text(json.dumps(summary))
    result = reproduce(["table3"], spines, tmp_path / "r", options=options)
    assert f"the cases {gone} are scored but not of its fold, or of its fold" in result.written.problems[0]


def test_predictions_from_outside_are_scored_alike(spines, tmp_path, monkeypatch):
    install(monkeypatch, Training({"unet": (6,)}))
    options = Options(steps=20, folds=(0, 1), rows=("unet", "cafr_net"))
    reproduce(["table3"], spines, tmp_path / "r", options=options)
    outside = tmp_path / "outside"
    outside.mkdir()
    for path in (tmp_path / "r/runs/unet").rglob("*_seg.nii.gz"):
        shutil.copy(path, outside)
    with_it = Options(**{**vars(options), "predictions": {"nnunetv2": outside}})
    reproduce(["table3"], spines, tmp_path / "r", options=with_it)
    unet, _, other = table(tmp_path / "r", "table3")
    assert other["method"] == "nnunetv2 (from outside)"
    assert float(other["dsc"]) == pytest.approx(float(unet["dsc"]))
    assert other["converged"] == "not ours: convergence unknown"

    gone = sorted(outside.iterdir())[0]
    gone.rename(outside / "Case99_seg.nii.gz")
    result = reproduce(["table3"], spines, tmp_path / "r", options=with_it)
    notes = (tmp_path / "r/tables/table3.md").read_text()
    assert f"no prediction for {gone.name.removesuffix('_seg.nii.gz')}: all of it counts as missed" in notes
    assert "1 predictions belong to no test case" in notes
    assert result.written.problems == []


def test_external_validation(spines, tmp_path, monkeypatch):
    install(monkeypatch, Training({"unet": (6,)}))
    other = write_spines(tmp_path / "other", cases=3, mark=5)
    # L5/S and L1/L2 are not told from background there
    (other / "dataset.yaml").write_text("name: elsewhere\nvalues:\n  0: [0, 11, 15]\n")
    options = Options(steps=20, folds=(0, 1), rows=("unet", "cafr_net"), external=(other,))
    result = reproduce(["table3"], spines, tmp_path / "r", options=options)
    assert result.complete
    unet, full = table(tmp_path / "r", "external_elsewhere")
    assert (unet["cases"], unet["models"]) == ("3", "2")
    assert float(unet["dsc"]) == pytest.approx(100 * (7 + 2 / 3) / 9, abs=1e-3)
    assert float(full["dsc"]) == pytest.approx(100)
    text = (tmp_path / "r/tables/external_elsewhere.md").read_text()
    assert "left out of every score: " in text
    assert "L5/S" in text.partition("left out")[2]

    own = Options(**{**vars(options), "external": (spines,)})
    again = reproduce(["table3"], spines, tmp_path / "r", options=own)
    assert "holds the scans that the models were trained on" in again.written.problems[0]


def test_sensitivity_with_two_seeds(spines, tmp_path, monkeypatch):
    install(monkeypatch, Training())
    options = Options(steps=100, folds=(2,), seeds=(0, 1), rows=("contrast",))
    result = reproduce(["sensitivity"], spines, tmp_path / "r", options=options)
    assert result.complete
    first, *points = table(tmp_path / "r", "sensitivity")
    assert first["factor"] == "full CAFR-Net"
    assert [p["value"] for p in points] == ["none", "HE", "HE, then CLAHE"]
    # the same network each time: no noise at all, and no change is below it
    assert {p["stable"] for p in points} == {"no"}
    assert (tmp_path / "r/figures/sensitivity.png").stat().st_size > 10_000


def test_what_is_one_experiment_in_two_tables_is_trained_once(spines, tmp_path, monkeypatch):
    training = install(monkeypatch, Training())
    options = Options(steps=20, folds=(0,), rows=("weight_clr",))
    reproduce(["sensitivity"], spines, tmp_path / "r", options=options)
    begun = [path.parts[-3] for path in training.begun]
    assert "lafr_only" in begun  # the weight 0
    assert "baseline" not in begun
    both = replace(options, rows=("weight_clr", "lafr_only", "cafr_net"))
    assert reproduce(["sensitivity", "table4"], spines, tmp_path / "r", options=both).complete
    assert len(training.begun) == len(begun)


def test_learning_curve_trains_on_nested_subsets(spines, tmp_path, monkeypatch):
    training = install(monkeypatch, Training())
    options = Options(steps=100, folds=(0,))
    result = reproduce(["learning-curve"], spines, tmp_path / "r", options=options)
    assert result.complete
    names = sorted({path.parts[-3] for path in training.begun})
    assert names == ["cafr_net", "cafr_net-train3", "unet", "unet-train3"]  # of six training cases
    small = json.loads((tmp_path / "r/splits/train3-fold0-seed0.json").read_text())
    whole = json.loads((tmp_path / "r/split.json").read_text())["folds"]
    assert len(small["train"]) == 3
    assert sorted(small["test"]) == sorted(whole[0])
    assert "Score against training cases" in (tmp_path / "r/index.html").read_text()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["tabel3"], "did you mean 'table3'"),
        (["table3", "steps=many"], "a number of optimiser steps"),
        (["table3", "--budget", "smok"], "did you mean 'smoke'"),
        (["table3", "--folds", "a"], "numbers with commas"),
        (["table3", "--folds", "7"], "from 0 to 4"),
        (["table3", "--jobs", "0"], "at least 1"),
        (["table3", "--engine", "spark"], "no engine 'spark'"),
        (["table3", "--rows", "unett"], "no recipe 'unett'"),
        (["table3", "--predictions", "x"], "NAME=DIR"),
        (["table3", "--sizes", "huge"], "sizes 'huge'"),
        (["table4", "--nnunet-python", "python"], "a row of table3"),
    ],
)
def test_wrong_use_starts_nothing(words, message, spines, tmp_path, capsys):
    assert main(["reproduce", *words, "--data", str(spines), "-o", str(tmp_path / "r")]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "r/runs").exists()


def test_too_few_patients(tmp_path, capsys):
    few = write_spines(tmp_path / "few", cases=3)
    assert main(["reproduce", "table3", "--data", str(few), "-o", str(tmp_path / "r")]) == 2
    assert "too few for 5 parts" in capsys.readouterr().err
