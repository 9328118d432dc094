"""Real scans the whole way: doctor, split, a very short training, segment, evaluate."""

import json

import nibabel as nib
import numpy as np
import pytest

from cafrnet.cli.main import main

SHORT = ["model_args={width: 48, tap_channels: [8, 8, 8], decoder_channels: [8, 8, 8, 8], clr_channels: 8}"]
SHORT += ["epochs=2", "steps_per_epoch=4", "batch=4", "lr=3e-3", "anchors=4"]


@pytest.mark.real
@pytest.mark.slow
def test_from_real_scans_on_disk_to_scores(real_data, tmp_path, capsys):
    split, run, out = tmp_path / "split.json", tmp_path / "run", tmp_path / "out"
    assert main(["data", "split", str(real_data), "-o", str(split)]) == 0
    parts = json.loads(split.read_text())
    few = {"train": parts["train"][:3], "val": parts["val"][:1], "test": parts["test"][:2]}
    split.write_text(json.dumps(few))
    words = ["train", "cafr_net", *SHORT, f"data={real_data}", f"split={split}", "-o", str(run), "-q"]
    assert main(words) == 0
    scans = [str(real_data / f"train/MR/{case}.nii.gz") for case in few["test"]]
    assert main(["segment", *scans, "-o", str(out), "--model", str(run)]) == 0
    for case in few["test"]:
        scan, labels = nib.load(real_data / f"train/MR/{case}.nii.gz"), nib.load(out / f"{case}_seg.nii.gz")
        assert labels.shape == scan.shape
        assert np.array_equal(labels.affine, scan.affine)
        assert not np.isin(np.asarray(labels.dataobj), [1]).any()  # S is marked nowhere: never predicted
        assert json.loads((out / f"{case}.json").read_text())["not_trained"] != []
    capsys.readouterr()
    words = ["evaluate", str(real_data), str(out), "--split", str(split), "--json", "--no-slices"]
    assert main(words) == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary["cases"]["scored"] == 2
    assert summary["not_annotated"] == ["S"]
    assert 0 <= summary["headline"]["dsc"]["mean"] <= 1
