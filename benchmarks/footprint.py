"""What an installation takes: megabytes, seconds to import it and to print its help; cafrnet and its peers.

    python benchmarks/footprint.py -o OUT --environments DIR [--torch 2.13.0] [--leave-out timm torchvision]
    python benchmarks/footprint.py -o OUT --environments DIR --make      # nothing timed
    python benchmarks/footprint.py -o OUT --environments DIR --wheels WHEELS

Each tool gets a fresh environment below DIR (several GB; what is there already is kept). cafrnet is a wheel
built from this checkout. The others get torch first, in the version named (which of its builds is the index's
matter), then what pip resolves, less what --leave-out names. A size is that of all files that pip lists as
installed, byte code included, without pip and setuptools, 1 MB = 10^6 bytes; models that a tool fetches later
are not in it. WHEELS is a folder filled by `pip download torch -d WHEELS`: what the index gives by default,
counted without installing it. Seconds are wall clock of whole processes, in turns, files in the system's
cache. Writes OUT/footprint.md and OUT/footprint.json.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from side_by_side import about, summary, table, take_turns

from cafrnet.files import write_json, write_text

ROOT = Path(__file__).parents[1]
#: The contract's limit for the runtime, MB.
LIMIT_MB = 400
#: Run by an environment's Python: bytes of what pip lists as installed, by package.
SIZES = """
import json
from importlib.metadata import distributions
found = {}
for one in distributions():
    paths = {file.locate() for file in one.files or ()}
    size = sum(path.stat().st_size for path in paths if path.is_file())
    found[one.name] = {"version": one.version, "bytes": size}
print(json.dumps(found))
"""
#: Run by an environment's Python: how many modules an import brings.
MODULES = "import {name}, sys; print(len(sys.modules))"


@dataclass(frozen=True)
class Tool:
    """One installation.

    Attributes:
        label: as the table names it.
        package: what pip is asked for; empty for this checkout.
        imported: the module that predicts.
        help: a command that prints its help; None where it has none of its own.
        torch: whether it needs torch.
    """

    label: str
    package: str
    imported: str
    help: tuple[str, ...] | None
    torch: bool = True


TOOLS = {
    "cafrnet": Tool("cafrnet", "", "cafrnet.inference", ("cafrnet", "segment", "--help"), torch=False),
    "monai": Tool("MONAI", "monai[nibabel]", "monai.inferers", None),
    "nnunetv2": Tool(
        "nnU-Net", "nnunetv2", "nnunetv2.inference.predict_from_raw_data", ("nnUNetv2_predict", "--help")
    ),
    "totalsegmentator": Tool(
        "TotalSegmentator", "TotalSegmentator", "totalsegmentator.python_api", ("TotalSegmentator", "--help")
    ),
}


def run(words: Sequence[object], **more: object) -> str:
    """Run a command and return what it printed; end the benchmark where it fails."""
    done = subprocess.run(list(map(str, words)), capture_output=True, text=True, check=False, **more)
    if done.returncode:
        raise SystemExit(f"{words[0]} {words[1]} ... ended with {done.returncode}: {done.stderr[-2000:]}")
    return done.stdout


def make(name: str, root: Path, torch: str, left_out: Sequence[str]) -> list[str]:
    """Make a tool's environment where it isn't there; return what was left out of it."""
    tool, folder = TOOLS[name], root / name
    stamp = folder / "made.json"
    if stamp.is_file():
        return json.loads(stamp.read_text(encoding="utf-8"))["left_out"]
    run([sys.executable, "-m", "venv", folder])
    pip = [folder / "bin" / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    dropped: list[str] = []
    if not tool.package:
        with tempfile.TemporaryDirectory() as tree:
            run([*pip, checkout(Path(tree))])
    else:
        run([*pip, f"torch=={torch}"])
        report = folder / "resolved.json"
        run([*pip, "--dry-run", "--report", report, tool.package, f"torch=={torch}"])
        kept, dropped = sort_out(json.loads(report.read_text(encoding="utf-8")), left_out)
        if kept:
            run([*pip, "--no-deps", *kept])
    write_json(stamp, {"left_out": dropped})
    return dropped


def checkout(tree: Path) -> Path:
    """Copy what a wheel is built from, so that nothing is left behind in the checkout."""
    for name in ("pyproject.toml", "README.md", "LICENSE", "NOTICE"):
        shutil.copy(ROOT / name, tree)
    shutil.copytree(ROOT / "src", tree / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    return tree


def sort_out(report: Mapping, left_out: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return what is to be installed and what is left out, as ``name==version``, of a report by pip."""
    found = [(one["metadata"]["name"], one["metadata"]["version"]) for one in report["install"]]
    names = {name.casefold() for name in left_out}
    kept = [f"{name}=={version}" for name, version in found if name.casefold() not in names]
    return kept, [f"{name}=={version}" for name, version in found if name.casefold() in names]


def sizes(python: Path) -> dict[str, dict]:
    """Return version and bytes of each package of an environment, largest first, without the installers."""
    found = json.loads(run([python, "-c", SIZES]))
    kept = {name: one for name, one in found.items() if name not in ("pip", "setuptools")}
    return dict(sorted(kept.items(), key=lambda pair: -pair[1]["bytes"]))


def modules(python: Path, name: str) -> int:
    """Return how many modules are loaded once one of an environment is imported."""
    return int(run([python, "-c", MODULES.format(name=name)]).split()[-1])


def wheels(folder: Path) -> dict[str, object]:
    """Return how many wheels a folder has, their bytes, and the bytes of what is packed in them."""
    found = sorted(folder.glob("*.whl"))
    if not found:
        raise SystemExit("no wheel in the folder of --wheels; fill it with: pip download torch -d FOLDER")
    unpacked = 0
    for path in found:
        with zipfile.ZipFile(path) as archive:
            unpacked += sum(entry.file_size for entry in archive.infolist())
    return {
        "wheels": ["-".join(path.name.split("-")[:2]) for path in found],
        "packed_bytes": sum(path.stat().st_size for path in found),
        "unpacked_bytes": unpacked,
    }


def work(root: Path, home: Path, names: Sequence[str]) -> dict[str, object]:
    """Return what is timed: name -> an action that runs a process to its end."""
    variables = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")}
    # nothing is written to the user's home, and no settings are read from there
    variables |= {"HOME": str(home), "TOTALSEG_HOME_DIR": str(home), "nnUNet_results": str(home)}
    variables |= {"nnUNet_raw": str(home), "nnUNet_preprocessed": str(home)}
    found = {}
    for name in names:
        python, tool = root / name / "bin" / "python", TOOLS[name]
        found[f"{name} nothing"] = [python, "-c", "pass"]
        found[f"{name} import"] = [python, "-c", f"import {tool.imported}"]
        if tool.help:
            found[f"{name} help"] = [python.parent / tool.help[0], *tool.help[1:]]
    return {key: lambda words=words: run(words, env=variables, cwd=home) for key, words in found.items()}


def measure(root: Path, names: Sequence[str], rounds: int, dropped: Mapping[str, list[str]]) -> dict:
    with tempfile.TemporaryDirectory() as home:
        seconds = take_turns(work(root, Path(home), names), rounds, warm_up=1)
        counted = {name: modules(root / name / "bin" / "python", TOOLS[name].imported) for name in names}
    found = {}
    for name in names:
        packages = sizes(root / name / "bin" / "python")
        found[name] = {
            "label": TOOLS[name].label,
            "mb": round(sum(one["bytes"] for one in packages.values()) / 1e6, 1),
            "packages": packages,
            "left_out": dropped[name],
            "imported": TOOLS[name].imported,
            "modules": counted[name],
            "help": " ".join(TOOLS[name].help or ()) or None,
            **{
                f"{part}_seconds": summary(seconds[f"{name} {part}"])
                for part in ("nothing", "import", "help")
                if f"{name} {part}" in seconds
            },
        }
    return found


def report(found: Mapping[str, dict], plain: Mapping | None) -> str:
    """Return the figures as Markdown."""
    ours, rows = found["cafrnet"], []
    for one in found.values():
        packages = one["packages"]
        largest = ", ".join(f"{k} {v['bytes'] / 1e6:.0f}" for k, v in list(packages.items())[:3])
        rows.append([
            one["label"], f"{one['mb']:.0f}", f"{one['mb'] / ours['mb']:.1f}", len(packages), largest,
            seconds(one["import_seconds"]), one["modules"], seconds(one.get("help_seconds")),
            ", ".join(one["left_out"]) or None,
        ])  # fmt: skip
    head = [
        "",
        "MB",
        "times cafrnet",
        "packages",
        "largest, MB",
        "import, s",
        "modules",
        "help, s",
        "left out",
    ]
    text = table(head, rows)
    if plain:
        packed, unpacked = plain["packed_bytes"] / 1e6, plain["unpacked_bytes"] / 1e6
        text += (
            f"\n\nWhat the index gives for `torch` by default: {len(plain['wheels'])} wheels, {packed:.0f} MB"
        )
        text += f" to download, {unpacked:.0f} MB unpacked."
    verdict = "holds" if ours["mb"] <= LIMIT_MB else "broken"
    names = "; ".join(f"`import {one['imported']}`" for one in found.values())
    text += f"\n\nThe contract's limit of {LIMIT_MB} MB: {verdict} ({ours['mb']:.1f} MB). Imported: {names}."
    return text + " Seconds: median and half the distance of the quartiles, of whole processes.\n"


def seconds(values: Mapping[str, float] | None) -> str | None:
    """Return a time of :func:`side_by_side.summary` in s."""
    return None if values is None else f"{values['median_ms'] / 1e3:.2f} +- {values['spread_ms'] / 1e3:.2f}"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("-o", "--output", metavar="OUT", type=Path, required=True)
    parser.add_argument("--environments", metavar="DIR", type=Path, required=True)
    parser.add_argument("--tools", nargs="+", choices=list(TOOLS), default=list(TOOLS))
    parser.add_argument("--torch", metavar="VERSION", default="2.13.0")
    parser.add_argument("--leave-out", nargs="*", default=["timm", "torchvision"], metavar="PACKAGE")
    parser.add_argument("--wheels", type=Path, help="folder of what `pip download torch` fetched")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--make", action="store_true", help="make the environments, time nothing")
    args = parser.parse_args()
    names = [name for name in TOOLS if name in args.tools or name == "cafrnet"]
    root = args.environments.resolve()
    root.mkdir(parents=True, exist_ok=True)
    dropped = {name: make(name, root, args.torch, args.leave_out) for name in names}
    if args.make:
        return
    found = measure(root, names, args.rounds, dropped)
    plain = wheels(args.wheels) if args.wheels else None
    text = report(found, plain)
    about_it = about(("cafrnet",), rounds=args.rounds, limit_mb=LIMIT_MB)
    write_json(args.output / "footprint.json", {**about_it, "tools": found, "torch_by_default": plain})
    write_text(args.output / "footprint.md", text)
    print(text)


if __name__ == "__main__":
    main()
