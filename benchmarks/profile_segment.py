"""Where the time and the memory of one whole `cafrnet segment` go, process start included.

    python benchmarks/profile_segment.py MODEL [--engine NAME] [--threads N] [--runs N] [-o FILE.json]

The scan is a phantom of 12 slices of 880 x 880 pixels of 0.3448 mm, 4.4 mm apart (seed 7), as most of
SpineMRI is. Each run is a process of its own; medians are printed as a Markdown table. CPU seconds are user
and system time of the process: they change less than wall clock where other work runs beside.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import nibabel as nib
from child import must

from cafrnet.phantom import make_phantom
from cafrnet.phantom.options import PhantomOptions

#: Runs in a process of its own: what happens before the first scan is read.
START = """
import json, sys, time
began = time.perf_counter()
import cafrnet.inference
from cafrnet.inference import load_model, segment_files
imported = time.perf_counter()
model = load_model(sys.argv[1], engine=sys.argv[2])
loaded = time.perf_counter()
model.hashes
hashed = time.perf_counter()
steps = {"imports": imported - began, "load model": loaded - imported, "hash model": hashed - loaded}
print(json.dumps(steps))
"""


def write_scan(path: Path) -> None:
    options = PhantomOptions(
        matrix=(880, 880), pixel_mm=0.3448, slices=12, slice_spacing_mm=4.4, contrast="t2"
    )
    scan = make_phantom(7, options).scan
    nib.save(nib.Nifti1Image(scan.voxels, scan.affine), path)


def run(words: list[object]) -> dict[str, float]:
    """Run `cafrnet`; return its wall clock and CPU seconds and its own peak in MB (10^6 bytes)."""
    done = must(words)
    return {"wall_s": done.wall_s, "cpu_s": done.cpu_s, "peak_mb": done.peak_mb}


def importing() -> dict[str, float]:
    """Return the wall clock seconds of a process that imports the package."""
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", "import cafrnet"], check=True)
    return {"wall_s": time.perf_counter() - began}


def middle(rows: list[dict[str, float]]) -> dict[str, float]:
    return {key: round(statistics.median(row[key] for row in rows), 3) for key in rows[0]}


def measure(args: argparse.Namespace, folder: Path) -> dict[str, object]:
    scan, out = folder / "scan.nii.gz", folder / "out"
    write_scan(scan)
    words = ["segment", scan, "-o", out, "--model", args.model, "--engine", args.engine]
    words += ["--overwrite", "-q", *(["--threads", args.threads] if args.threads else [])]
    run(words)  # the files are in the system's cache from here on
    whole, steps, start = [], [], []
    for _ in range(args.runs):
        whole.append(run(words))
        record = json.loads((out / "scan.json").read_text())
        steps.append(record["timings_s"])
        told = subprocess.run(
            [sys.executable, "-c", START, args.model, args.engine], capture_output=True, text=True, check=True
        )
        start.append(json.loads(told.stdout))
    return {
        "model": record["model"]["sha256"],
        "engine": record["model"]["engine"],
        "cores": os.cpu_count(),
        "load_average": os.getloadavg()[0],
        "runs": args.runs,
        "whole": middle(whole),
        "start": middle(start),
        "steps": middle(steps),
        "help": middle([run(["--help"]) for _ in range(args.runs)]),
        "import": middle([importing() for _ in range(args.runs)]),
    }


def table(found: dict) -> str:
    rows = [("interpreter, parser, planning", None)]
    rows += list(found["start"].items())
    rows += [(name.replace("_", " "), value) for name, value in found["steps"].items() if name != "total"]
    known = sum(value for _, value in rows if value is not None)
    rows[0] = (rows[0][0], max(0.0, found["whole"]["wall_s"] - known))
    lines = ["| step | s |", "|---|---|", *(f"| {name} | {value:.2f} |" for name, value in rows)]
    lines.append(
        "| **whole command** | **{wall_s:.2f}** (CPU {cpu_s:.2f}), peak {peak_mb:.0f} MB |".format(
            **found["whole"]
        )
    )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", metavar="MODEL", nargs="?", default="default")
    parser.add_argument("--engine", default="onnxruntime")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("-o", "--output", metavar="FILE.json", type=Path)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = measure(args, Path(folder))
    print(table(found))
    print(f"\n`cafrnet --help` {found['help']['wall_s']:.2f} s")
    print(f"`import cafrnet` {found['import']['wall_s']:.2f} s")
    if args.output:
        args.output.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
