"""nnU-Net's environment: what is installed there, and calling its commands."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...errors import InputError, Interrupted, UsageError
from ..layout import read_json

#: The script that this environment's Python runs for us.
INSIDE = Path(__file__).with_name("inside.py")
#: How to make such an environment.
INSTALL = (
    "python -m venv ENV; ENV/bin/pip install torch torchvision (both for CUDA or both for the CPU); "
    "ENV/bin/pip install nnunetv2"
)
#: nnU-Net's variable for the number of its processes.
PROCESSES = "nnUNet_def_n_proc"
#: Lines of a log that an error shows.
TAIL = 12


@dataclass(frozen=True)
class Folders:
    """The three folders that nnU-Net knows by variables."""

    raw: Path
    preprocessed: Path
    results: Path

    @classmethod
    def under(cls, root: Path) -> Folders:
        """Return the folders below one."""
        return cls(root / "raw", root / "preprocessed", root / "results")


@dataclass(frozen=True)
class Package:
    """An environment with ``nnunetv2``.

    Attributes:
        python: its Python.
        versions: of Python, nnunetv2 and torch there.
        cuda: whether its torch sees a GPU.
    """

    python: Path
    versions: dict[str, str]
    cuda: bool

    @classmethod
    def find(cls, python: str | os.PathLike[str], trainer: str) -> Package:
        """Ask a Python what it has.

        Args:
            python: of the environment.
            trainer: class that is to be trained with.

        Raises:
            UsageError: no such file, nnunetv2 can't be imported there, or it has no such trainer.
        """
        path = Path(python).expanduser().absolute()  # not resolved: a venv's Python is a link out of it
        if not path.is_file():
            raise UsageError(
                f"{python}: no such file; the Python of an environment with nnunetv2 was expected"
            )
        with tempfile.TemporaryDirectory() as folder:
            try:
                said = ask(path, "about", [trainer], Folders.under(Path(folder)), Path(folder) / "about.log")
            except InputError as error:
                raise UsageError(
                    f"{python} has no usable nnunetv2 with {trainer} ({error}); make it with {INSTALL}"
                ) from error
        return cls(path, said["versions"], said["cuda"])

    def tool(self, name: str) -> Path:
        """Return one of the package's commands.

        Raises:
            UsageError: it isn't beside the Python.
        """
        beside = (self.python.parent, self.python.parent / "Scripts")
        found = shutil.which(name, path=os.pathsep.join(map(str, beside)))
        if found is None:
            raise UsageError(f"{name} is not beside {self.python}; make the environment with {INSTALL}")
        return Path(found)

    def call(self, name: str, words: Sequence[object], folders: Folders, log: Path) -> None:
        """Run one of the package's commands to its end.

        Raises:
            InputError: it failed, with the end of what it said.
            Interrupted: Ctrl-C.
        """
        run([self.tool(name), *words], folders, log)

    def ask(self, question: str, words: Sequence[object], folders: Folders, log: Path) -> dict[str, Any]:
        """Return the answer of ``inside.py``."""
        return ask(self.python, question, words, folders, log)


def ask(python: Path, question: str, words: Sequence[object], folders: Folders, log: Path) -> dict[str, Any]:
    """Let a Python run ``inside.py``, and return its answer."""
    with tempfile.TemporaryDirectory() as folder:
        answer = Path(folder) / "answer.json"
        run([python, INSIDE, question, answer, *words], folders, log)
        return read_json(answer)


def processes() -> int:
    """Return how many processes nnU-Net may use: its variable ``nnUNet_def_n_proc``, else up to 8.

    Raises:
        UsageError: the variable holds no number from 1.
    """
    word = os.environ.get(PROCESSES, str(min(8, os.cpu_count() or 1)))
    if not word.isdecimal() or word == "0":
        raise UsageError(f"{PROCESSES} is {word!r}; a number of processes was expected")
    return int(word)


def environment(folders: Folders) -> dict[str, str]:
    """Return the variables of a call: the user's, nnU-Net's folders, nothing of this Python's."""
    own = {"PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "__PYVENV_LAUNCHER__"}
    kept = {name: value for name, value in os.environ.items() if name not in own}
    number = str(processes())
    return {
        "nnUNet_n_proc_DA": number,
        **kept,
        PROCESSES: number,
        "nnUNet_raw": str(folders.raw),
        "nnUNet_preprocessed": str(folders.preprocessed),
        "nnUNet_results": str(folders.results),
        "nnUNet_wandb_enabled": "0",  # it reports to nobody
    }


def run(words: Sequence[object], folders: Folders, log: Path) -> None:
    """Run a command in a group of its own, with all that it says in a log.

    Raises:
        InputError: it could not be started, or failed; with the end of the log.
        Interrupted: Ctrl-C; the whole group is ended, its workers too.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    line = [str(word) for word in words]
    name = Path(line[0]).name
    with log.open("ab") as said:
        start = said.tell()
        try:
            process = subprocess.Popen(
                line,
                env=environment(folders),
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as error:
            raise InputError(f"{line[0]} could not be started: {error.strerror or error}") from error
        try:
            code = process.wait()
        except BaseException as stopped:
            _end(process)
            if isinstance(stopped, KeyboardInterrupt):
                raise Interrupted(f"nnU-Net's {name} was stopped; the same call goes on") from None
            raise
    if code:
        how = f"was ended by signal {-code}" if code < 0 else f"failed with exit code {code}"
        raise InputError(f"nnU-Net's {name} {how}; {log} ends in: {tail(log, start)}")


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a process and what it started, gently first."""
    for sign in (signal.SIGTERM, getattr(signal, "SIGKILL", signal.SIGTERM)):
        try:
            if hasattr(os, "killpg"):
                os.killpg(process.pid, sign)
            else:
                process.send_signal(sign)
            process.wait(timeout=10)
        except ProcessLookupError:
            return
        except subprocess.TimeoutExpired:
            continue
    process.wait()


def tail(log: Path, start: int = 0) -> str:
    """Return the last lines of a log in one line, from a place in it on."""
    with log.open("rb") as file:
        file.seek(start)
        text = file.read().decode("utf-8", "replace").replace("\r", "\n")
    lines = [line.strip() for line in text.splitlines() if line.strip(" ^~\t")]
    return " | ".join(lines[-TAIL:])[-1500:] or "(it said nothing)"
