"""From a dataset to a row of Table 3, with an environment that only looks like nnU-Net's."""

import csv
import json

import pytest

pytest.importorskip("torch")

from cafrnet.cli.main import main
from cafrnet.errors import UsageError
from cafrnet.experiments.nnunet.record import doubt, fit_record
from cafrnet.experiments.nnunet.settings import Settings
from cafrnet.experiments.reproduce import Options, reproduce

from ..small import Training, install
from .pretend import calls, trained, write_environment


@pytest.fixture(autouse=True)
def quick(monkeypatch, no_measuring):
    install(monkeypatch, Training())


def options(python, **more):
    settings = Settings(python, trainer="nnUNetTrainer_1epoch")
    return Options(**{"steps": 100, "folds": (0, 1), "rows": ("cafr_net",), "nnunet": settings, **more})


def rows(folder):
    with (folder / "tables/table3.csv").open(newline="") as file:
        return {row["method"]: row for row in csv.DictReader(file)}


def test_the_row_says_that_it_is_proven_and_not_trained(spines, tmp_path):
    python = write_environment(tmp_path / "env")
    result = reproduce(["table3"], spines, tmp_path / "r", options=options(python))
    assert result.complete, result.written.problems
    row = rows(tmp_path / "r")["nnU-Net v2 (package, 2d, 1 of 1000 epochs)"]
    assert float(row["dsc"]) == pytest.approx(100)  # its maps are the truths
    assert int(row["cases"]) == 4
    assert float(row["params_m"]) == 2
    assert float(row["gmacs"]) == 10.5
    assert row["converged"] == "proven, not trained (1 of 1000 epochs)"
    assert row["p_holm_note"].startswith("proven, not trained")
    text = (tmp_path / "r/tables/table3.md").read_text()
    assert "its plan is 48 x 32 voxels, batch 12, 4 stages" in text
    assert "not under this protocol" in text
    assert calls(python) == [
        "nnUNetv2_plan_and_preprocess",
        *["nnUNetv2_train", "nnUNetv2_predict"] * 2,
    ]
    run = tmp_path / "r/nnunetv2/nnUNetTrainer_1epoch__nnUNetPlans__2d/fold0/seed0"
    fit = json.loads((run / "fit.json").read_text())
    assert (fit["epochs"], fit["full_epochs"], fit["steps"], fit["minutes"]) == (1, 1000, 250, 0.033)
    assert fit["converged"] is None
    assert (tmp_path / "r" / fit["model_folder"] / "fold_0/checkpoint_final.pth").is_file()
    assert {path.name for path in run.iterdir()} >= {"cases.csv", "regions.csv", "summary.json", "score.json"}
    assert json.loads((tmp_path / "r/manifest.json").read_text())["options"]["nnunet"]["python"] == str(
        python
    )


def test_the_second_time_nothing_is_called(spines, tmp_path):
    python = write_environment(tmp_path / "env")
    reproduce(["table3"], spines, tmp_path / "r", options=options(python, folds=(0,)))
    (python.parent / "calls.txt").unlink()
    assert reproduce(["table3"], spines, tmp_path / "r", options=options(python, folds=(0,))).complete
    assert calls(python) == []


def test_a_command_that_fails_is_one_error_with_the_end_of_its_log_and_the_next_call_goes_on(
    spines, tmp_path
):
    python = write_environment(tmp_path / "env")
    (python.parent / "fail").write_text("nnUNetv2_predict")
    result = reproduce(["table3"], spines, tmp_path / "r", options=options(python, folds=(0,)))
    (problem,) = result.written.problems
    assert "nnunetv2, fold 0: nnU-Net's nnUNetv2_predict failed with exit code 1" in problem
    assert problem.endswith("first line | RuntimeError: Some background workers are no longer alive")
    assert rows(tmp_path / "r")["nnU-Net v2 (package, 2d)"]["dsc_note"] == "not run"
    (python.parent / "fail").unlink()
    (python.parent / "calls.txt").unlink()
    assert reproduce(["table3"], spines, tmp_path / "r", options=options(python, folds=(0,))).complete
    assert calls(python) == ["nnUNetv2_predict"]


def test_another_version_never_joins_a_folder(spines, tmp_path):
    python = write_environment(tmp_path / "env")
    reproduce(["table3"], spines, tmp_path / "r", options=options(python, folds=(0,)))
    (python.parent / "version").write_text("2.9")
    result = reproduce(["table3"], spines, tmp_path / "r", options=options(python, folds=(0,)))
    assert "holds another experiment" in result.written.problems[0]


def test_what_was_not_run_is_named(spines, tmp_path):
    python = write_environment(tmp_path / "env")
    result = reproduce(["table3"], spines, tmp_path / "r", options=options(python, train=False))
    assert any("nnU-Net v2 (package, 2d): folds 0, 1 were not run" in p for p in result.written.problems)
    assert calls(python) == []


def test_an_environment_without_nnunetv2_starts_nothing(spines, tmp_path, capsys):
    python = write_environment(tmp_path / "env")
    (python.parent / "fail").write_text("python")
    words = ["reproduce", "table3", "--data", str(spines), "-o", str(tmp_path / "r"), "--rows", "cafr_net"]
    assert main([*words, "--nnunet-python", str(python)]) == 2
    error = capsys.readouterr().err
    assert "No module named 'nnunetv2'" in error
    assert "pip install nnunetv2" in error
    assert main([*words, "--nnunet-python", str(tmp_path / "none")]) == 2
    assert "no such file" in capsys.readouterr().err
    assert main([*words, "--nnunet-python", str(python), "--nnunet-config", "4d"]) == 2
    assert "one of 2d, 3d_fullres" in capsys.readouterr().err
    assert not (tmp_path / "r/runs").exists()


def test_settings_that_make_no_sense_are_refused(tmp_path):
    with pytest.raises(UsageError, match="cpu, cuda, mps"):
        Settings(tmp_path, device="tpu")
    with pytest.raises(UsageError, match="name of a class"):
        Settings(tmp_path, trainer="../x")


@pytest.mark.parametrize(
    ("epochs", "said"),
    [
        (1, "proven, not trained (1 of 1000 epochs)"),
        (9, "proven, not trained (9 of 1000 epochs)"),
        (50, "truncated (50 of 1000 epochs)"),
        (1000, ""),
        (2000, ""),
    ],
)
def test_only_a_full_training_is_without_doubt(epochs, said):
    assert doubt(epochs) == said
    fit = fit_record(trained(epochs), 10)
    assert fit["doubt"] == said
    assert fit["converged"] is (None if said else True)  # its curve stands still
    assert fit["steps"] == 250 * epochs


def test_a_full_training_that_still_rises_is_not_converged():
    answer = trained(1000)
    answer["pseudo_dice"] = [n / 1000 for n in range(1000)]
    fit = fit_record(answer, 10)
    assert fit["converged"] is False
    assert fit["rise"] == pytest.approx(0.1, abs=2e-3)


def test_a_fold_of_another_experiment_is_in_no_table(spines, tmp_path):
    python = write_environment(tmp_path / "env")
    first = reproduce(["table3"], spines, tmp_path / "r", options=options(python))
    score = next((tmp_path / "r/nnunetv2").glob("*/fold0/seed0/score.json"))
    score.write_text(json.dumps(json.loads(score.read_text()) | {"hash": "0" * 64}))
    result = reproduce(["table3"], spines, tmp_path / "r", options=options(python, train=False))
    assert first.complete
    assert any("fold 0" in p and "holds another experiment" in p for p in result.written.problems)
