"""Exports: they agree with their source or they are not there."""

import errno
import json
import shutil
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

import cafrnet
from cafrnet.cli.main import main
from cafrnet.errors import InputError, MissingExtraError, UsageError
from cafrnet.files import sha256
from cafrnet.inference import load_model, segment_scan
from cafrnet.learning.export import export as module
from cafrnet.learning.export.check import export_labels
from cafrnet.learning.export.export import export
from cafrnet.learning.export.source import open_source
from cafrnet.scan import Scan
from handmade import stairs, write_stairs

from .conftest import handmade_network, write_run

FORMS = [("onnx", "fp32"), ("onnx", "fp16"), ("openvino", "fp32"), ("openvino", "fp16"), ("onnx", "int8")]


def left_in(folder):
    return sorted(p.name for p in folder.iterdir())


@pytest.mark.parametrize(("to", "precision"), FORMS)
def test_an_export_finds_the_same_and_says_what_it_is(handmade_run, stairs_data, tmp_path, to, precision):
    if to == "openvino":
        pytest.importorskip("openvino")
    out = tmp_path / "out"
    record = export(handmade_run, out, to=to, precision=precision, fixtures=stairs_data)
    files = ["model.onnx"] if to == "onnx" else ["model.bin", "model.xml"]
    assert left_in(out) == sorted([*files, "export.json", "preprocessing.json"])
    assert left_in(tmp_path) == ["out"]
    assert json.loads((out / "export.json").read_text()) == record
    assert {name: f["sha256"] for name, f in record["files"].items()} == {n: sha256(out / n) for n in files}
    model = load_model(out, engine="onnxruntime" if to == "onnx" else "openvino")
    inside = model.engine.metadata
    assert inside["precision"] == record["precision"] == precision
    assert inside["source_sha256"] == sha256(handmade_run / "best.safetensors")
    assert set(inside["agreement"]) == {"phantoms", "fixtures"}
    assert model.engine.image_shape == (None, 1, 64, 64)
    image, labels, affine = stairs()
    assert np.array_equal(segment_scan(Scan(image, affine), model).labels, labels)
    assert record["agreement"]["fixtures"]["dice_against_truth"] == {"source": 1.0, "export": 1.0}


def test_fp16_stores_half_the_bytes_and_computes_in_fp32(handmade_run, tmp_path):
    export(handmade_run, tmp_path / "out", precision="fp16")
    proto = onnx.load(tmp_path / "out/model.onnx")
    stored = {t.data_type for t in proto.graph.initializer if len(t.dims) == 4}
    assert stored == {onnx.TensorProto.FLOAT16}
    assert {i.type.tensor_type.elem_type for i in (*proto.graph.input, *proto.graph.output)} == {
        onnx.TensorProto.FLOAT
    }


def test_int8_takes_the_fastest_plan_that_keeps_the_accuracy(handmade_run, stairs_data, tmp_path, caplog):
    """Logits reach 882 and neighbours differ by 2: 256 steps can't tell them apart in the last layer."""
    caplog.set_level("INFO", "cafrnet")
    record = export(
        handmade_run, tmp_path / "out", precision="int8", calibrate=stairs_data, fixtures=stairs_data
    )
    assert record["int8"]["plan"] == "products and moves, without the last layer"
    assert record["int8"]["calibrated_on"] == "15 slices of training scans"  # 3, and 4 of each larger one
    refused = [m for m in caplog.messages if m.startswith("int8, ")]
    assert len(refused) == 2
    assert all("of Dice against truth; at most 0.2 was expected" in m for m in refused)


def test_int8_that_no_plan_saves(handmade_run, stairs_data, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "PLANS", module.PLANS[:2])
    with pytest.raises(
        InputError,
        match=r"no plan for int8 keeps the accuracy\. products and moves: int8 loses .* on fixtures",
    ):
        export(handmade_run, tmp_path / "out", precision="int8", calibrate=stairs_data, fixtures=stairs_data)
    assert left_in(tmp_path) == []


def test_int8_needs_scans_that_the_source_knows(handmade_run, tmp_path):
    """Grey values of a phantom are no ids: there the source is wrong itself, and can lose nothing."""
    with pytest.raises(InputError, match=r"too low to tell what int8 loses; .*--fixtures DIR"):
        export(handmade_run, tmp_path / "out", precision="int8")
    assert left_in(tmp_path) == []


def test_an_export_that_differs_is_refused_and_leaves_nothing(handmade_run, tmp_path, monkeypatch):
    def spoilt(proto):
        for tensor in proto.graph.initializer:
            if len(tensor.dims) == 4:
                values = onnx.numpy_helper.to_array(tensor) * np.float32(1.01)
                tensor.CopyFrom(onnx.numpy_helper.from_array(values, tensor.name))

    monkeypatch.setattr(module, "store_half", spoilt)
    with pytest.raises(InputError, match=r"the export differs from its source: Dice \S+.* at least 0\.995"):
        export(handmade_run, tmp_path / "deep/out", precision="fp16")
    assert left_in(tmp_path / "deep") == []


@pytest.mark.parametrize("favoured", [0, 3])
def test_a_network_that_sees_one_thing_everywhere_shows_nothing(tmp_path, favoured):
    """Agreement with a constant answer would be perfect."""
    network = handmade_network()
    with torch.no_grad():
        network.prior[favoured] = 1e5
    run = write_run(tmp_path / "run", network)
    with pytest.raises(InputError, match=r"nothing shows that an export agrees with it; is it trained\?"):
        export(run, tmp_path / "out")
    assert left_in(tmp_path) == ["run"]


def test_classes_that_were_not_trained_stay_out(tmp_path):
    network = handmade_network()
    network.trained[5] = False
    run = write_run(tmp_path / "run", network)
    assert "Where" not in {n.op_type for n in onnx.load(run / "model.onnx").graph.node}
    export(run, tmp_path / "out")
    model = load_model(tmp_path / "out")
    images = np.tile(np.arange(22, dtype=np.float32) / 21, (1, 64, 3))[:, :, :64]
    found = export_labels(model, images)
    assert model.not_trained == ("L2",)
    assert set(np.unique(found)) == set(range(22)) - {5}
    assert np.array_equal(found, open_source(run).labels(images))


def test_wrong_use_is_told_before_any_work(handmade_run, tmp_path, monkeypatch):
    (tmp_path / "full").mkdir()
    (tmp_path / "full/x").write_text("")
    wrong = [
        ({"to": "onx"}, "no form 'onx' of a model; did you mean 'onnx'"),
        ({"precision": "fp8"}, "no precision 'fp8'"),
        ({"calibrate": tmp_path}, "--calibrate is for --precision int8, fp32 came"),
    ]
    for words, sentence in wrong:
        with pytest.raises(UsageError, match=sentence):
            export(handmade_run, tmp_path / "out", **words)
    with pytest.raises(UsageError, match="is there already"):
        export(handmade_run, tmp_path / "full")
    with pytest.raises(UsageError, match="neither a run nor a bundle"):
        export(tmp_path / "full", tmp_path / "out")
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(MissingExtraError, match=r"export --to openvino needs the 'openvino' extra"):
        export(handmade_run, tmp_path / "out", to="openvino")
    assert left_in(tmp_path) == ["full"]


def test_weights_of_another_network(handmade_run, tmp_path):
    run = shutil.copytree(handmade_run, tmp_path / "run")
    config = (run / "config.yaml").read_text().replace("kernel_size: 9", "kernel_size: 7")
    (run / "config.yaml").write_text(config)
    with pytest.raises(InputError, match="its weights are of another network"):
        export(run, tmp_path / "out")
    (run / "best.safetensors").write_bytes((run / "best.safetensors").read_bytes()[:99])
    with pytest.raises(InputError, match=r"best\.safetensors is missing or damaged"):
        export(run, tmp_path / "out")
    assert left_in(tmp_path) == ["run"]


@pytest.mark.parametrize("stop", [KeyboardInterrupt(), OSError(errno.ENOSPC, "No space left on device")])
def test_interrupted_or_out_of_space_nothing_is_left(handmade_run, tmp_path, monkeypatch, stop):
    def fails(*_):
        raise stop

    monkeypatch.setattr(module, "write_json", fails)  # the last file that is written
    with pytest.raises(KeyboardInterrupt if isinstance(stop, KeyboardInterrupt) else InputError):
        export(handmade_run, tmp_path / "out")
    assert left_in(tmp_path) == []


@pytest.mark.parametrize("to", ["onnx", "openvino"])
def test_a_full_disk(handmade_run, small_disk, capsys, to):
    if to == "openvino":
        pytest.importorskip("openvino")
    (small_disk / "ballast").write_bytes(b"x" * 10_000)
    assert main(["export", str(handmade_run), "--to", to, "-o", str(small_disk / "out")]) == 1
    errors = capsys.readouterr().err.splitlines()
    assert len(errors) == 1
    assert (
        "could not be written: No space left on device" in errors[0]
        or "OpenVINO could not write" in errors[0]
    )
    assert left_in(small_disk) == ["ballast"]


def split_of(**parts):
    return {
        "version": 1,
        "dataset": "stairs",
        "seed": 0,
        "kind": "holdout",
        "fractions": [0.5, 0.25, 0.25],
    } | parts


def test_the_test_cases_of_the_run_are_never_used(tmp_path, stairs_data):
    split = split_of(train=["Case1", "Case3"], val=["Case2"], test=["Case4"], left_out=[])
    source = open_source(write_run(tmp_path / "run", handmade_network(), split))
    assert [c.id for c in source.cases(stairs_data, "train")] == ["Case1", "Case3"]
    assert [c.id for c in source.cases(stairs_data, "val")] == ["Case2"]
    other = shutil.copytree(stairs_data, tmp_path / "other")
    (other / "dataset.yaml").write_text((other / "dataset.yaml").read_text().replace("stairs", "others"))
    assert len(source.cases(other, "val")) == 4  # another dataset: nothing of it was seen
    split = split_of(train=["Case1", "Case3"], val=[], test=["Case2", "Case4"], left_out=[])
    source = open_source(write_run(tmp_path / "run2", handmade_network(), split))
    with pytest.raises(UsageError, match="no labelled case of the val part of the run's split"):
        source.cases(stairs_data, "val")


@pytest.mark.parametrize("file", ["model.xml", "model.bin"])
@pytest.mark.parametrize("damage", ["cut", "changed"])
def test_a_damaged_ir_is_never_used(handmade_run, tmp_path, file, damage):
    pytest.importorskip("openvino")
    export(handmade_run, tmp_path / "out", to="openvino")
    path = tmp_path / "out" / file
    raw = bytearray(path.read_bytes())
    if damage == "cut":
        raw = raw[: len(raw) // 2]
    elif file == "model.bin":
        raw[100] ^= 255  # OpenVINO itself would run it
    else:
        raw = raw.replace(b"weights_sha256", b"weights_sha257")
    path.write_bytes(raw)
    with pytest.raises(InputError, match=r"model\.(xml|bin) is damaged"):
        load_model(tmp_path / "out")


def test_the_command(handmade_run, tmp_path, capsys):
    out = tmp_path / "out"
    assert main(["export", str(handmade_run), "-o", str(out)]) == 0
    told = capsys.readouterr()
    assert told.out.splitlines() == [str(out)]
    assert told.err.startswith("phantoms: Dice with the source 1.0000 at least; Dice with the truth ")
    scan = write_stairs(tmp_path / "a.nii.gz")
    words = ["segment", scan, "--model", out, "-o", tmp_path / "seg", "--engine", "onnxruntime", "-q"]
    assert main([str(w) for w in words]) == 0
    assert json.loads((tmp_path / "seg/a.json").read_text())["model"]["engine"] == "onnxruntime"
    capsys.readouterr()
    assert (
        main(["export", str(handmade_run), "-o", str(tmp_path / "b"), "--precision", "fp16", "--json"]) == 0
    )
    assert json.loads(capsys.readouterr().out)["precision"] == "fp16"


def test_a_model_names_no_place_of_the_machine_that_made_it(handmade_run):
    model = (handmade_run / "model.onnx").read_bytes()
    shipped = (Path(cafrnet.__file__).parent / "bundles" / "default" / "model.onnx").read_bytes()
    for content in (model, shipped):
        assert b"onnx.py" not in content
        assert str(Path(cafrnet.__file__).parent).encode() not in content
