"""A limit of memory: slices per call follow from it, what does not fit is refused, the peak stays below."""

import os
import subprocess
import sys
from dataclasses import replace

import nibabel as nib
import numpy as np
import pytest

from cafrnet.errors import InputError, UsageError
from cafrnet.inference import load_model, memory, segment_scan
from cafrnet.inference.memory import MB, BoundedEngine, MemoryLimit, bound
from handmade import stairs, write_grey_model, write_stairs

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")


class Spy:
    """An engine that remembers how many slices came at once."""

    name, metadata = "spy", {}
    image_shape, logits_shape = (None, 1, 8, 8), (None, 2, 8, 8)

    def __init__(self):
        self.calls = []

    def __call__(self, images):
        self.calls.append(len(images))
        return np.repeat(images, 2, axis=1)


@pytest.fixture
def held(monkeypatch):
    """Let the process hold 100 MB, whatever it really does."""
    monkeypatch.setattr(memory, "resident_bytes", lambda: 100 * MB)


def test_as_many_slices_as_fit(held):
    spy = Spy()
    limit = MemoryLimit(100 * MB + memory.RESERVE_BYTES + 35 * MB, slice_bytes=10 * MB)
    images = np.random.default_rng(0).random((8, 1, 8, 8), np.float32)
    logits = BoundedEngine(spy, limit)(images)
    assert spy.calls == [3, 3, 2]
    assert np.array_equal(logits, np.repeat(images, 2, axis=1))


def test_not_even_one_slice(held):
    limit = MemoryLimit(100 * MB + memory.RESERVE_BYTES + 5 * MB, slice_bytes=10 * MB)
    with pytest.raises(InputError, match=r"one slice needs 10 MB .* 5 MB are free below --max-memory 129"):
        BoundedEngine(Spy(), limit)(np.zeros((2, 1, 8, 8), np.float32))


def test_a_scan_that_is_too_large_is_refused_before_it_is_read(held):
    """100 held + 10 million voxels of 2 + 8 bytes + 10 for a slice + 24 kept free = 234 MB."""
    assert (memory.BYTES_PER_VOXEL, memory.RESERVE_BYTES) == (8, 24 * MB)
    MemoryLimit(235 * MB, slice_bytes=10 * MB).admit("a.nii", 10 * MB, 2)
    with pytest.raises(InputError, match=r"a\.nii: its 10\.0 million voxels need about 234 MB in all.* 233;"):
        MemoryLimit(233 * MB, slice_bytes=10 * MB).admit("a.nii", 10 * MB, 2)


@pytest.mark.parametrize("limit", [0, -5, float("nan")])
def test_no_limit_at_all(grey_model, limit):
    with pytest.raises(UsageError, match="a positive number of MB was expected"):
        load_model(grey_model, max_memory_mb=limit)


def test_a_limit_below_the_program_itself(grey_model):
    with pytest.raises(
        UsageError, match=r"the program and this model alone need \d+ MB, --max-memory allows 20;"
    ):
        load_model(grey_model, max_memory_mb=20)


def test_elsewhere_than_on_linux(grey_model, monkeypatch, tmp_path):
    monkeypatch.setattr(memory, "STATUS", tmp_path / "gone")
    with pytest.raises(UsageError, match="works on Linux only"):
        load_model(grey_model, max_memory_mb=1000)


def test_what_a_slice_needs_is_measured():
    """An engine that holds 60 MB for each slice while it runs."""

    class Hungry(Spy):
        def __call__(self, images):
            np.ones(60 * MB * len(images), np.uint8)
            return super().__call__(images)

    _, limit = bound(Hungry(), 100_000, 8)
    assert 55 * MB < limit.slice_bytes < 1.4 * 60 * MB


def test_labels_are_the_same_below_a_limit(grey_model, stairs_scan):
    free = segment_scan(stairs_scan, load_model(grey_model, threads=1))
    model = load_model(grey_model, threads=1, max_memory_mb=4000)
    tight = MemoryLimit(memory.resident_bytes() + memory.RESERVE_BYTES + 40 * MB, 25 * MB)
    tight = replace(model, engine=BoundedEngine(model.engine._engine, tight))
    assert np.array_equal(segment_scan(stairs_scan, tight).labels, free.labels)
    assert np.array_equal(free.labels, stairs()[1])


#: Runs in a process of its own: page faults of twenty arrays of 8 MB, one after the other, after two.
FAULTS = """
import resource, sys
import numpy as np
from cafrnet.inference.memory import keep_freed
if sys.argv[1] == "keep":
    assert keep_freed()
faults = []
for k in range(22):
    np.ones(1_000_000)
    faults.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt)
print(faults[-1] - faults[1])
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's switch")
def test_kept_memory_is_not_fetched_from_the_system_again():
    def faults(word):
        words = [sys.executable, "-c", FAULTS, word]
        environment = {**os.environ, "MALLOC_MMAP_THRESHOLD_": "131072"} if word == "free" else None
        return int(subprocess.run(words, capture_output=True, text=True, check=True, env=environment).stdout)

    free, keep = faults("free"), faults("keep")
    assert free > 2000  # 8 MB are 1953 pages of 4 kB; the system may hand out larger ones
    assert keep < free / 10


#: What the process itself saw: the kernel's account of a child begins with the memory of the process that
#: forked it, and pytest's may be larger by far.
COMMAND = """
import sys
from cafrnet.cli.main import main
from cafrnet.inference.memory import peak_bytes
code = main(sys.argv[2:])
open(sys.argv[1], "w").write(str(peak_bytes()))
sys.exit(code)
"""


def peak_mb(words, tmp_path):
    """Run `cafrnet segment` in a process of its own; return its exit code, peak in MB and stderr."""
    command = [sys.executable, "-c", COMMAND, tmp_path / "peak", "segment", *words]
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    return done.returncode, int((tmp_path / "peak").read_text()) / MB, done.stderr


@pytest.mark.slow
def test_the_peak_of_the_whole_command_stays_below_the_limit(tmp_path):
    """Four slices of a grid of 512 are 92 MB of logits; with less memory there are fewer at once."""
    model = write_grey_model(tmp_path / "run", size=512, pixel_mm=1.0)
    image, _, affine = stairs(slices=24, rows=480, cols=480)
    nib.save(nib.Nifti1Image(image, affine), tmp_path / "a.nii")
    words = [tmp_path / "a.nii", "-o", tmp_path / "out", "--model", model, "--engine", "onnxruntime", "-q"]
    code, free, said = peak_mb([*words, "--threads", 1], tmp_path)
    assert code == 0, said
    limit = round(free - 45)
    code, peak, said = peak_mb([*words, "--threads", 1, "--overwrite", "--max-memory", limit], tmp_path)
    assert code == 0, said
    assert peak <= limit
    code, peak, said = peak_mb([*words, "--overwrite", "--max-memory", 60], tmp_path)
    assert (code, said.count("\n")) == (2, 1)
    assert "the program and this model alone need" in said


def test_one_scan_that_does_not_fit_never_stops_the_rest(grey_model, tmp_path, capsys, monkeypatch):
    from cafrnet.cli.main import main

    write_stairs(tmp_path / "in/small.nii.gz", slices=2)
    image, _, affine = stairs(slices=3)
    nib.save(
        nib.Nifti1Image(np.pad(image, ((0, 999), (0, 999), (0, 0))), affine), tmp_path / "in/large.nii.gz"
    )
    held = memory.resident_bytes() + memory.RESERVE_BYTES + 40 * MB
    monkeypatch.setattr(memory, "resident_bytes", lambda: held - memory.RESERVE_BYTES - 40 * MB)
    monkeypatch.setattr(memory, "peak_bytes", lambda: held - memory.RESERVE_BYTES - 39 * MB)
    monkeypatch.setattr(memory, "BYTES_PER_VOXEL", 20)
    words = ["--model", grey_model, "--engine", "onnxruntime", "--max-memory", held / MB, "-q"]
    assert main([str(w) for w in ["segment", tmp_path / "in", "-o", tmp_path / "out", *words]]) == 1
    told = capsys.readouterr()
    assert told.out.splitlines() == [str(tmp_path / "out/small_seg.nii.gz")]
    assert "large.nii.gz: its 3.2 million voxels need about" in told.err
