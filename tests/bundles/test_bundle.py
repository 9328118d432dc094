"""A bundle is used as its maker left it, or not at all."""

import subprocess

import onnx
import pytest
import yaml

from cafrnet.bundles import FILES, SUMS, open_bundle, problems
from cafrnet.bundles.layout import write_sums
from cafrnet.errors import InputError, UsageError
from cafrnet.files import sha256
from handmade_bundle import copied, write_grey_bundle


@pytest.fixture
def bundle(grey_bundle, tmp_path):
    return copied(grey_bundle, tmp_path / "bundle")


def test_a_whole_bundle(bundle):
    opened = open_bundle(bundle)
    assert (opened.name, opened.path) == ("grey", bundle)
    assert opened.hashes == {name: sha256(bundle / name) for name in FILES}
    assert opened.sha256 == sha256(bundle / SUMS)
    assert problems(bundle) == []


def test_the_sums_are_those_of_sha256sum(bundle):
    try:
        done = subprocess.run(
            ["sha256sum", "-c", "--strict", SUMS], cwd=bundle, capture_output=True, text=True
        )
    except FileNotFoundError:
        pytest.skip("no sha256sum here")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("OK") == 4


@pytest.mark.parametrize("name", FILES)
def test_one_bit_is_enough(bundle, name):
    content = bytearray((bundle / name).read_bytes())
    content[len(content) // 2] ^= 1
    (bundle / name).write_bytes(content)
    with pytest.raises(InputError, match=rf"{name} has the SHA-256 \w+\.\.\., SHA256SUMS states"):
        open_bundle(bundle)
    assert name in problems(bundle)[0]


@pytest.mark.parametrize("name", [*FILES, SUMS])
def test_a_missing_file(bundle, name):
    (bundle / name).unlink()
    with pytest.raises(InputError, match=f"{name}.* is missing"):
        open_bundle(bundle)
    assert "is missing" in problems(bundle)[0]


def test_a_truncated_model(bundle):
    path = bundle / "model.onnx"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(InputError, match=r"model\.onnx has the SHA-256"):
        open_bundle(bundle)


def test_all_problems_at_once(bundle):
    (bundle / "model.onnx").unlink()
    (bundle / "card.yaml").write_text("format: 1\n")
    (bundle / "weights.pkl").write_bytes(b"\x80")
    (bundle / ".DS_Store").write_bytes(b"")
    found = "\n".join(problems(bundle))
    assert "model.onnx is missing" in found
    assert "card.yaml has the SHA-256" in found
    assert "name is missing" in found
    assert "weights.pkl is no file of a bundle" in found
    assert "DS_Store" not in found


def test_weights_in_a_file_that_no_hash_covers(bundle):
    """ONNX may keep weights beside the model: another file there, another network."""
    model = onnx.load(bundle / "model.onnx")
    onnx.save(model, bundle / "model.onnx", save_as_external_data=True, location="w.bin", size_threshold=0)
    write_sums(bundle)
    with pytest.raises(InputError, match=r"model\.onnx keeps weights in another file, which no hash covers"):
        open_bundle(bundle)
    assert any("which no hash covers" in problem for problem in problems(bundle))


def test_a_file_that_does_not_belong_there_stops_no_scan(bundle):
    (bundle / "notes.txt").write_text("mine")
    assert open_bundle(bundle).name == "grey"


@pytest.mark.parametrize(
    "text",
    ["", "nonsense\n", "0" * 64 + "  model.onnx\n", ("0" * 64 + "  model.onnx\n") * 2, "\xff"],
)
def test_sums_that_are_none(bundle, text):
    (bundle / SUMS).write_bytes(text.encode("latin-1"))
    with pytest.raises(InputError, match=SUMS):
        open_bundle(bundle)


def test_sums_can_t_name_files_elsewhere(bundle):
    text = (bundle / SUMS).read_text()
    (bundle / SUMS).write_text(text.replace("model.onnx", "../model.onnx"))
    with pytest.raises(InputError, match=r"names .*\.\./model\.onnx"):
        open_bundle(bundle)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda raw: raw.update(version=99), "label table version 99, this cafrnet has version 1"),
        (lambda raw: raw["labels"][2].update(name="L4"), r"gives the ids \[2\] other names"),
        (lambda raw: raw.pop("labels"), "can't be read as a label table"),
    ],
)
def test_another_label_table(bundle, change, message):
    raw = yaml.safe_load((bundle / "labels.yaml").read_text())
    change(raw)
    (bundle / "labels.yaml").write_text(yaml.safe_dump(raw))
    write_sums(bundle)
    with pytest.raises(InputError, match=message):
        open_bundle(bundle)


def test_a_card_that_lacks_something(tmp_path):
    folder = write_grey_bundle(tmp_path / "b", licence=None)
    with pytest.raises(InputError, match="licence is missing"):
        open_bundle(folder)


def test_no_folder(tmp_path):
    with pytest.raises(UsageError, match="no such folder"):
        open_bundle(tmp_path / "gone")
