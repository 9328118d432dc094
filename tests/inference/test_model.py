"""A model folder is used only when everything in it belongs together."""

import json
import shutil

import pytest

from cafrnet.bundles import places
from cafrnet.errors import InputError, UsageError
from cafrnet.files import sha256
from cafrnet.inference import load_model
from handmade import write_grey_model
from handmade_bundle import write_grey_bundle


@pytest.fixture
def folder(grey_model, tmp_path):
    return shutil.copytree(grey_model, tmp_path / "run")


def edit(folder, **changes):
    path = folder / "preprocessing.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_a_good_folder(model, grey_model):
    assert (model.num_classes, model.not_trained, model.path) == (22, (), grey_model)
    assert model.hashes == {n: sha256(grey_model / n) for n in ("model.onnx", "preprocessing.json")}
    assert model.engine.name == "onnxruntime"
    assert model.engine.image_shape == (None, 1, 64, 64)


def test_no_folder_no_default_no_threads(tmp_path, grey_model, monkeypatch):
    monkeypatch.setattr(places, "DEFAULT", tmp_path / "no default")
    with pytest.raises(UsageError, match="--model RUN"):
        load_model(None)
    with pytest.raises(UsageError, match="gone does not exist"):
        load_model(tmp_path / "gone")
    with pytest.raises(UsageError, match="is not a folder"):
        load_model(grey_model / "model.onnx")
    with pytest.raises(UsageError, match="0 threads came"):
        load_model(grey_model, threads=0)


def test_missing_files(folder):
    (folder / "preprocessing.json").unlink()
    with pytest.raises(InputError, match=r"preprocessing\.json could not be read.*incomplete"):
        load_model(folder)
    (folder / "model.onnx").unlink()
    with pytest.raises(InputError, match=r"model\.onnx: no such model file"):
        load_model(folder)


@pytest.mark.parametrize(
    "damage", [lambda b: b[: len(b) // 2], lambda b: b"not a model\n" * 20, lambda b: b""]
)
def test_a_damaged_model_file(folder, damage):
    path = folder / "model.onnx"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(
        InputError, match=r"model\.onnx( is damaged or no ONNX model|.*not written by cafrnet)"
    ) as caught:
        load_model(folder)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"label_table": 99}, "label table version 99"),
        ({"label_table": None}, "was not written by cafrnet: it lacks 'label_table'"),
        ({"num_classes": None}, "it lacks 'num_classes'"),
        ({"preprocessing": None}, "it lacks 'preprocessing'"),
        ({"num_classes": "many"}, "metadata in it is damaged"),
        ({"trained": 5}, "metadata in it is damaged"),
        ({"preprocessing": 7}, "metadata in it is damaged"),
        ({"trained": [0, 40]}, "ids .*40.* were trained"),
        ({"preprocessing": {"size": 64, "pixel_mm": 2.0}}, "differs from what the model was trained with"),
    ],
)
def test_metadata_that_does_not_fit(tmp_path, changes, message):
    with pytest.raises(InputError, match=message):
        load_model(write_grey_model(tmp_path / "run", metadata=changes))


def test_metadata_that_is_not_json(folder):
    path = folder / "model.onnx"
    path.write_bytes(path.read_bytes().replace(b'{"pixel_mm"', b'["pixel_mm"'))
    with pytest.raises(InputError, match="metadata in it is damaged"):
        load_model(folder)


def test_more_classes_than_the_label_table_has(tmp_path):
    with pytest.raises(InputError, match="25 outputs, 2 to 22"):
        load_model(write_grey_model(tmp_path / "run", num_classes=25))


def test_outputs_and_metadata_must_agree(tmp_path):
    folder = write_grey_model(tmp_path / "run", num_classes=20)
    assert load_model(folder).num_classes == 20
    small = write_grey_model(tmp_path / "small", num_classes=20, size=32)
    shutil.copy(small / "model.onnx", folder)
    with pytest.raises(InputError, match="differs from what the model was trained with"):
        load_model(folder)
    lying = write_grey_model(tmp_path / "lying", metadata={"num_classes": 20, "trained": [0, 1]})
    with pytest.raises(InputError, match="logits have the shape any x 22 x 64 x 64, any x 20 x 64 x 64 was"):
        load_model(lying)


def test_the_wrong_image_size_or_a_fixed_batch(folder):
    onnx = pytest.importorskip("onnx")
    model = onnx.load(folder / "model.onnx")
    lengths = model.graph.input[0].type.tensor_type.shape.dim
    lengths[0].dim_value = 1
    onnx.save(model, folder / "model.onnx")
    with pytest.raises(
        InputError, match="images have the shape 1 x 1 x 64 x 64, any x 1 x 64 x 64 was expected"
    ):
        load_model(folder)
    lengths[0].dim_param = "n"
    lengths[2].dim_value = 128
    onnx.save(model, folder / "model.onnx")
    with pytest.raises(InputError, match="any x 1 x 128 x 64"):
        load_model(folder)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"pixel_mm": 1.0}, InputError, "differs from what the model was trained with"),
        ({"contrast": "clahe"}, InputError, "differs"),
        ({"pixel_mm": "wide"}, UsageError, "pixel_mm 'wide' came, a number was expected"),
        ({"pixel_mm": float("nan")}, UsageError, "pixel_mm nan came"),
        ({"size": 64.5}, UsageError, "size 64.5 came, a whole number was expected"),
        ({"pixelmm": 2}, UsageError, "unknown key 'pixelmm'; did you mean 'pixel_mm'"),
        ({"clahe_tiles": 0}, UsageError, "clahe_tiles 0"),
    ],
)
def test_tampered_preprocessing(folder, changes, error, message):
    edit(folder, **changes)
    with pytest.raises(error, match=message):
        load_model(folder)


def test_preprocessing_that_is_no_table(folder):
    (folder / "preprocessing.json").write_text("[1, 2]")
    with pytest.raises(InputError, match="holds a list"):
        load_model(folder)


def test_a_bundle_is_verified_before_it_is_used(tmp_path, monkeypatch):
    folder = write_grey_bundle(tmp_path / "home/bundles/grey")
    monkeypatch.setenv("CAFRNET_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(places, "DEFAULT", folder)
    for word in (folder, "grey", "default", None):
        found = load_model(word)
        assert (found.path, found.bundle.name) == (folder, "grey")
        assert found.hashes == {n: found.bundle.hashes[n] for n in ("model.onnx", "preprocessing.json")}
    path = folder / "model.onnx"
    path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(InputError, match=r"model\.onnx has the SHA-256"):
        load_model("grey")
    (folder / "SHA256SUMS").unlink()  # it doesn't become a run by that
    with pytest.raises(InputError, match="SHA256SUMS is missing"):
        load_model("grey")
    with pytest.raises(UsageError, match="'gray' is no folder and no bundle; did you mean 'grey'"):
        load_model("gray")


def test_a_model_is_shown_in_a_line(grey_model):
    model = load_model(grey_model)
    assert repr(model) == f"<Model of run {grey_model}: 22 classes, {model.engine.name}, not calibrated>"
