"""Are levels right, and is a wrong one ever passed in silence, when the field of view is cut?

    python benchmarks/levels_under_cropping.py crop DATA SPLIT --model RUN [--fold K] [--part val] \
        --crops 100 --seed 0 -o columns.jsonl
    python benchmarks/levels_under_cropping.py fit columns.jsonl DATA SPLIT --model RUN [--fold K] \
        -o naming.json
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
from dataclasses import replace
from pathlib import Path

import numpy as np

from cafrnet.anatomy.fitting import TrueColumn, fit_prices
from cafrnet.anatomy.instances import Instance
from cafrnet.anatomy.name import identity
from cafrnet.anatomy.naming_flags import naming_flags
from cafrnet.anatomy.prices import NamingModel
from cafrnet.anatomy.sequence import infer
from cafrnet.datasets import Split, open_dataset
from cafrnet.files import write_json, write_text
from cafrnet.inference import load_model
from cafrnet.learning.calibration.naming import Observed, observe, shapes_of

#: Flags that cast doubt on names: such a column does not pass.
DOUBTFUL = {"gap", "merged", "transitional", "upside down"}
#: What is kept of a structure.
KEPT = ("kind", "low_mm", "high_mm", "at_mm", "volume_mm3", "depth_mm", "tilt_deg", "cut")


def crop(arguments: argparse.Namespace) -> None:
    dataset = open_dataset(arguments.data)
    parts = Split.load(arguments.split, dataset).parts(arguments.fold)
    model = load_model(arguments.model, threads=arguments.threads)
    rng = np.random.default_rng(arguments.seed)
    cases = dataset.select(parts[arguments.part])
    each = -(-arguments.crops // len(cases))  # as many crops as asked, or a few more
    lines = []
    for one in observe(model, cases, rng, crops=each):
        lines.append(json.dumps({"fold": arguments.fold, **plain(one)}) + "\n")
        print(one.case, one.discs, flush=True)
    write_text(arguments.out, "".join(lines))


def plain(one: Observed) -> dict:
    """Return what a file keeps of a column."""
    column = one.column
    return {
        "case": one.case,
        "cropped": one.cropped,
        "discs": one.discs,
        "share": one.share,
        "not_trained": list(column.not_trained),
        "below_mm": min(column.below_mm, 1e3),
        "structures": [
            {
                **{key: getattr(i, key) for key in KEPT},
                "evidence": [round(float(e), 4) for e in i.evidence],
                "place": place,
            }
            for i, place in zip(column.instances, column.places, strict=True)
        ],
    }


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
        TrueColumn(
            instances_of(line),
            [s["place"] for s in line["structures"]],
            line["not_trained"],
            line["below_mm"],
        )
        for line in lines
        if any(s["place"] is not None for s in line["structures"])
    ]


def fit(arguments: argparse.Namespace) -> None:
    dataset = open_dataset(arguments.data)
    training = dataset.select(Split.load(arguments.split, dataset).parts(arguments.fold)["train"])
    start = NamingModel(shapes=shapes_of(training, load_model(arguments.model)))
    if arguments.prices:
        model = replace(start, prices=read_naming(arguments.prices).prices)
    else:
        model, before, after = fit_prices(true_columns(read_columns(arguments.columns)), start)
        print(f"surprise per column: {before:.4f} before, {after:.4f} after\n{model.prices}")
    write_json(arguments.out, model.to_dict())


def read_naming(path: Path) -> NamingModel:
    return NamingModel.from_dict(json.loads(path.read_text()), str(path))


def judge(line: dict, model: NamingModel) -> dict:
    """Name one column in three ways and compare with the truth."""
    instances, places = instances_of(line), [s["place"] for s in line["structures"]]
    row = {key: line[key] for key in ("case", "fold", "cropped", "discs", "share")}
    row |= {"structures": len(instances), "l5s": int(0 in places)}
    known = [n for n, place in enumerate(places) if place is not None]
    if not known:
        return {
            **row,
            "own": 0,
            "counted": 0,
            "sequence": 0,
            "posterior": 0.0,
            "least": 0.0,
            "off": "",
            "doubts": "",
        }
    found = infer(instances, model, line["not_trained"], line["below_mm"])
    own = [2 * int(i.evidence.argmax()) + (i.kind == "body") if len(i.evidence) else -1 for i in instances]
    off = [found.places[n] - places[n] for n in known if found.places[n] is not None]
    off = sorted({k for k in off if k})  # a structure that was dropped is missed, not wrong
    column = [n for n, one in enumerate(instances) if one.kind != "sacrum"]
    named = [n for n in column if found.places[n] is not None]
    base = (instances[named[0]].kind == "body") - (found.places[named[0]] or 0) if named else 0
    counted = [None if p is None else p + base for p in found.places]
    ids = [identity(one.kind, p) for one, p in zip(instances, found.places, strict=True)]
    doubts = sorted({f.kind for f in naming_flags(instances, ids, found, None)} & DOUBTFUL)
    return row | {
        "own": int(all(own[n] == places[n] for n in known)),
        "counted": int(all(counted[n] in (None, places[n]) for n in known)),
        "sequence": int(not off),
        "posterior": round(found.shifts.get(0, 0.0), 4),
        "least": round(min((found.confidence(n) for n in named), default=0.0), 4),
        "off": "/".join(map(str, off)),
        "doubts": "/".join(doubts),
    }


def report(arguments: argparse.Namespace) -> None:
    models = [read_naming(path) for path in arguments.naming] or [NamingModel()]
    if len(models) == 1:
        models *= len(arguments.columns)
    rows = [
        judge(line, model)
        for path, model in zip(arguments.columns, models, strict=True)
        for line in read_columns(path)
    ]
    for row in rows:
        sure = min(row["posterior"], row["least"]) >= arguments.passing
        row["passed"] = int(sure and not row["doubts"])
    arguments.out.mkdir(parents=True, exist_ok=True)
    with open(arguments.out / "crops.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    summary = {
        "prices": models[0].prices.to_dict(),
        "shapes": models[0].shapes.mean is not None,
        "pass_from": arguments.passing,
        "whole": share_of([r for r in rows if not r["cropped"]]),
        "cropped": share_of([r for r in rows if r["cropped"]]),
        "with_l5s": share_of([r for r in rows if r["l5s"]]),
        "without_l5s": share_of([r for r in rows if not r["l5s"]]),
        "by_visible_share": {
            f"{low:.1f} to {low + 0.2:.1f}": share_of(inside)
            for low in (0.2, 0.4, 0.6, 0.8)
            if (inside := [r for r in rows if r["cropped"] and low < r["share"] <= low + 0.2 + 1e-9])
        },
        "by_visible_discs": {
            str(n): share_of([r for r in rows if r["cropped"] and r["discs"] == n])
            for n in sorted({r["discs"] for r in rows if r["cropped"]})
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
    figure.legend(loc="outside lower center", ncols=2, frameon=False)
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
    b.add_argument("data")
    b.add_argument("split")
    b.add_argument("--model", required=True)
    b.add_argument("--prices", type=Path, help="take the prices of this naming.json; only shapes are fitted")
    b.add_argument("--fold", type=int)
    b.set_defaults(run=fit)
    c = verbs.add_parser("report")
    c.add_argument("columns", type=Path, nargs="+")
    c.add_argument("--naming", type=Path, nargs="+", default=[], help="one for all, or one each")
    c.add_argument("--pass", dest="passing", type=float, default=0.95)
    c.set_defaults(run=report)
    for one in (a, b, c):
        one.add_argument("-o", dest="out", type=Path, required=True)
    arguments = parser.parse_args()
    arguments.run(arguments)


if __name__ == "__main__":
    main()
