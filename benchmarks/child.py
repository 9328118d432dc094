"""A Python command in a process of its own: wall and CPU seconds, its own peak of memory, what it said.

Used by the other files of this folder. The peak is what the process itself read in /proc at its end: the
kernel's account of a child begins with the memory of the process that forked it.
"""

import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

#: Runs an entry point as the script that pip makes of it does, and leaves the peak in the file named first.
COMMAND = """
import sys
from importlib import import_module
peak, entry = sys.argv[1:3]
module, _, name = entry.partition(":")
sys.argv = [name, *sys.argv[3:]]
try:
    code = getattr(import_module(module), name)()
finally:
    status = open("/proc/self/status").read()
    open(peak, "w").write(status.split("VmHWM:")[1].split()[0])
sys.exit(code)
"""
#: kB as the kernel counts them, in MB of 10^6 bytes.
MB_PER_KB = 1024 / 1e6


@dataclass(frozen=True)
class Child:
    """What a command that has ended took and said.

    Attributes:
        code: its exit code.
        wall_s: from its start to its end, s.
        cpu_s: user and system time, its children that it waited for included, s.
        peak_mb: the most that the process itself held, MB; NaN where it did not live to tell.
        said: the end of its stderr.
    """

    code: int
    wall_s: float
    cpu_s: float
    peak_mb: float
    said: str


def cafrnet(words: list[object]) -> Child:
    """Run `cafrnet` with these words."""
    return entry_point(sys.executable, "cafrnet.cli.main:main", words)


def entry_point(
    python: str | Path, entry: str, words: list[object], environment: dict[str, str] | None = None
) -> Child:
    """Run ``module:function`` of a Python's environment with these words, as its command would.

    The function reads ``sys.argv``; what it returns is the exit code. Variables are this process's unless
    others are given.
    """
    with tempfile.TemporaryDirectory() as folder, open(Path(folder, "said"), "w+") as said:
        peak = Path(folder, "peak")
        command = [str(python), "-c", COMMAND, str(peak), entry, *map(str, words)]
        began = time.perf_counter()
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=said, env=environment)
        _, status, used = os.wait4(process.pid, 0)
        wall_s = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        said.seek(0)
        return Child(
            process.returncode,
            wall_s,
            used.ru_utime + used.ru_stime,
            int(peak.read_text()) * MB_PER_KB if peak.exists() else float("nan"),
            said.read()[-4000:],
        )


def must(words: list[object]) -> Child:
    """Run `cafrnet` with these words; end the benchmark where it does not end with 0."""
    done = cafrnet(words)
    if done.code:
        raise SystemExit(f"cafrnet {' '.join(map(str, words))} ended with {done.code}: {done.said}")
    return done
