"""Calling the commands of another environment: what they see, and what is left of them."""

import os
import subprocess
import time

import pytest

pytest.importorskip("torch")

from cafrnet.errors import InputError, Interrupted, UsageError
from cafrnet.experiments.nnunet.package import Folders, Package, environment, processes, run, tail

from .pretend import write_environment


@pytest.fixture
def folders(tmp_path):
    return Folders.under(tmp_path / "nnunetv2")


def test_commands_see_nnunet_s_folders_and_nothing_of_this_python(folders, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", "somewhere")
    monkeypatch.setenv("nnUNet_raw", "the user's own")
    monkeypatch.setenv("nnUNet_extTrainer", "kept")
    monkeypatch.delenv("nnUNet_n_proc_DA", raising=False)
    monkeypatch.setenv("nnUNet_def_n_proc", "3")
    seen = environment(folders)
    assert "PYTHONPATH" not in seen
    assert seen["nnUNet_raw"] == str(folders.raw)
    assert seen["nnUNet_extTrainer"] == "kept"
    assert seen["nnUNet_def_n_proc"] == seen["nnUNet_n_proc_DA"] == "3"
    monkeypatch.setenv("nnUNet_n_proc_DA", "1")  # the user's counts
    assert environment(folders)["nnUNet_n_proc_DA"] == "1"
    monkeypatch.setenv("nnUNet_def_n_proc", "many")
    with pytest.raises(UsageError, match="a number of processes"):
        processes()


def test_what_is_there_is_asked(tmp_path):
    python = write_environment(tmp_path / "env")
    package = Package.find(python, "nnUNetTrainer")
    assert package.versions["nnunetv2"] == "2.8.1"
    assert package.tool("nnUNetv2_train") == python.parent / "nnUNetv2_train"
    (python.parent / "nnUNetv2_train").unlink()
    with pytest.raises(UsageError, match="nnUNetv2_train is not beside"):
        package.tool("nnUNetv2_train")


def test_the_tail_of_a_log_is_one_line_of_its_last_lines(tmp_path):
    log = tmp_path / "a.log"
    log.write_bytes(b"old\n" + b"\n".join(b"line %d" % n for n in range(30)) + b"\n  ^^^^ \n\nEnd\xff\n")
    said = tail(log, 4)
    assert said.startswith("line 19 | ")
    assert said.endswith("line 29 | End\ufffd")
    (tmp_path / "empty").touch()
    assert tail(tmp_path / "empty") == "(it said nothing)"


def test_only_the_end_of_this_call_is_shown(folders, tmp_path):
    log = tmp_path / "a.log"
    log.write_text("an older call's error\n")
    with pytest.raises(InputError, match=r"sh failed with exit code 3; .* ends in: now$"):
        run(["/bin/sh", "-c", "echo now; exit 3"], folders, log)
    with pytest.raises(InputError, match="was ended by signal 9"):
        run(["/bin/sh", "-c", "kill -9 $$"], folders, log)
    with pytest.raises(InputError, match="could not be started"):
        run([tmp_path / "none"], folders, log)


def test_ctrl_c_ends_the_command_and_its_workers(folders, tmp_path, monkeypatch):
    pid = tmp_path / "pid"
    wait, pressed = subprocess.Popen.wait, []

    def press(self, timeout=None):  # what Ctrl-C does to the first wait
        if pressed:
            return wait(self, timeout)
        pressed.append(True)
        while not pid.exists() or not pid.read_text().strip():
            time.sleep(0.02)
        raise KeyboardInterrupt

    monkeypatch.setattr(subprocess.Popen, "wait", press)
    with pytest.raises(Interrupted, match="the same call goes on"):
        run(["/bin/sh", "-c", f"sleep 60 & echo $! > {pid}; wait"], folders, tmp_path / "a.log")
    worker = int(pid.read_text())
    for _ in range(50):
        if not _runs(worker):
            return
        time.sleep(0.1)
    pytest.fail("a worker still runs")


def _runs(pid: int) -> bool:
    """Whether a process runs; one that ended and that nobody asked about does not."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        pass
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return not os.path.isdir("/proc/self")
