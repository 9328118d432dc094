"""Are levels right, and is a wrong one ever passed in silence, when the field of view is cut?

    python benchmarks/levels_under_cropping.py crop DATA SPLIT --model RUN [--fold K] [--part val] \
        --crops 100 --seed 0 -o columns.jsonl
    python benchmarks/levels_under_cropping.py fit columns.jsonl --shapes DATA SPLIT [--fold K] -o naming.json
    python benchmarks/levels_under_cropping.py report columns.jsonl ... [--naming naming.json] -o DIR

``crop`` cuts the part's cases at random from below and from above, down to four visible discs, runs the
network on each crop, and keeps the structures it finds with their evidence and their true names: one line
per crop, and one per whole case. ``fit`` fits the numbers of the sequence model to such lines, and the
shapes of the levels to the training cases' truths. ``report`` names the columns and writes ``crops.csv``,
``summary.json`` and ``accuracy.png``: right levels against the visible share, three ways (each structure by
its own evidence, counted from the lowest one as found, and as a sequence), and what passes at a posterior
of at least ``--pass``. A crop counts as wrong if any true body or disc that was found has a wrong name.
"""

from __future__ import annotations

import argparse
import csv
import json
import time
from pathlib import Path

import numpy as np

from cafrnet.anatomy.fitting import TrueColumn, fit_prices, structures_of, true_places
from cafrnet.anatomy.instances import Instance, find_instances
from cafrnet.anatomy.kinds import Voxels, by_kind, voxels_of
from cafrnet.anatomy.options import NamingOptions
from cafrnet.anatomy.prices import NamingModel
from cafrnet.anatomy.sequence import infer
from cafrnet.anatomy.shapes import fit_shapes
from cafrnet.datasets import Split, open_dataset
from cafrnet.files import write_json, write_text
from cafrnet.inference import load_model
from cafrnet.inference.assembly import grid_of
from cafrnet.inference.segment import SLICES_AT_ONCE, checked_logits
from cafrnet.labels import TABLE
from cafrnet.preprocessing import ModelGrid, Preprocessing, prepare, prepare_truth
from cafrnet.scan import Scan

LEAST_DISCS = 4
DISCS, BODIES = TABLE.of_kind("disc"), TABLE.of_kind("body")
#: What is kept of a structure.
KEPT = ("kind", "low_mm", "high_mm", "at_mm", "volume_mm3", "depth_mm", "tilt_deg", "cut")


def crop(arguments: argparse.Namespace) -> None:
    dataset = open_dataset(arguments.data)
    parts = Split.load(arguments.split, dataset).parts(arguments.fold)
    model = load_model(arguments.model, threads=arguments.threads)
    rng = np.random.default_rng(arguments.seed)
    cases = dataset.select(parts[arguments.part])
    lines = []
    for number, case in enumerate(cases):
        scan = case.read()
        truth = case.sets.principal(case.read_truth(scan))
        wanted = arguments.crops * (number + 1) // len(cases) - arguments.crops * number // len(cases)
        windows = [None] + [random_window(scan, truth, rng) for _ in range(wanted)]
        for window in windows:
            lines.append({"case": case.id, "fold": arguments.fold, **column_of(scan, truth, window, model)})
        print(case.id, len(windows), flush=True)
    write_text(arguments.out, "".join(json.dumps(line) + "\n" for line in lines))


def random_window(scan: Scan, truth: np.ndarray, rng: np.random.Generator) -> tuple[int, int]:
    """Return first and last row (sagittal frame, caudally) of a crop that leaves four discs or more whole."""
    ids = scan.frame.to_sagittal(truth)
    rows = {d: np.flatnonzero((ids == d).any(axis=(0, 2))) for d in DISCS if (ids == d).any()}
    discs = sorted(rows, key=lambda d: -rows[d].mean())  # from below
    count = int(rng.integers(min(LEAST_DISCS, len(discs)), len(discs) + 1))
    low = int(rng.integers(0, len(discs) - count + 1))
    bottom, top = discs[low], discs[low + count - 1]
    last = rows[discs[low - 1]].max() if low else ids.shape[1] - 1
    first = rows[discs[low + count]].min() if low + count < len(discs) else 0
    return int(rng.integers(first, rows[top].min() + 1)), int(rng.integers(rows[bottom].max(), last + 1))


def column_of(scan: Scan, truth: np.ndarray, window: tuple[int, int] | None, model) -> dict:
    """Run the network on a crop and return its structures with their true places."""
    whole = len(set(np.unique(truth)) & set(DISCS))
    if window is not None:
        scan, truth = cut(scan, truth, window)
    ready = prepare(scan, model.preprocessing)
    parts = []
    for first in range(0, len(ready.images), SLICES_AT_ONCE):
        logits = checked_logits(model, ready.images[first : first + SLICES_AT_ONCE, None])
        parts.append(voxels_of(logits, by_kind(logits), first))
    voxels = Voxels.together(parts)
    began = time.perf_counter()
    found = find_instances(voxels, grid_of(scan, ready.grid), NamingOptions())
    seconds = time.perf_counter() - began
    true = prepare_truth(truth, scan, ready.grid)[tuple(voxels.at.astype(int).T)]
    visible = len(set(np.unique(truth)) & set(DISCS))
    return {
        "window": window,
        "visible": visible,
        "share": visible / whole,
        "seconds": seconds,
        "not_trained": list(model.not_trained_ids),
        "missed": sorted(missed(truth, true)),
        "structures": [
            {
                **{key: getattr(one, key) for key in KEPT},
                "evidence": [round(float(e), 4) for e in one.evidence],
                "place": place,
            }
            for one, place in zip(found, true_places(found, true), strict=True)
        ],
    }


def cut(scan: Scan, truth: np.ndarray, window: tuple[int, int]) -> tuple[Scan, np.ndarray]:
    """Return the rows of a window, first to last, as a scan of their own."""
    axis, flipped = scan.frame.axes[1], scan.frame.flipped[1]
    length = scan.voxels.shape[axis]
    first, last = (length - 1 - window[1], length - 1 - window[0]) if flipped else window
    where = [slice(None)] * 3
    where[axis] = slice(first, last + 1)
    affine = scan.affine.copy()
    affine[:3, 3] += affine[:3, axis] * first
    return Scan(scan.voxels[tuple(where)], affine, scan.source), truth[tuple(where)]


def missed(truth: np.ndarray, found: np.ndarray) -> list[str]:
    """Return names of true structures that no structure of the network's touches."""
    return [TABLE[i].name for i in (*BODIES, *DISCS) if (truth == i).any() and not (found == i).any()]


def read_columns(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def instances_of(line: dict) -> list[Instance]:
    return [
        Instance(
            **{key: s[key] for key in KEPT},
            voxels=np.zeros(0, np.intp),
            centre=(0.0, 0.0, 0.0),
            evidence=np.array(s["evidence"]),
        )
        for s in line["structures"]
    ]


def true_columns(lines: list[dict]) -> list[TrueColumn]:
    return [
        TrueColumn(instances_of(line), [s["place"] for s in line["structures"]], line["not_trained"])
        for line in lines
        if any(s["place"] is not None for s in line["structures"])
    ]


def fit(arguments: argparse.Namespace) -> None:
    start = NamingModel()
    if arguments.shapes:
        start = NamingModel(shapes=shapes_of(*arguments.shapes, arguments.fold))
    model, before, after = fit_prices(true_columns(read_columns(arguments.columns)), start)
    write_json(arguments.out, model.to_dict())
    print(
        f"minus log of the worst name's probability: {before:.4f} before, {after:.4f} after\n{model.prices}"
    )


def shapes_of(data: str, split: str, fold: int | None):
    dataset = open_dataset(data)
    structures = []
    for case in dataset.select(Split.load(split, dataset).parts(fold)["train"]):
        scan = case.read()
        sagittal = scan.frame.to_sagittal(scan.voxels)
        grid = ModelGrid.around(sagittal, scan.frame.spacing_mm[1:], Preprocessing().pixel_mm, 256)
        truth = prepare_truth(case.sets.principal(case.read_truth(scan)), scan, grid)
        structures += structures_of(truth, grid_of(scan, grid))
    return fit_shapes(structures)


def judge(line: dict, model: NamingModel) -> dict:
    """Name one column in three ways and compare with the truth."""
    instances, places = instances_of(line), [s["place"] for s in line["structures"]]
    row = {key: line[key] for key in ("case", "fold", "visible", "share")}
    row |= {"cropped": line["window"] is not None, "structures": len(instances)}
    known = [n for n, place in enumerate(places) if place is not None]
    if not known:
        return {**row, "own": 0, "counted": 0, "sequence": 0, "posterior": 0.0, "off": "", "least": 0.0}
    found = infer(instances, model, line["not_trained"])
    own = [2 * int(i.evidence.argmax()) + (i.kind == "body") if len(i.evidence) else -1 for i in instances]
    offset = next(
        n for n, one in enumerate(instances) if one.kind != "sacrum" and found.places[n] is not None
    )
    base = (instances[offset].kind == "body") - (found.places[offset] or 0)
    wrong = [n for n in known if found.places[n] != places[n]]
    off = {None if found.places[n] is None else found.places[n] - places[n] for n in wrong}
    named = [
        n for n in range(len(instances)) if found.places[n] is not None and instances[n].kind != "sacrum"
    ]
    base = (instances[named[0]].kind == "body") - (found.places[named[0]] or 0) if named else 0
    counted = [None if p is None else p + base for p in found.places]
    return row | {
        "own": int(all(own[n] == places[n] for n in known)),
        "counted": int(all(counted[n] == places[n] for n in known)),
        "sequence": int(not wrong),
        "posterior": round(found.shifts.get(0, 0.0), 4),
        "least": round(min((found.confidence(n) for n in named), default=0.0), 4),
        "off": "/".join(map(str, sorted(off, key=str))),
    }


def report(arguments: argparse.Namespace) -> None:
    model = NamingModel.from_dict(json.loads(arguments.naming.read_text()) if arguments.naming else {})
    rows = [judge(line, model) for path in arguments.columns for line in read_columns(path)]
    for row in rows:
        row["passed"] = int(min(row["posterior"], row["least"]) >= arguments.passing)
    arguments.out.mkdir(parents=True, exist_ok=True)
    with open(arguments.out / "crops.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    summary = {
        "prices": model.prices.to_dict(),
        "shapes": model.shapes.mean is not None,
        "pass_from": arguments.passing,
        "whole": share_of([r for r in rows if not r["cropped"]]),
        "cropped": share_of([r for r in rows if r["cropped"]]),
        "by_visible_share": {
            f"{low:.1f} to {low + 0.2:.1f}": share_of(inside)
            for low in (0.2, 0.4, 0.6, 0.8)
            if (inside := [r for r in rows if r["cropped"] and low < r["share"] <= low + 0.2 + 1e-9])
        },
        "by_visible_discs": {
            str(n): share_of([r for r in rows if r["cropped"] and r["visible"] == n])
            for n in sorted({r["visible"] for r in rows if r["cropped"]})
        },
    }
    write_json(arguments.out / "summary.json", summary)
    plot(summary, arguments.out / "accuracy.png")
    print(json.dumps(summary, indent=2))


def share_of(rows: list[dict]) -> dict:
    n = len(rows)
    if not n:
        return {"n": 0}
    passed = [r for r in rows if r["passed"]]
    return {
        "n": n,
        **{way: round(100 * sum(r[way] for r in rows) / n, 1) for way in ("own", "counted", "sequence")},
        "passed": round(100 * len(passed) / n, 1),
        "wrong_of_passed": round(100 * sum(not r["sequence"] for r in passed) / max(len(passed), 1), 2),
        "mean_posterior": round(100 * float(np.mean([r["posterior"] for r in rows])), 1),
    }


def plot(summary: dict, path: Path) -> None:
    import matplotlib.pyplot as plt

    bins = summary["by_visible_discs"]
    figure, axes = plt.subplots(figsize=(6.4, 4.0), layout="constrained")
    x = [int(n) for n in bins]
    for way, name, style in (
        ("sequence", "named as a sequence", "C0o-"),
        ("own", "each structure alone", "C1s--"),
        ("counted", "counted from the lowest", "C7^:"),
        ("passed", "passed", "C2d-"),
    ):
        axes.plot(x, [bins[str(n)][way] for n in x], style, label=name)
    axes.set(xlabel="visible discs", ylabel="crops, %", ylim=(-3, 103))
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right", frameon=False)
    figure.savefig(path, dpi=120)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    verbs = parser.add_subparsers(required=True)
    a = verbs.add_parser("crop")
    a.add_argument("data")
    a.add_argument("split")
    a.add_argument("--model", required=True)
    a.add_argument("--fold", type=int)
    a.add_argument("--part", default="val")
    a.add_argument("--crops", type=int, default=100)
    a.add_argument("--seed", type=int, default=0)
    a.add_argument("--threads", type=int)
    a.set_defaults(run=crop)
    b = verbs.add_parser("fit")
    b.add_argument("columns", type=Path)
    b.add_argument("--shapes", nargs=2, metavar=("DATA", "SPLIT"))
    b.add_argument("--fold", type=int)
    b.set_defaults(run=fit)
    c = verbs.add_parser("report")
    c.add_argument("columns", type=Path, nargs="+")
    c.add_argument("--naming", type=Path)
    c.add_argument("--pass", dest="passing", type=float, default=0.95)
    c.set_defaults(run=report)
    for one in (a, b, c):
        one.add_argument("-o", dest="out", type=Path, required=True)
    arguments = parser.parse_args()
    arguments.run(arguments)


if __name__ == "__main__":
    main()
