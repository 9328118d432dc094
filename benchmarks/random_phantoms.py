"""Does a wrong level ever pass in silence? Phantoms that are turned, cut, noisy, of other contrasts at once.

    python benchmarks/random_phantoms.py -o OUT [--model default] [--scans 100] [--first 2000] [--dark]

Each scan is a new patient; seed 2000 and up, which training did not use. By its own seed it is turned in the
sagittal plane (half of them, by 3 to 22 degrees), or else mixed with T1 or STIR (40 %), cut to 35 to 90 % of
its rows (60 %), and given Rician noise (35 %, SD 3 to 15 % of the brightest). With ``--dark`` the rows that
are cut off stay in the picture, without signal: as beyond the reach of a coil, or as padding. A scan holds a
wrong level if another structure's name covers a quarter of a body or disc, and more of it than its own name
does.

``OUT/rows.csv`` grows scan by scan; the same command goes on where it stopped, and rows of another model are
made anew. Prints how many pass, how many of those hold a wrong level, and the upper 95 % bound of that share
(Clopper-Pearson). A phantom is no patient: this finds ways to go wrong, it is no rate for real scans.
"""

from __future__ import annotations

import argparse
import csv
import io
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from out_of_distribution import NAMED, PHANTOM, Labelled, drawn, misnamed, mixed_phantom, noisy, rotate
from scipy.stats import beta

from cafrnet.evaluation.levels import confusion
from cafrnet.evaluation.sets import resolve
from cafrnet.files import write_text
from cafrnet.inference import Model, load_model, segment_scan
from cafrnet.labels import TABLE
from cafrnet.scan import Scan

COLUMNS = ("model", "seed", "what", "discs", "verdict", "sureness", "wrong", "reasons")


def make(seed: int, dark: bool = False) -> tuple[Labelled, str]:
    """Return a scan, and what was done to it in words."""
    rng = np.random.default_rng(seed)
    scan, what = drawn(seed, PHANTOM), []
    if rng.random() < 0.5:
        angle = rng.uniform(3, 22)
        scan = rotate(scan, angle)
        what.append(f"turned {angle:.0f} degrees")
    elif rng.random() < 0.4:
        contrast, share = ("t1", "stir")[rng.integers(2)], rng.uniform(0.3, 1)
        scan = mixed_phantom(scan, contrast, share)
        what.append(f"{contrast} {share:.2f}")
    if rng.random() < 0.6:
        whole, (scan, rows) = scan, cut(scan, rng)
        scan = darkened(whole, rows, rng) if dark else scan
        what.append(f"rows {rows[0]} to {rows[1]}{' and darkness' if dark else ''}")
    if rng.random() < 0.35:
        std = rng.uniform(0.03, 0.15)
        scan = noisy(scan, std)
        what.append(f"noise {std:.2f}")
    drawn.cache_clear()
    return scan, ", ".join(what) or "as it is"


def cut(scan: Labelled, rng: np.random.Generator) -> tuple[Labelled, tuple[int, int]]:
    """Keep a random run of rows."""
    count = scan.scan.voxels.shape[1]
    share = rng.uniform(0.35, 0.9)
    top = rng.uniform(0, 1 - share)
    first, last = int(top * count), int((top + share) * count)
    affine = scan.scan.affine.copy()
    affine[:3, 3] += affine[:3, 1] * first
    voxels = np.ascontiguousarray(scan.scan.voxels[:, first:last])
    left = replace(scan, scan=Scan(voxels, affine, source=scan.name), truth=scan.truth[:, first:last])
    return left, (first, last)


def darkened(scan: Labelled, rows: tuple[int, int], rng: np.random.Generator) -> Labelled:
    """Leave next to nothing of the signal outside of a run of rows: 1 %, and as much noise."""
    voxels = scan.scan.voxels.astype(np.float32)
    noise = 0.01 * float(voxels.max()) * np.abs(rng.normal(0, 1, voxels.shape)).astype(np.float32)
    dark = np.ones(voxels.shape[1], bool)
    dark[rows[0] : rows[1]] = False
    voxels[:, dark] = (0.01 * voxels + noise)[:, dark]
    truth = scan.truth.copy()
    truth[:, dark] = 0
    return replace(scan.showing(voxels), truth=truth)


def try_one(seed: int, model: Model, mark: str, dark: bool = False) -> dict[str, object]:
    """Return a row."""
    scan, what = make(seed, dark)
    found = segment_scan(scan.scan, model)
    assert found.triage is not None
    pair = resolve(scan.truth, found.labels, scan.sets)
    counts = confusion(pair.truth, pair.pred)
    wrong = [TABLE[i].name for i in pair.marked if i in NAMED and misnamed(i, counts)]
    return {
        "model": mark,
        "seed": seed,
        "what": what,
        "discs": len(set(pair.marked) & set(TABLE.of_kind("disc"))),
        "verdict": found.triage.verdict,
        "sureness": round(found.triage.sureness, 4),
        "wrong": " ".join(wrong),
        "reasons": "; ".join(found.triage.reasons),
    }


def report(rows: list[dict]) -> str:
    """Return the counts in words."""
    passed = [r for r in rows if r["verdict"] == "pass"]
    lines = []
    for title, some in (("whole", [r for r in rows if "rows" not in r["what"]]),
                        ("cut", [r for r in rows if "rows" in r["what"]]), ("all", rows)):  # fmt: skip
        own = [r for r in some if r["verdict"] == "pass"]
        wrong = sum(bool(r["wrong"]) for r in some)
        passed_wrong = sum(bool(r["wrong"]) for r in own)
        lines.append(
            f"{title}: {len(some)} scans, {len(own)} pass, {passed_wrong} of them with a wrong level; "
            f"{wrong} hold one"
        )
    k, n = sum(bool(r["wrong"]) for r in passed), len(passed)
    bound = float(beta.ppf(0.95, k + 1, n - k)) if n > k else 1.0
    lines.append(f"of those that pass at most {100 * bound:.1f} % hold a wrong level (upper 95 % bound)")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--model", default="default")
    parser.add_argument("--scans", type=int, default=100)
    parser.add_argument("--first", type=int, default=2000, help="seed of the first")
    parser.add_argument("--dark", action="store_true", help="what is cut off stays, without signal")
    parser.add_argument("--minutes", type=float, help="begin no further scan after that")
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    model = load_model(args.model, threads=args.threads, engine="onnxruntime")
    mark = model.hashes["model.onnx"][:12] + ("-dark" if args.dark else "")
    file, rows, began = args.output / "rows.csv", [], time.monotonic()
    if file.exists():
        rows = [r for r in csv.DictReader(io.StringIO(file.read_text("utf-8"))) if r["model"] == mark]
    done = {int(r["seed"]) for r in rows}
    args.output.mkdir(parents=True, exist_ok=True)
    for seed in range(args.first, args.first + args.scans):
        if seed in done:
            continue
        if args.minutes and time.monotonic() - began > 60 * args.minutes:
            print("time is over; the same command goes on from here")
            break
        rows.append(try_one(seed, model, mark, args.dark))
        text = io.StringIO()
        writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        write_text(file, text.getvalue())
        print(*rows[-1].values(), sep=" | ", flush=True)
    print(report(rows))


if __name__ == "__main__":
    main()
