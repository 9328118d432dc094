"""A command that is asked to end, or killed, leaves no process behind."""

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest

from cafrnet.processes import sigterm_interrupts

ROOT = Path(__file__).parents[1]

pytestmark = pytest.mark.skipif(os.name == "nt", reason="no POSIX signals")


def start(tmp_path: Path, body: str) -> subprocess.Popen[str]:
    """Run a script whose workers write their number into ``tmp_path`` and then wait for ever."""
    script = tmp_path / "script.py"
    script.write_text(
        textwrap.dedent(
            """
            import os, signal, time, multiprocessing
            from pathlib import Path
            from cafrnet.processes import new_pool, pool, sigterm_interrupts

            def idle(k):
                signal.signal(signal.SIGTERM, signal.SIG_IGN)  # as what it runs may do
                (Path(__file__).parent / f"{os.getpid()}.pid").touch()
                time.sleep(600)
            """
        )
        + textwrap.dedent(body)
    )
    path = os.pathsep.join([str(ROOT / "src"), os.environ.get("PYTHONPATH", "")])
    return subprocess.Popen(
        [sys.executable, script], env={**os.environ, "PYTHONPATH": path}, stderr=subprocess.PIPE, text=True
    )


def workers(tmp_path: Path, count: int) -> list[int]:
    for _ in range(600):
        found = [int(p.stem) for p in tmp_path.glob("*.pid")]
        if len(found) == count:
            return found
        time.sleep(0.1)
    raise AssertionError("the workers never began")


def gone(pid: int) -> bool:
    """Whether a process ends within a while; one that nobody has waited for yet counts as ended."""
    for _ in range(300):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        status = Path(f"/proc/{pid}/stat")
        if status.exists() and status.read_text().rsplit(")", 1)[1].split()[0] == "Z":
            return True
        time.sleep(0.1)
    return False


SPAWNED = """
if __name__ == "__main__":
    with sigterm_interrupts(), pool(2) as processes:
        list(processes.map(idle, range(2)))
"""
FORKED = """
if __name__ == "__main__":
    with new_pool(2, multiprocessing.get_context("forkserver")) as processes:
        list(processes.map(idle, range(2)))
"""


def test_sigterm_ends_a_command_and_its_workers(tmp_path):
    with start(tmp_path, SPAWNED) as command:
        pids = workers(tmp_path, 2)
        command.send_signal(signal.SIGTERM)
        _, said = command.communicate(timeout=60)
    assert command.returncode not in (0, -signal.SIGTERM)
    assert "KeyboardInterrupt" in said
    assert all(gone(pid) for pid in pids)


def test_the_command_line_says_that_it_was_interrupted(tmp_path):
    arguments = ["data", "phantom", "-o", str(tmp_path / "ph"), "--cases", "5000", "--small"]
    path = os.pathsep.join([str(ROOT / "src"), os.environ.get("PYTHONPATH", "")])
    with subprocess.Popen(
        [sys.executable, "-m", "cafrnet.cli.main", *arguments],
        env={**os.environ, "PYTHONPATH": path},
        stderr=subprocess.PIPE,
        text=True,
    ) as command:
        for _ in range(600):
            if (tmp_path / "ph" / "truth" / "Case1.json").exists():
                break
            time.sleep(0.1)
        command.send_signal(signal.SIGTERM)
        _, said = command.communicate(timeout=60)
    assert command.returncode == 130
    assert said.splitlines()[-1] == "cafrnet: interrupted"
    assert not list(tmp_path.rglob(".*-*"))


@pytest.mark.parametrize("body", [SPAWNED, FORKED], ids=["spawn", "forkserver"])
def test_workers_end_when_their_command_is_killed(tmp_path, body):
    with start(tmp_path, body) as command:
        pids = workers(tmp_path, 2)
        command.kill()
    assert all(gone(pid) for pid in pids)


def test_the_handler_is_there_within_the_block_only():
    before = signal.getsignal(signal.SIGTERM)
    with sigterm_interrupts(), pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) is before


def test_another_thread_is_left_alone():
    errors = []

    def run() -> None:
        try:
            with sigterm_interrupts():
                pass
        except ValueError as error:
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert not errors
