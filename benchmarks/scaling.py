"""Time and peak memory against slices, resolution, batch, and the number of real-size scans.

    python benchmarks/scaling.py -o OUT
    python benchmarks/scaling.py -o OUT --parts scans --scans 1 10 100 --repeat 1
    python benchmarks/scaling.py -o OUT --parts --work DIR          # makes the scans and measures nothing

Scans are phantoms (T2, int16, window 303 mm). Parts:

- slices: 1 to 96 slices of 880 x 880, one scan, the whole command, process start included;
- pixels: 12 slices of 256 x 256 to 1200 x 1200, likewise;
- batch: slices that go through the network together, in a process of its own, engine alone;
- scans: 1 to 300 scans of 12 x 880 x 880 (links to four phantoms) in one command.

A peak is the process's own account. What was measured before stays in OUT/scaling.json, so that parts may be
run one by one; Markdown and the picture (extra `plots`) are written from all of it. Memory and time of one
scan are fitted over its voxels and slices (`fits`), all points of slices and pixels together.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from child import must

from cafrnet import __version__
from cafrnet.files import write_json, write_text
from cafrnet.phantom import make_phantom
from cafrnet.phantom.options import PhantomOptions

SLICES = (1, 3, 6, 12, 24, 48, 96)
PIXELS = (256, 448, 880, 1200)
BATCHES = (1, 2, 4, 8, 12, 24)
SCANS = (1, 3, 10, 30, 100, 300)
PARTS = ("slices", "pixels", "batch", "scans")
#: The real-size scan: slices, pixels, and the window and width that all phantoms share, mm.
REAL_SLICES, REAL_PIXELS, WINDOW_MM, WIDTH_MM = 12, 880, 303.4, 52.8

#: Voxels above which the scan decides the peak, and not the network.
LARGE = 15e6

#: Runs in a process of its own: 24 slices of noise in batches, seconds of the best round and the peak.
BATCH = """
import sys, time
import numpy as np
from cafrnet.inference import load_model
from cafrnet.inference.memory import peak_bytes
batch, model = int(sys.argv[1]), load_model(sys.argv[2], engine=sys.argv[3])
size = model.preprocessing.size
images = np.random.default_rng(0).random((batch, 1, size, size), np.float32)
model.engine(images)
times = []
for _ in range(3):
    began = time.perf_counter()
    for _ in range(24 // batch):
        model.engine(images)
    times.append((time.perf_counter() - began) / 24)
print(min(times), peak_bytes())
"""


def write_scan(path: Path, slices: int, pixels: int, seed: int = 7) -> Path:
    """Write a phantom, unless it is there already."""
    if not path.exists():
        options = PhantomOptions(
            matrix=(pixels, pixels),
            pixel_mm=WINDOW_MM / pixels,
            slices=slices,
            slice_spacing_mm=min(4.4, WIDTH_MM / slices),
            contrast="t2",
        )
        scan = make_phantom(seed, options).scan
        path.parent.mkdir(parents=True, exist_ok=True)
        nib.save(nib.Nifti1Image(scan.voxels, scan.affine), path)
    return path


def single(folder: Path, shapes: list[tuple[int, int]], args: argparse.Namespace) -> list[dict[str, Any]]:
    """One scan, one command; medians over rounds in which all shapes take turns."""
    runs: dict[tuple[int, int], list] = {shape: [] for shape in shapes}
    for _ in range(args.repeat):
        for (slices, pixels), done in runs.items():
            scan = write_scan(folder / f"one/{slices}x{pixels}.nii.gz", slices, pixels)
            with tempfile.TemporaryDirectory() as out:
                done.append(must(["segment", scan, "-o", out, "-q", *args.model_words]))
    return [
        {
            "slices": slices,
            "pixels": pixels,
            "voxels": slices * pixels**2,
            **{key: statistics.median(getattr(one, key) for one in done) for key in ("wall_s", "cpu_s")},
            "peak_mb": max(one.peak_mb for one in done),
            "peak_mb_least": min(one.peak_mb for one in done),
        }
        for (slices, pixels), done in runs.items()
    ]


def batches(args: argparse.Namespace) -> list[dict[str, Any]]:
    """The network alone."""
    rows = []
    for batch in BATCHES:
        words = [sys.executable, "-c", BATCH, str(batch), args.model, args.engine]
        told = subprocess.run(words, capture_output=True, text=True, check=True).stdout.split()
        rows.append({"batch": batch, "slice_s": float(told[0]), "peak_mb": int(told[1]) / 1e6})
    return rows


def many(folder: Path, args: argparse.Namespace) -> list[dict[str, Any]]:
    """Many real-size scans in one command."""
    phantoms = [real_size(folder, k) for k in range(4)]
    rows = []
    for count in args.scans:
        with tempfile.TemporaryDirectory() as work:
            source = Path(work, "in")
            source.mkdir()
            for k in range(count):
                (source / f"{k:04}.nii.gz").symlink_to(phantoms[k % 4].resolve())
            done = must(["segment", source, "-o", Path(work, "out"), "-q", *args.model_words])
            records = len(list(Path(work, "out").glob("*_seg.nii.gz")))
        if records != count:
            raise SystemExit(f"{records} label maps came of {count} scans")
        rows.append({"scans": count, "wall_s": done.wall_s, "cpu_s": done.cpu_s, "peak_mb": done.peak_mb})
    return rows


def real_size(folder: Path, number: int) -> Path:
    return write_scan(folder / f"real/{number}.nii.gz", REAL_SLICES, REAL_PIXELS, seed=20 + number)


def fits(rows: list[dict[str, Any]]) -> dict[str, float]:
    """Fit memory and time by least squares, and bound memory.

    Returns:
        ``base_mb + bytes_per_voxel x voxels`` through the peaks of scans above :data:`LARGE` voxels, where
        the scan itself and not the network decides, with the largest residual; ``most_bytes_per_voxel``: what
        their peaks exceed ``network_mb`` by, per voxel, at most (``network_mb``: the highest peak of scans
        below a million voxels); and ``start_s + slice_s x slices + voxel_s x voxels`` for wall time.
    """
    voxels, slices, peak, wall = (
        np.array([row[key] for row in rows], float) for key in ("voxels", "slices", "peak_mb", "wall_s")
    )
    large = voxels > LARGE
    slope, base = np.polyfit(voxels[large], peak[large], 1)
    network = peak[voxels < 1e6].max()
    design = np.stack([np.ones_like(slices), slices, voxels], axis=1)
    (start_s, slice_s, voxel_s), *_ = np.linalg.lstsq(design, wall, rcond=None)
    return {
        "base_mb": float(base),
        "bytes_per_voxel": float(slope * 1e6),
        "largest_residual_mb": float(abs(base + slope * voxels - peak)[large].max()),
        "network_mb": float(network),
        "most_bytes_per_voxel": float(((peak - network) / voxels)[large].max() * 1e6),
        "start_s": float(start_s),
        "slice_s": float(slice_s),
        "voxel_s": float(voxel_s),
        "largest_residual_s": float(abs(design @ [start_s, slice_s, voxel_s] - wall).max()),
    }


def tables(found: dict[str, Any]) -> list[str]:
    """Return Markdown of all parts that were measured."""
    lines: list[str] = []
    for part, name in (("slices", "slices of 880 x 880"), ("pixels", "12 slices, pixels along an edge")):
        if part in found:
            key = "slices" if part == "slices" else "pixels"
            lines += [f"| {name} | million voxels | s | CPU s | peak MB |", "|---|---|---|---|---|"]
            lines += [
                f"| {r[key]} | {r['voxels'] / 1e6:.1f} | {r['wall_s']:.2f} | {r['cpu_s']:.2f} "
                f"| {r['peak_mb']:.0f} |"
                for r in found[part]
            ] + [""]
    if "fit" in found:
        lines += [
            "Peak = {base_mb:.0f} MB + {bytes_per_voxel:.1f} bytes per voxel above {large:.0f} million "
            "voxels (int16; off by at most {largest_residual_mb:.0f} MB); at most {network_mb:.0f} MB + "
            "{most_bytes_per_voxel:.1f} bytes per voxel there. Time = {start_s:.2f} s + {slice_ms:.0f} ms "
            "per slice + {voxel_ns:.0f} ns per voxel (off by at most {largest_residual_s:.2f} s).".format(
                **found["fit"],
                large=LARGE / 1e6,
                slice_ms=1e3 * found["fit"]["slice_s"],
                voxel_ns=1e9 * found["fit"]["voxel_s"],
            ),
            "",
        ]
    if "batch" in found:
        lines += ["| slices at once | ms per slice | peak MB |", "|---|---|---|"]
        lines += [f"| {r['batch']} | {1e3 * r['slice_s']:.1f} | {r['peak_mb']:.0f} |" for r in found["batch"]]
        lines += [""]
    if "scans" in found:
        lines += ["| scans of 12 x 880 x 880 | s | s per scan | CPU s per scan | peak MB |"]
        lines += ["|---|---|---|---|---|"]
        lines += [
            f"| {r['scans']} | {r['wall_s']:.1f} | {r['wall_s'] / r['scans']:.2f} "
            f"| {r['cpu_s'] / r['scans']:.2f} | {r['peak_mb']:.0f} |"
            for r in found["scans"]
        ] + [""]
    return lines


def draw(found: dict[str, Any], path: Path) -> None:
    """Draw peak memory against the voxels of one scan and against the number of scans."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 3), layout="constrained")
    left, right = figure.subplots(1, 2)
    rows, fit = [*found["slices"], *found["pixels"]], found["fit"]
    voxels = np.array([r["voxels"] for r in rows]) / 1e6
    left.plot(voxels, [r["peak_mb"] for r in rows], "o", ms=4)
    ends = np.array([LARGE / 1e6, voxels.max()])
    label = f"{fit['base_mb']:.0f} MB + {fit['bytes_per_voxel']:.1f} bytes per voxel"
    left.plot(ends, fit["base_mb"] + ends * fit["bytes_per_voxel"], "k-", lw=0.8, label=label)
    left.set(xlabel="million voxels of one scan", ylabel="peak MB", ylim=(0, None))
    left.legend(frameon=False)
    right.semilogx([r["scans"] for r in found["scans"]], [r["peak_mb"] for r in found["scans"]], "o-", ms=4)
    right.set(xlabel="scans of 12 x 880 x 880 in one command", ylabel="peak MB", ylim=(0, None))
    figure.savefig(path, dpi=110)


def measure(args: argparse.Namespace, folder: Path, found: dict[str, Any]) -> None:
    """Measure the parts that were asked for, and put them into what is known."""
    shapes = {"slices": [(n, REAL_PIXELS) for n in SLICES], "pixels": [(REAL_SLICES, n) for n in PIXELS]}
    for number in range(4):
        real_size(folder, number)
    for slices, pixels in {shape for part in shapes.values() for shape in part}:
        write_scan(folder / f"one/{slices}x{pixels}.nii.gz", slices, pixels)
    for part in args.parts:
        load = os.getloadavg()[0]
        if part in shapes:
            found[part] = single(folder, shapes[part], args)
        elif part == "batch":
            found[part] = batches(args)
        else:
            fresh = many(folder, args)
            old = [r for r in found.get(part, []) if r["scans"] not in args.scans]
            found[part] = sorted([*old, *fresh], key=lambda r: r["scans"])
        found.setdefault("load_1_min_before", {})[part] = round(load, 1)
    if "slices" in found and "pixels" in found:
        found["fit"] = fits([*found["slices"], *found["pixels"]])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--model", default="default")
    parser.add_argument("--engine", default="onnxruntime")
    parser.add_argument("--parts", nargs="*", choices=PARTS, default=PARTS)
    parser.add_argument("--scans", nargs="+", type=int, default=SCANS)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--work", type=Path, help="where the phantoms are kept (default: nowhere)")
    args = parser.parse_args()
    args.model_words = ["--model", args.model, "--engine", args.engine]
    file = args.output / "scaling.json"
    found = json.loads(file.read_text()) if file.exists() else {}
    with tempfile.TemporaryDirectory() as folder:
        measure(args, args.work or Path(folder), found)
    found["machine"] = {
        "cpu": platform.machine(), "cores": len(os.sched_getaffinity(0)), "python": platform.python_version(),
        "cafrnet": __version__, "model": args.model, "engine": args.engine,
    }  # fmt: skip
    write_json(file, found)
    text = "\n".join([*tables(found), f"Machine: {found['machine']}", ""])
    write_text(args.output / "scaling.md", text)
    if all(part in found for part in ("slices", "pixels", "scans")):
        draw(found, args.output / "scaling.png")
    print(text)


if __name__ == "__main__":
    main()
