"""Whose turn it is, what is compared, and that the other ways give a label map on the scan's grid."""

import sys

import nibabel as nib
import numpy as np
import peers
import peers_torch
import pytest
import torch

from cafrnet.learning.models import build_model


def runs(seconds, **more):
    return [{"round": k, "wall_s": s, "cpu_s": s, "peak_mb": 100.0, **more} for k, s in enumerate(seconds)]


def test_slow_tools_take_part_in_the_first_rounds_and_each_starts_one():
    turns = list(peers.order({"a": 3, "b": 3, "c": 1}, {}))
    assert turns == [(0, "a"), (0, "b"), (0, "c"), (1, "b"), (1, "a"), (2, "a"), (2, "b")]


def test_what_was_measured_is_not_measured_again():
    done = {"a": runs([1.0, 1.0]), "b": runs([1.0])}
    assert list(peers.order({"a": 2, "b": 2}, done)) == [(1, "b")]


def test_nothing_is_started_that_would_end_too_late(tmp_path):
    called = []

    def run(name):
        called.append(name)
        return {"wall_s": 70.0, "cpu_s": 1.0, "peak_mb": 1.0}

    found = {name: peers.Tool(name, lambda name=name: run(name), 2) for name in ("a", "b")}
    done = {"a": runs([70.0])}
    assert not peers.measure(found, done, tmp_path / "runs.json", {"threads": 2}, minutes=1)
    assert called == ["b"]  # the first b may run, since nothing is known of it; the second a may not
    assert peers.measure(found, done, tmp_path / "runs.json", {}, minutes=10)
    assert sorted(called) == ["a", "b", "b"]


def test_a_ratio_is_taken_in_the_rounds_that_both_took_part_in():
    # ours takes twice as long in the second round, as the other does; its third round has no partner
    found = peers.times(runs([20.0, 40.0]), runs([1.0, 2.0, 100.0]), "wall_s")
    assert found == {"median": 20.0, "least": 20.0, "most": 20.0}
    assert peers.times(runs([1.0]), [], "wall_s") is None


@pytest.mark.parametrize(("seconds", "verdict"), [(20.0, "reached (20.00)"), (19.99, "not reached (19.99)")])
def test_the_aim_is_judged_by_nnunet_without_mirroring(seconds, verdict):
    labels = {
        "cafrnet": ("ours", True),
        "nnunet": ("theirs", True),
        "nnunet_mirrored": ("mirrored", True),
        "nnunet_network": ("network", False),
    }
    done = {
        "cafrnet": runs([1.0], network_s=0.5),
        "nnunet": runs([seconds]),
        "nnunet_mirrored": runs([80.0]),
        "nnunet_network": runs([99.0], network_s=10.0),
    }
    figures, text = peers.report(labels, done)
    assert f"without mirroring: {verdict}" in text
    assert figures["nnunet_mirrored"]["times_ours_wall_s"]["median"] == 80.0
    assert figures["nnunet_network"]["times_ours_network_s"]["median"] == 20.0
    whole = text.partition("network alone")[0]
    assert "| mirrored | 80.00 (80.00 to 80.00) |" in whole
    assert "| network |" not in whole  # a part of a command is no whole command


def write(path, voxels, affine=None):
    nib.save(nib.Nifti1Image(voxels, np.diag([0.5, 0.5, 4, 1]) if affine is None else affine), path)
    return path


def test_a_tool_that_leaves_no_label_map_on_the_scans_grid_is_not_timed(tmp_path):
    scan = write(tmp_path / "scan.nii.gz", np.zeros((8, 6, 2), np.int16))
    good = np.ones((8, 6, 2), np.uint8)
    assert peers.checked({"wall_s": 1}, scan, write(tmp_path / "a.nii.gz", good)) == {"wall_s": 1}
    for name, voxels, affine in (
        ("shape", good[:6], None),
        ("place", good, np.diag([1.0, 1, 4, 1])),
        ("halves", good * np.float32(0.5), None),
    ):
        with pytest.raises(SystemExit, match=f"{name}.nii.gz is no label map"):
            peers.checked({}, scan, write(tmp_path / f"{name}.nii.gz", voxels, affine))


def test_a_tool_that_fails_ends_the_benchmark_with_its_words():
    with pytest.raises(SystemExit, match="ended with 7: no memory"):
        peers.must(peers.Child(7, 1.0, 1.0, 1.0, "no memory"))


@pytest.mark.parametrize(("make", "registered"), [("make_unet", "unet"), ("make_dynunet", "nnunet")])
def test_the_scripts_networks_have_the_registrys_size(make, registered):
    def count(network):
        return sum(p.numel() for p in network.parameters())

    # the script's transposed convolutions make half as many channels again as MONAI's block does
    assert count(getattr(peers_torch, make)()) == pytest.approx(count(build_model(registered)), rel=0.001)


@pytest.fixture
def one_thread():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["unet", "sliding"])
def test_the_other_ways_give_a_label_map(name, tmp_path, one_thread, monkeypatch):
    voxels = np.random.default_rng(0).integers(0, 200, (300, 280, 2)).astype(np.int16)
    scan = write(tmp_path / "scan.nii.gz", voxels, np.diag([0.5, 0.5, 4, 1]))
    peers_torch.weights(tmp_path)
    (tmp_path / "out").mkdir()
    made = tmp_path / "out" / "seg.nii.gz"
    more = ["0.6"] if name == "sliding" else []
    monkeypatch.setattr(
        sys, "argv", ["x", name, str(scan), str(tmp_path / f"{name}.pt"), str(made), "1", *more]
    )
    peers_torch.main()
    assert peers.checked({"wall_s": 0}, scan, made) == {"wall_s": 0}
    assert len(np.unique(np.asarray(nib.load(made).dataobj))) > 1
