"""Several models that answer together: the mean is the mean, and what does not fit is refused."""

import json
from dataclasses import replace

import numpy as np
import pytest

import cafrnet
from cafrnet.cli.main import main
from cafrnet.errors import UsageError
from cafrnet.inference import load_model
from cafrnet.inference.calibration import Calibration, Thresholds, joint
from cafrnet.inference.ensemble import EnsembleEngine, ensemble, load_models
from handmade import stairs, write_grey_model, write_stairs


class Fixed:
    """An engine that gives the same probabilities everywhere."""

    name, metadata, image_shape, logits_shape = "fixed", {}, (None, 1, 4, 4), (None, 3, 4, 4)

    def __init__(self, *p: float) -> None:
        self.logits = np.log(np.array(p, np.float32))[None, :, None, None]

    def __call__(self, images):
        return np.broadcast_to(self.logits, (len(images), 3, 4, 4)).copy()


IMAGES = np.zeros((2, 1, 4, 4), np.float32)


def test_the_answer_is_the_mean_of_the_probabilities():
    together = EnsembleEngine([Fixed(0.7, 0.2, 0.1), Fixed(0.1, 0.2, 0.7), Fixed(0.1, 0.5, 0.4)])
    found = np.exp(together(IMAGES))
    assert found.shape == (2, 3, 4, 4)
    np.testing.assert_allclose(found[0, :, 0, 0], [0.3, 0.3, 0.4], rtol=1e-5)


def test_an_engine_that_adds_a_constant_to_its_logits_has_no_more_to_say():
    loud = Fixed(0.7, 0.2, 0.1)
    loud.logits = loud.logits + 50
    found = np.exp(EnsembleEngine([loud, Fixed(0.1, 0.2, 0.7)])(IMAGES))
    np.testing.assert_allclose(found[0, :, 0, 0], [0.4, 0.2, 0.4], rtol=1e-5)


def test_what_was_not_trained_gets_no_probability():
    found = np.exp(EnsembleEngine([Fixed(0.6, 0.2, 0.2)] * 2, not_trained=[0])(IMAGES))
    np.testing.assert_allclose(found[0, :, 0, 0], [0, 0.5, 0.5], atol=1e-6)


@pytest.fixture
def folds(tmp_path):
    """Two models of the same kind that differ in a file."""
    for k in range(2):
        write_grey_model(tmp_path / f"folds/fold{k}", metadata={"version": str(k)})
    return tmp_path / "folds"


def test_alike_models_give_what_one_gives_and_a_folder_of_folds_is_an_ensemble(folds, stairs_scan):
    _, labels, _ = stairs()
    both = load_models([folds], threads=1)
    assert [m.path.name for m in both.members] == ["fold0", "fold1"]
    assert np.array_equal(cafrnet.segment(stairs_scan, model=both).labels, labels)
    named = cafrnet.segment(stairs_scan, model=[folds / "fold0", folds / "fold1"], threads=1)
    assert np.array_equal(named.labels, labels)


def test_its_hashes_are_those_of_all_members_in_order(folds):
    one, two = (load_model(folds / f"fold{k}") for k in range(2))
    assert ensemble([one, two]).hashes == {
        **{f"0/{name}": h for name, h in one.hashes.items()},
        **{f"1/{name}": h for name, h in two.hashes.items()},
    }


def test_one_model_alone_stays_itself(folds):
    assert load_models([folds / "fold0"]).hashes == load_model(folds / "fold0").hashes


def test_what_does_not_fit_together_is_refused(folds, tmp_path):
    one = load_model(folds / "fold0")
    with pytest.raises(UsageError, match=r"differ in pixel_mm of the preprocessing \(2\.0 and 3\.0\)"):
        ensemble([one, load_model(write_grey_model(tmp_path / "coarse", pixel_mm=3.0))])
    with pytest.raises(UsageError, match=r"differ in num_classes \(22 and 20\);"):
        ensemble([one, load_model(write_grey_model(tmp_path / "twenty", num_classes=20))])
    with pytest.raises(
        UsageError, match=r"differ in not_trained \(none and spinal canal, posterior elements\)"
    ):
        ensemble([one, load_model(write_grey_model(tmp_path / "part", trained=list(range(20))))])
    both = write_grey_model(tmp_path / "both", pixel_mm=3.0, num_classes=20)
    with pytest.raises(UsageError, match=r"num_classes \(22 and 20\), pixel_mm of the preprocessing"):
        ensemble([one, load_model(both)])
    with pytest.raises(UsageError, match="the same model"):
        ensemble([one, load_model(folds / "fold0")])
    with pytest.raises(UsageError, match="at least one"):
        ensemble([])


def test_a_fold_that_is_not_finished_is_not_left_out_in_silence(folds):
    (folds / "fold2").mkdir()
    (folds / "tables").mkdir()  # no run: none of its business
    assert len(load_models([folds], threads=1).members) == 2
    (folds / "fold2/config.yaml").write_text("recipe: {}")
    with pytest.raises(UsageError, match="holds runs without a model, fold2: train them to their end"):
        load_models([folds], threads=1)


def test_calibrations_are_joined_only_where_every_member_has_one():
    a = Calibration(temperature=1.0, ranges={"snr": (5, 50), "a": (0, 1)}, thresholds=Thresholds(0.9, 0.8))
    b = Calibration(temperature=2.0, ranges={"snr": (8, 60)}, thresholds=Thresholds(0.8, 0.85))
    both = joint([a, b])
    assert both.temperature == 1.5
    assert both.ranges == {"snr": (8, 50)}
    assert (both.thresholds.level_pass, both.thresholds.dice_pass) == (0.9, 0.85)
    assert joint([a, None]) is None
    same = joint([replace(a, ranges={"snr": (8, 8)}), replace(a, ranges={"snr": (5, 8)})])
    assert same.ranges == {"snr": (8, 8)}
    apart = joint([replace(a, ranges={"snr": (5, 10)}), replace(a, ranges={"snr": (20, 50)})])
    assert apart.ranges == {"snr": (15, 15)}  # the limit stays
    assert joint([]) is None


def test_the_command_takes_several_models_and_records_their_hashes_and_the_views(folds, tmp_path):
    scan, out = write_stairs(tmp_path / "in/a.nii.gz"), tmp_path / "out"
    words = ["segment", str(scan), "-o", str(out), "-q"]
    models = ["--model", str(folds / "fold0"), "--model", str(folds / "fold1")]
    assert main([*words, *models]) == 0
    first = json.loads((out / "a.json").read_text())
    assert set(first["model"]["sha256"]) == {
        f"{k}/{name}" for k in (0, 1) for name in ("model.onnx", "preprocessing.json")
    }
    assert main([*words, *models, "--tta"]) == 0  # other options: done again
    again = json.loads((out / "a.json").read_text())
    assert again["options"]["tta"] == ["as-is", "mirror", "smaller", "larger"]
    assert main([*words, "--model", str(folds / "fold0")]) == 0  # another model: done again
    assert set(json.loads((out / "a.json").read_text())["model"]["sha256"]) == {
        "model.onnx",
        "preprocessing.json",
    }


def test_models_that_do_not_fit_end_the_command_before_it_starts(folds, tmp_path, capsys):
    scan = write_stairs(tmp_path / "in/a.nii.gz")
    other = write_grey_model(tmp_path / "coarse", pixel_mm=3.0)
    words = ["segment", str(scan), "-o", str(tmp_path / "out"), "--model", str(folds), "--model", str(other)]
    assert main(words) == 2
    assert "can't answer together" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_members_may_be_asked_through_views(folds, stairs_scan):
    from cafrnet.inference.views import with_views

    both = load_models([folds], threads=1)
    seen = with_views(both, ["mirror"])
    assert seen.hashes == both.hashes
    assert np.array_equal(cafrnet.segment(stairs_scan, model=seen).labels, stairs()[1])
    assert replace(seen, views=()).hashes == both.hashes
