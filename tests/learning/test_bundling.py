"""From a run to a bundle: half the bytes, the same labels; and back to every single weight."""

import json

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
import yaml

from cafrnet.bundles import FILES, SUMS, open_bundle
from cafrnet.cli.main import main
from cafrnet.errors import InputError, UsageError
from cafrnet.inference import load_model
from cafrnet.learning.bundling import make, read_trained
from cafrnet.learning.bundling.describe import ALWAYS, read_additions, without_paths
from cafrnet.learning.bundling.half import SMALLEST, store_half
from cafrnet.learning.bundling.make import export_half, make_bundle
from cafrnet.learning.bundling.origin import PRETRAINING, origin
from cafrnet.learning.bundling.trained import same_weights
from cafrnet.learning.training.module import Segmenter, network_for
from grey_net import drawn_segmenter, write_run

GREY = ("model=grey_net.GreyNet", "num_classes=22")
ADDED = {
    "name": "grey",
    "title": "Reads structures off grey values",
    "intended_use": "Tests.",
    "licence": "Apache-2.0",
    "limits": ["Knows grey values only."],
    "data": [{"name": "none", "licence": "CC0-1.0", "citation": "made by hand"}],
}
#: Small forms of the networks, by recipe words.
NETWORKS = {
    "cafr_net": "{size: 64, patch: 8, width: 32, heads: 2, tap_channels: [8, 8, 8], "
    "decoder_channels: [16, 16, 16]}",
    "cafr_net_plus": "{channels: [8, 8, 16, 16, 32], width: 32, depths: [1, 1, 1], "
    "decoder_channels: [16, 8, 8, 8]}",
    "unet": "{widths: [4, 8, 12, 16, 40]}",
    "nnunet": "{widths: [4, 8, 12, 16, 40]}",
    "swin_unet": "{width: 12, heads: [1, 2, 2], window: 2}",
    "transunet": "{size: 64, base: 32, units: [1, 1, 1], width: 24, layers: 1, heads: 2, bridge: 16, "
    "decoder_channels: [16, 8, 8, 4]}",
    "unetr_pp": "{size: 64, widths: [8, 16, 32, 32], depth: 1, projected: [8, 8, 8, 4], heads: 2}",
}
#: Those whose export takes seconds; the others' graphs are large before anything is folded.
FAST = ("cafr_net", "nnunet")


@pytest.fixture(scope="module", autouse=True)
def _one_phantom():
    """One phantom instead of four: drawing them is what takes the time here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(make, "PHANTOMS", 1)
        yield


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return write_run(tmp_path_factory.mktemp("runs") / "grey", *GREY, trained=range(21))


@pytest.fixture(scope="module")
def bundle(run, tmp_path_factory):
    return make_bundle(run, tmp_path_factory.mktemp("bundles") / "grey", ADDED)


def test_the_five_files(bundle):
    assert sorted(p.name for p in bundle.path.iterdir()) == sorted([*FILES, SUMS])
    assert open_bundle(bundle.path).sha256 == bundle.sha256
    labels = yaml.safe_load((bundle.path / "labels.yaml").read_text())
    assert labels["version"] == 1
    assert [row["id"] for row in labels["labels"] if not row["trained"]] == [21]


def test_the_card_knows_the_run(run, bundle):
    card = bundle.card.raw
    assert card["limits"][:2] == list(ALWAYS)
    assert card["limits"][2:] == [
        "Never predicted, since no training case marks them: posterior elements.",
        "Knows grey values only.",
    ]
    assert card["not_trained"] == ["posterior elements"]
    assert card["recipe"] == yaml.safe_load((run / "config.yaml").read_text())["recipe"]
    assert card["split"]["cases"] == {"train": 1, "val": 1, "test": 0}
    assert card["weights"]["agreement"]["phantoms"]["lowest"] == 1.0
    assert (
        card["weights"]["parameters"] == 64 * 9 + 64 + 2 * 64 + 64 * 22 + 22 + 22
    )  # by hand, with the prior
    assert card["metrics"] == []


def test_the_model_is_the_run_s_in_half_the_bytes(run, bundle):
    ours, theirs = load_model(bundle.path), load_model(run)
    assert ours.engine.metadata == theirs.engine.metadata
    assert ours.preprocessing == theirs.preprocessing
    image = np.random.default_rng(0).random((3, 1, 64, 64), np.float32)
    assert np.abs(ours.engine(image) - theirs.engine(image)).max() < 1e-3  # norms are folded in one of them
    kinds = {t.name: t.data_type for t in onnx.load(bundle.path / "model.onnx").graph.initializer}
    assert kinds["segmenter.network.head.weight"] == onnx.TensorProto.FLOAT16
    assert kinds["segmenter.network.head.bias"] == onnx.TensorProto.FLOAT


def test_weights_that_fp16_can_t_hold_are_refused(tmp_path):
    """Ten thousand on every weight changes no label; in fp16 the differences of 100 are rounded to eights."""
    run = write_run(tmp_path / "run", *GREY, "model_args={offset: 30003}")
    with pytest.raises(InputError, match=r"differs from its source: Dice .* at least 0\.995"):
        make_bundle(run, tmp_path / "bundle", ADDED)
    assert [p.name for p in tmp_path.iterdir()] == ["run"]


def test_a_model_that_finds_nothing_can_t_be_shown_to_agree(tmp_path):
    run = write_run(tmp_path / "run", *GREY, trained=[0])
    with pytest.raises(InputError, match="finds no structure of more than 50 voxels"):
        make_bundle(run, tmp_path / "bundle", ADDED)


@pytest.mark.parametrize(
    "model", [m if m in FAST else pytest.param(m, marks=pytest.mark.slow) for m in NETWORKS]
)
def test_every_weight_comes_back_out_of_the_file(tmp_path, model):
    """The exporter folds norms into convolutions and renames what it transposes; a bundle must not."""
    segmenter = drawn_segmenter(f"model={model}", f"model_args={NETWORKS[model]}")
    path = tmp_path / "model.onnx"
    assert export_half(segmenter, 64, path, {}) == []
    found = {t.name: onnx.numpy_helper.to_array(t) for t in onnx.load(path).graph.initializer}
    assert "segmenter.trained" not in found  # the runtime masks
    halves = 0
    for names in same_weights(segmenter):
        name = next((n for n in names if f"segmenter.{n}" in found), names[0])
        if name == "trained" or name.endswith("num_batches_tracked"):
            continue
        stored, expected = found[f"segmenter.{name}"], segmenter.state_dict()[name].numpy()
        if stored.dtype == np.float16:
            halves += 1
            assert expected.size >= SMALLEST
            expected = expected.astype(np.float16)
        assert np.array_equal(stored, expected), name
    assert halves > 0
    image = np.random.default_rng(0).random((2, 1, 64, 64), np.float32)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    with torch.inference_mode():
        expected = segmenter(torch.from_numpy(image)).logits.numpy()
    assert np.abs(session.run(None, {"image": image})[0] - expected).max() < 0.02 * np.ptp(expected)


def test_read_trained_gives_the_same_from_run_and_bundle(run, bundle):
    first, second = read_trained(run), read_trained(bundle.path)
    assert first.recipe == second.recipe
    assert np.array_equal(first.trained, second.trained)
    names = {n for n in first.weights if not n.endswith("num_batches_tracked")}
    assert names == set(second.weights)
    assert all(
        torch.equal(first.weights[n], second.weights[n]) for n in names
    )  # its weights are fp16 numbers
    segmenter = Segmenter(network_for(second.recipe), second.trained)
    segmenter.load_state_dict(second.weights, strict=False)


def test_half_precision_keeps_what_does_not_fit():
    big = np.full((40, 40), 1e5, np.float32)
    graph = onnx.helper.make_graph(
        [
            onnx.helper.make_node("MatMul", ["x", "big"], ["y"]),
            onnx.helper.make_node("MatMul", ["y", "fine"], ["z"]),
        ],
        "g",
        [onnx.helper.make_tensor_value_info("x", 1, [1, 40])],
        [onnx.helper.make_tensor_value_info("z", 1, [1, 40])],
        [onnx.numpy_helper.from_array(big, "big"), onnx.numpy_helper.from_array(big / 1e6, "fine")],
    )
    proto = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=9)
    assert store_half(proto) == ["fine"]
    onnx.checker.check_model(proto)
    session = onnxruntime.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    assert session.run(None, {"x": np.ones((1, 40), np.float32)})[0] == pytest.approx(1.6e7, rel=1e-3)


# -- what stops it -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "name", "message"),
    [
        ({"name": None}, None, "bundle name '' came"),
        ({}, "Not a name", "bundle name 'Not a name' came"),
        ({"licence": ""}, None, "licence should be the licence of the weights.*add it with --card"),
        ({"metrics": [{"name": "DSC", "value": 1}]}, None, "metrics should be a list"),
        ({"data": [{"name": "x"}]}, None, "data should be a list with name, licence and citation"),
        ({"data": "SPIDER"}, None, "data should be a list with name, licence and citation"),
        ({"limits": "Adults only."}, None, "limits should be a list of sentences.*'Adults only.' came"),
        ({"limits": None}, None, "limits should be a list of sentences.*None came"),
    ],
)
def test_what_is_missing_on_the_card(run, tmp_path, changes, name, message):
    with pytest.raises(UsageError, match=message):
        make_bundle(run, tmp_path / "b", {**ADDED, **changes}, name=name)
    assert list(tmp_path.iterdir()) == []


def test_data_speaks_for_itself_or_is_asked_for(run, tiny_dataset, tmp_path):
    without = {k: v for k, v in ADDED.items() if k != "data"}
    own = write_run(tmp_path / "run", *GREY, data=tiny_dataset)
    with pytest.raises(UsageError, match=r"tiny states no licence or no citation in its dataset\.yaml"):
        make_bundle(own, tmp_path / "b", without)
    folder = tmp_path / "data"
    (folder / "images").mkdir(parents=True)
    (folder / "labels").mkdir()
    (folder / "images/a.nii.gz").write_bytes(b"")
    (folder / "dataset.yaml").write_text("name: mine\nlicence: internal\ncitation: me\n")
    config = yaml.safe_load((own / "config.yaml").read_text())
    (own / "config.yaml").write_text(yaml.safe_dump({**config, "data": str(folder)}))
    made = make_bundle(own, tmp_path / "b", without)
    assert made.card.raw["data"] == [{"name": "mine", "licence": "internal", "citation": "me"}]
    assert str(tmp_path) not in (made.path / "card.yaml").read_text()


def started(run, init):
    """A run whose ``config.yaml`` says that it started from weights."""
    config = yaml.safe_load((run / "config.yaml").read_text())
    (run / "config.yaml").write_text(yaml.safe_dump({**config, "init": init}))
    return run


def test_what_the_first_weights_learnt_from_is_on_the_card(bundle, tmp_path):
    """A run on own data, from a run that started from a bundle: all three datasets and their licences."""
    first = started(write_run(tmp_path / "first", *GREY), origin(read_trained(bundle.path)))
    mid = {"name": "mid", "licence": "CC BY 4.0", "citation": "b"}
    (tmp_path / "mid/images").mkdir(parents=True)
    (tmp_path / "mid/labels").mkdir()
    (tmp_path / "mid/images/a.nii.gz").write_bytes(b"")
    (tmp_path / "mid/dataset.yaml").write_text(yaml.safe_dump(mid))
    config = yaml.safe_load((first / "config.yaml").read_text())
    (first / "config.yaml").write_text(yaml.safe_dump({**config, "data": str(tmp_path / "mid")}))
    run = started(write_run(tmp_path / "run", *GREY), origin(read_trained(first)))
    own = {"name": "own", "licence": "internal", "citation": "me"}
    card = make_bundle(run, tmp_path / "b", {**ADDED, "data": [own]}).card.raw
    assert card["data"] == [own, mid, *ADDED["data"]]
    assert card["weights"]["started_from"] == {"sha256": read_trained(first).sha256}
    assert str(tmp_path) not in yaml.safe_dump(card)
    mine = {**mid, "licence": "CC BY 4.0, with a letter of consent"}
    card = make_bundle(run, tmp_path / "c", {**ADDED, "data": [own, mine]}).card.raw
    assert card["data"] == [own, mine, *ADDED["data"]]


def test_first_weights_whose_licence_nobody_stated_are_asked_for(tiny_dataset, tmp_path):
    first = write_run(tmp_path / "first", *GREY, data=tiny_dataset)
    run = started(write_run(tmp_path / "run", *GREY), origin(read_trained(first)))
    with pytest.raises(UsageError, match=r"started from learnt from 'tiny', .* add a row of that name"):
        make_bundle(run, tmp_path / "b", ADDED)
    rows = [*ADDED["data"], {"name": "tiny", "licence": "CC0-1.0", "citation": "drawn"}]
    assert make_bundle(run, tmp_path / "b", {**ADDED, "data": rows}).card.raw["data"] == rows


def test_scans_of_a_pretraining_have_no_licence_until_somebody_states_it(tmp_path):
    run = write_run(tmp_path / "run", *GREY)
    config = yaml.safe_load((run / "config.yaml").read_text())
    (run / "config.yaml").write_text(yaml.safe_dump({**config, "pretrained_on": {"scans": ["a"]}}))
    assert origin(read_trained(run))["data"] == [PRETRAINING]
    assert not PRETRAINING["licence"]


def test_runs_that_did_not_write_down_what_their_first_weights_learnt_from(bundle, tmp_path):
    record = read_trained(bundle.path).record()
    run = started(write_run(tmp_path / "run", *GREY), record)
    own = [{"name": "own", "licence": "internal", "citation": "me"}]
    card = make_bundle(run, tmp_path / "b", {**ADDED, "data": own}).card.raw
    assert card["data"] == [*own, *ADDED["data"]]
    assert card["weights"]["started_from"] == {"bundle": "grey 1", "sha256": record["sha256"]}
    started(run, {**record, "sha256": "0" * 64})
    with pytest.raises(InputError, match="which holds other weights now"):
        make_bundle(run, tmp_path / "c", ADDED)


def test_paths_of_this_machine_stay_here(tmp_path):
    value = {"mix": {"data": str(tmp_path)}, "maps": ["fused", "1/8", 3]}
    assert without_paths(value) == {"mix": {"data": tmp_path.name}, "maps": ["fused", "1/8", 3]}


def test_folders(run, bundle, tmp_path):
    with pytest.raises(UsageError, match="is not an empty folder"):
        make_bundle(run, bundle.path, ADDED)
    with pytest.raises(UsageError, match="is a bundle already"):
        make_bundle(bundle.path, tmp_path / "b", ADDED)
    with pytest.raises(UsageError, match=r"the bundle would have .* MB, at most 0\.0 were asked for"):
        make_bundle(run, tmp_path / "b", ADDED, most_bytes=1000)
    with pytest.raises(UsageError):
        make_bundle(tmp_path, tmp_path / "b", ADDED)
    assert list(tmp_path.iterdir()) == []


def test_a_run_that_is_not_finished_or_damaged(tmp_path):
    run = write_run(tmp_path / "run", *GREY)
    weights = (run / "best.safetensors").read_bytes()
    (run / "best.safetensors").write_bytes(weights[: len(weights) // 2])
    with pytest.raises(InputError, match=r"best\.safetensors is missing or damaged"):
        make_bundle(run, tmp_path / "b", ADDED)
    (run / "best.safetensors").write_bytes(weights)
    (run / "model.onnx").unlink()
    with pytest.raises(InputError, match="no such model file"):
        make_bundle(run, tmp_path / "b", ADDED)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- a", "a list came"),
        ("recipe: {}", "recipe is taken from the run"),
        ("licenze: x", "unknown key 'licenze'; did you mean 'licence'"),
        ("a: [", "can't be read as YAML"),
    ],
)
def test_additions(tmp_path, text, message):
    (tmp_path / "card.yaml").write_text(text)
    with pytest.raises(UsageError, match=message):
        read_additions(tmp_path / "card.yaml")


def test_the_command(run, tmp_path, capsys):
    (tmp_path / "card.yaml").write_text(yaml.safe_dump(ADDED))
    words = ["bundle", "make", str(run), "-o", str(tmp_path / "b"), "--card", str(tmp_path / "card.yaml")]
    assert main([*words, "--name", "grey-2"]) == 0
    shown = capsys.readouterr()
    assert shown.out == f"{tmp_path / 'b'}\n"
    assert "agrees with" in shown.err
    made = open_bundle(tmp_path / "b")
    assert made.name == "grey-2"
    assert made.sha256 in shown.err
    assert main(["bundle", "check", str(tmp_path / "b"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["ok"]
    assert main([*words[:-1], str(tmp_path / "gone.yaml")]) == 2
