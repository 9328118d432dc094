"""Engines: which one is taken, what they agree on, how they say no."""

import json
import logging
import shutil
import subprocess
import sys

import numpy as np
import pytest

from cafrnet.errors import InputError, MissingExtraError, UsageError
from cafrnet.inference import engines as room
from cafrnet.inference import load_model
from cafrnet.inference.engines import files_of, model_file, open_engine
from cafrnet.inference.engines.metadata import damaged
from handmade import write_grey_model

IMAGES = np.random.default_rng(0).random((3, 1, 64, 64), np.float32)


@pytest.fixture
def openvino():
    return pytest.importorskip("openvino", reason="the 'openvino' extra is not installed")


def test_onnxruntime_gives_the_logits_worked_out_by_hand(grey_model):
    engine = open_engine(grey_model / "model.onnx", 1, "onnxruntime")
    centre = np.arange(22, dtype=np.float32)[:, None, None] / 21
    expected = 2000 * centre * IMAGES - 1000 * centre**2
    assert engine.name == "onnxruntime"
    assert engine.image_shape == (None, 1, 64, 64)
    assert engine.logits_shape == (None, 22, 64, 64)
    assert engine.metadata["num_classes"] == 22
    np.testing.assert_allclose(engine(IMAGES), expected, atol=1e-3)


def test_openvino_reads_the_same_file_and_finds_the_same(grey_model, openvino):
    one = open_engine(grey_model / "model.onnx", 1, "onnxruntime")
    other = open_engine(grey_model / "model.onnx", 1, "openvino")
    assert (other.name, other.metadata) == ("openvino", one.metadata)
    assert (other.image_shape, other.logits_shape) == (one.image_shape, one.logits_shape)
    for count in (3, 1, 2):  # any number of slices, in any order
        np.testing.assert_allclose(other(IMAGES[:count]), one(IMAGES[:count]), atol=1e-2)
    first = other(IMAGES)
    first[:] = 0  # the caller's own
    assert other(IMAGES).any()


def test_openvino_computes_in_fp32(grey_model, openvino):
    """bf16 keeps 8 bits: 2000 * v - 1000 would be wrong by about 4."""
    engine = open_engine(grey_model / "model.onnx", 1, "openvino")
    np.testing.assert_allclose(engine(IMAGES)[:, 21], 2000 * IMAGES[:, 0] - 1000, atol=0.1)


def test_auto_takes_the_first_that_is_installed_and_says_which(grey_model, monkeypatch, caplog):
    caplog.set_level(logging.INFO, "cafrnet")
    opened = []

    def missing(path, threads):
        raise MissingExtraError("the engine x", "x")

    def there(path, threads):
        opened.append((path.name, threads))
        return open_engine(path, threads, "onnxruntime")

    monkeypatch.setitem(room.KINDS, "cuda", room.Kind(there, (".onnx",)))
    open_engine(grey_model / "model.onnx", 2)
    assert opened == [("model.onnx", 2)]
    monkeypatch.setitem(room.KINDS, "cuda", room.Kind(missing, (".onnx",)))
    assert open_engine(grey_model / "model.onnx", 1).name == "onnxruntime"
    assert len(opened) == 1
    assert set(caplog.messages) == {"engine: onnxruntime (--engine chooses another)"}


def test_openvino_that_is_not_installed(grey_model, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'cafrnet\[openvino\]'"):
        open_engine(grey_model / "model.onnx", 1, "openvino")
    (tmp_path / "model.xml").write_text("<net/>")
    with pytest.raises(MissingExtraError, match=r"pip install 'cafrnet\[openvino\]'"):  # nothing else runs it
        open_engine(tmp_path / "model.xml", 1)


def test_cuda_that_is_not_installed_or_does_not_work(grey_model, monkeypatch):
    import onnxruntime

    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])
    with pytest.raises(UsageError, match="pip install onnxruntime-gpu"):
        open_engine(grey_model / "model.onnx", 1, "cuda")
    # built with CUDA on a machine without it: the session falls back to the CPU without a word
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider"])
    whole = onnxruntime.InferenceSession

    def falls_back(path, options, providers):
        assert providers == ["CUDAExecutionProvider", "CPUExecutionProvider"]
        return whole(path, options, providers=["CPUExecutionProvider"])

    monkeypatch.setattr(onnxruntime, "InferenceSession", falls_back)
    with pytest.raises(UsageError, match="installed but does not work here"):
        open_engine(grey_model / "model.onnx", 1, "cuda")


def test_wrong_words(grey_model, tmp_path):
    with pytest.raises(UsageError, match="did you mean 'openvino'"):
        open_engine(grey_model / "model.onnx", 1, "openvinno")
    (tmp_path / "model.xml").write_text("<net/>")
    with pytest.raises(UsageError, match=r"onnxruntime does not run model\.xml; take openvino"):
        open_engine(tmp_path / "model.xml", 1, "onnxruntime")
    with pytest.raises(InputError, match="no such model file"):
        open_engine(tmp_path / "model.onnx", 1)


@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
@pytest.mark.parametrize(
    "damage", [lambda b: b[: len(b) // 2], lambda b: b"text\n" * 99], ids=["cut", "text"]
)
def test_a_damaged_file_is_one_sentence(grey_model, tmp_path, engine, damage):
    if engine == "openvino":
        pytest.importorskip("openvino")
    path = tmp_path / "model.onnx"
    path.write_bytes(damage((grey_model / "model.onnx").read_bytes()))
    with pytest.raises(InputError, match=r"model\.onnx is damaged or no ONNX model") as caught:
        open_engine(path, 1, engine)
    assert "\n" not in str(caught.value)


#: Runs in a process of its own: two slices, then 2000 with room for 200 MB more, then two again.
CROWDED = """
import resource, sys
import numpy as np
from pathlib import Path
from cafrnet.inference.engines import open_engine
engine = open_engine(Path(sys.argv[1]), 1, sys.argv[2])
before = engine(np.zeros((2, 1, 64, 64), np.float32))
images = np.zeros((2000, 1, 64, 64), np.float32)
held = int(next(l for l in open("/proc/self/status") if l.startswith("VmSize")).split()[1]) * 1024
resource.setrlimit(resource.RLIMIT_AS, (held + 200_000_000, resource.RLIM_INFINITY))
try:
    engine(images)
except MemoryError as error:
    print(error)
assert sys.argv[2] == "openvino" or (engine(np.zeros((2, 1, 64, 64), np.float32)) == before).all()
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
def test_no_memory_for_the_slices_is_a_memory_error(grey_model, engine):
    """ONNX Runtime also goes on; OpenVINO would hand out the logits of its last call without a word."""
    if engine == "openvino":
        pytest.importorskip("openvino")
    words = [sys.executable, "-c", CROWDED, str(grey_model / "model.onnx"), engine]
    done = subprocess.run(words, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "for the network\n"), done.stderr


def test_no_memory_for_the_model_is_not_called_a_damaged_file(tmp_path):
    for said in (RuntimeError("[ONNXRuntimeError] : 6 : std::bad_alloc"), MemoryError()):
        message = str(damaged(tmp_path / "model.onnx", "ONNX", said))
        assert message.endswith("model.onnx: not enough memory to load the model; give more")
    assert "is damaged" in str(damaged(tmp_path / "model.onnx", "ONNX", RuntimeError("bad magic")))


def test_a_network_that_openvino_reads_and_cannot_run(grey_model, monkeypatch, openvino):
    def refuse(*_):
        raise RuntimeError("Check 'scale.size()'\nfailed")

    monkeypatch.setattr(openvino.Core, "compile_model", refuse)
    with pytest.raises(InputError) as caught:
        open_engine(grey_model / "model.onnx", 1, "openvino")
    assert str(caught.value).endswith(
        "model.onnx is whole, but OpenVINO can't run its network (Check 'scale.size()' failed); "
        "take --engine onnxruntime"
    )
    assert open_engine(grey_model / "model.onnx", 1).name == "onnxruntime"


def test_the_files_of_a_model(tmp_path):
    assert model_file(tmp_path) == tmp_path / "model.onnx"  # the one that messages name
    (tmp_path / "model.xml").write_text("")
    assert files_of(model_file(tmp_path)) == [tmp_path / "model.xml", tmp_path / "model.bin"]
    (tmp_path / "model.onnx").write_text("")
    assert files_of(model_file(tmp_path)) == [tmp_path / "model.onnx"]


#: Runs in a process of its own: threads there are once a model has run, with one and with three of its own.
THREADS = """
import json, os, sys
import numpy as np
from pathlib import Path
from cafrnet.inference.engines import open_engine
before = len(os.listdir("/proc/self/task"))
engine = open_engine(Path(sys.argv[1]), int(sys.argv[2]), "onnxruntime")
engine(np.zeros((4, 1, 64, 64), np.float32))
print(json.dumps(len(os.listdir("/proc/self/task")) - before))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_the_number_of_threads_holds(grey_model):
    started = {}
    for count in (1, 3):
        words = [sys.executable, "-c", THREADS, str(grey_model / "model.onnx"), str(count)]
        started[count] = json.loads(subprocess.run(words, capture_output=True, text=True, check=True).stdout)
    assert started[3] - started[1] == 2


def test_a_model_of_another_label_table_in_every_engine(tmp_path):
    folder = write_grey_model(tmp_path / "run", metadata={"label_table": 99})
    for engine in ("onnxruntime", "openvino"):
        if engine == "openvino":
            pytest.importorskip("openvino")
        with pytest.raises(InputError, match="label table version 99"):
            load_model(folder, engine=engine)


def test_a_cut_file_next_to_a_whole_one_changes_nothing(grey_model, tmp_path, openvino):
    """A folder with ``model.onnx`` is run by it, whatever else lies there."""
    folder = shutil.copytree(grey_model, tmp_path / "run")
    (folder / "model.xml").write_text("<net")
    assert set(load_model(folder).hashes) == {"model.onnx", "preprocessing.json"}
