"""The house keeps its shape: imports run one way along the data's way, and the runtime needs no torch."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import cafrnet
from handmade import write_stairs

SOURCE = Path(cafrnet.__file__).parent
ROOT = SOURCE.parents[1]

#: Rooms in the order of the data's way. A room imports from itself and from rooms of earlier lines only.
FLOORS = (
    ("errors",),
    ("files", "processes", "words"),
    ("labels",),
    ("scan",),
    ("datasets", "phantom", "preprocessing"),
    ("anatomy", "report", "bundles"),
    ("inference", "evaluation"),
    ("learning",),
    ("experiments",),
    ("cli", "__init__"),
)
FLOOR = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}
#: The learning wing: what may import torch and its company.
WING = ("learning", "experiments")
#: Rooms that may reach the learning wing, by imports inside functions only.
DOORS = ("cli", "__init__")
#: What the runtime wing may import when a module is loaded: the standard library and these.
RUNTIME = {"numpy", "scipy", "onnxruntime", "nibabel", "pydicom", "PIL", "yaml"}
#: What may stand inside functions of the runtime wing: the extras.
EXTRAS = {"SimpleITK", "matplotlib", "openvino", "ray"}
FORBIDDEN = (
    "torch",
    "monai",
    "lightning",
    "kornia",
    "matplotlib",
    "SimpleITK",
    "pydantic",
    "onnx",
    "ray",
    "pandas",
)


def modules() -> list[Path]:
    return sorted(SOURCE.rglob("*.py"))


def room_of(path: Path) -> str:
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def imports(path: Path) -> Iterator[tuple[str, bool, int]]:
    """Yield (full name, whether at module level, line) of every import; type checking counts as no import."""

    def walk(node: ast.AST, outside: bool) -> Iterator[tuple[str, bool, int]]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
                continue
            if isinstance(child, ast.Import):
                for alias in child.names:
                    yield alias.name, outside, child.lineno
            elif isinstance(child, ast.ImportFrom):
                base = package[: len(package) - child.level + 1] if child.level else []
                prefix = ".".join([*base, *([child.module] if child.module else [])])
                for alias in child.names:
                    yield f"{prefix}.{alias.name}", outside, child.lineno
            yield from walk(child, outside and not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef))

    package = ["cafrnet", *path.relative_to(SOURCE).parent.parts]
    yield from walk(ast.parse(path.read_text(encoding="utf-8")), True)


def inner(name: str) -> str | None:
    """Return the room that a full name lies in; None for other packages and for the version number."""
    parts = name.split(".")
    if parts[0] != "cafrnet" or name == "cafrnet.__version__":
        return None
    return parts[1] if len(parts) > 1 and parts[1] in FLOOR else "__init__"


def test_every_room_has_a_floor():
    assert {room_of(path) for path in modules()} <= set(FLOOR)


def test_the_parser_of_this_test_sees_relative_imports():
    found = {name for name, _, _ in imports(SOURCE / "inference" / "engines" / "onnx.py")}
    assert {"cafrnet.inference.engines.metadata.decode", "onnxruntime", "numpy"} <= found


def test_imports_run_one_way():
    wrong = []
    for path in modules():
        here = room_of(path)
        for name, _, line in imports(path):
            there = inner(name)
            if there and there != here and FLOOR[there] >= FLOOR[here]:
                wrong.append(f"{path.relative_to(SOURCE)}:{line} imports {name}")
    assert not wrong, "\n".join(wrong)


def test_the_runtime_wing_never_imports_the_learning_wing():
    wrong = []
    for path in modules():
        here = room_of(path)
        for name, outside, line in imports(path):
            if inner(name) in WING and here not in WING and (outside or here not in DOORS):
                wrong.append(f"{path.relative_to(SOURCE)}:{line} imports {name}")
    assert not wrong, "\n".join(wrong)


def test_the_runtime_wing_imports_only_what_the_runtime_installs():
    allowed = RUNTIME | set(sys.stdlib_module_names) | {"cafrnet"}
    wrong = []
    for path in modules():
        if room_of(path) in WING:
            continue
        for name, outside, line in imports(path):
            top = name.split(".")[0]
            if top not in allowed and (outside or top not in EXTRAS):
                wrong.append(f"{path.relative_to(SOURCE)}:{line} imports {name}")
    assert not wrong, "\n".join(wrong)


def test_the_front_door_loads_nothing():
    code = "import sys, cafrnet; sys.exit(', '.join({'numpy', 'yaml', 'nibabel'} & set(sys.modules)) or 0)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


#: Runs in a process of its own: every runtime module, then the commands, then which modules are there.
WATCH = """
import importlib, sys
from cafrnet.cli.main import main
for module in %r:
    importlib.import_module(module)
for line in sys.stdin.read().splitlines():
    try:
        code = main(line.split("|"))
    except SystemExit as stop:
        code = stop.code
    print("ran", line.split("|")[0], code, file=sys.stderr)
print("loaded", sorted({*%r} & {name.split(".")[0] for name in sys.modules}), file=sys.stderr)
"""


def test_no_runtime_module_and_no_runtime_command_loads_the_other_wing(grey_model, tiny_dataset, tmp_path):
    runtime = [
        ".".join(["cafrnet", *path.relative_to(SOURCE).with_suffix("").parts]).removesuffix(".__init__")
        for path in modules()
        if room_of(path) not in WING
    ]
    assert len(runtime) > 60
    scan = write_stairs(tmp_path / "in/a.nii.gz")
    commands = [
        ["--help"],
        ["segment", str(scan), "-o", str(tmp_path / "out"), "--model", str(grey_model), "-q"],
        ["evaluate", str(tmp_path / "out/a_seg.nii.gz"), str(tmp_path / "out/a_seg.nii.gz")],
        ["data", "check", str(tiny_dataset), "--json"],
        ["train", "--help"],
        ["models", "--help"],
    ]
    done = subprocess.run(
        [sys.executable, "-c", WATCH % (runtime, FORBIDDEN)],
        input="\n".join("|".join(words) for words in commands),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert [line.split()[1:] for line in done.stderr.splitlines() if line.startswith("ran")] == [
        ["--help", "0"],
        ["segment", "0"],
        ["evaluate", "0"],
        ["data", "0"],
        ["train", "0"],
        ["models", "0"],
    ], done.stderr
    assert "loaded []" in done.stderr.splitlines()


def test_help_needs_no_numpy():
    code = "import sys\nfrom cafrnet.cli.main import parser\nparser()\nsys.exit('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_library_code_neither_prints_nor_exits():
    wrong = []
    for path in modules():
        if room_of(path) == "cli":
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            called = ast.unparse(node.func) if isinstance(node, ast.Call) else ""
            if room_of(path) == "processes" and called == "os._exit":
                continue  # a worker whose command is gone
            if called in ("print", "input", "exit", "quit", "sys.exit", "os._exit"):
                wrong.append(f"{path.relative_to(SOURCE)}:{node.lineno} calls {called}")
    assert not wrong, "\n".join(wrong)


def test_no_place_of_a_machine_stands_in_the_tracked_files():
    try:
        done = subprocess.run(
            ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True, timeout=30
        )
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("not a git checkout")
    personal = re.compile(rb"(?<![\w.~-])/(work|home/\w+|Users/\w+|root|tmp|mnt|media)/[\w.-]+")
    found = []
    for name in done.stdout.decode().split("\0"):
        path = ROOT / name
        if name and path.is_file() and path.suffix not in (".png", ".onnx", ".gz") and path.name != "LICENSE":
            found += [f"{name}: {m.group().decode()}" for m in personal.finditer(path.read_bytes())]
    assert not found, "\n".join(found)
