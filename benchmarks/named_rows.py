"""The rows of a reproduction as a user would have them: with the column's names put right after the network.

    python benchmarks/named_rows.py OUT --data DATA --fold 0 [--reference plus_same_training] -o DIR

`reproduce` scores networks alone. Here the models that it left in OUT go through `segment`, with the numbers
for naming that hold for any model (nothing is fitted to a row), and `evaluate` scores the label maps of the
test cases: ids 2-19, case mean in 3D on the native grid. Rows without a kept model are left out, and said so.

Prints and writes ``named_rows.csv``: network alone, with names, what the reference has more, with intervals
of a bootstrap over cases, and the DSC of columns put right by whole levels, which is about outlines alone.
What is done already is not done again.
"""

import argparse
import csv
import io
import json
from pathlib import Path

import numpy as np
from segmented import score

from cafrnet.datasets import Split, open_dataset
from cafrnet.evaluation.statistics import bootstrap_interval
from cafrnet.files import write_text

COLUMNS = (
    "row", "dsc_alone", "dsc", "low", "high", "iou", "hd95_mm", "missed", "invented", "shifted",
    "reference_minus_it", "low", "high", "dsc_after_shift",
)  # fmt: skip


def read(folder):
    return json.loads((folder / "summary.json").read_text(encoding="utf-8"))


def row(name, alone, named, reference):
    head, percent = named["headline"], lambda x: round(100 * x, 1)
    first, second = ({c: s["dsc"] for c, s in found["per_case"].items()} for found in (reference, named))
    more = np.array([first[case] - second[case] for case in sorted(second)])
    interval = bootstrap_interval(more, np.random.default_rng(0))
    return [
        name, percent(alone["headline"]["dsc"]["mean"]), percent(head["dsc"]["mean"]),
        percent(head["dsc_interval"]["low"]), percent(head["dsc_interval"]["high"]),
        percent(head["iou"]["mean"]), round(head["hd95_mm"]["mean"], 2), head["missed"], head["invented"],
        len(named["levels"]["shifted"]), percent(more.mean()),
        *(("", "") if named is reference else (percent(interval.low), percent(interval.high))),
        percent(named["after_shift"]["headline"]["dsc"]["mean"]),
    ]  # fmt: skip


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("reproduction", type=Path, help="folder of `cafrnet reproduce`")
    parser.add_argument("--data", required=True)
    parser.add_argument("--fold", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--reference", default="cafr_net_plus")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--threads", type=int)
    args = parser.parse_args()
    dataset = open_dataset(args.data)
    parts = Split.load(args.reproduction / "split.json", dataset).parts(args.fold)
    cases = dataset.select(parts["test"])
    split = args.reproduction / "split.json"
    common = {"data": args.data, "split": split, "fold": args.fold, "threads": args.threads}
    alone, named = {}, {}
    for run in sorted(args.reproduction.glob(f"runs/*/fold{args.fold}/seed{args.seed}")):
        name = run.parts[-3]
        if not (run / "model.onnx").exists():
            print(f"{name}: left out, its model was not kept", flush=True)
            continue
        alone[name] = read(run)
        named[name] = score(run, cases, args.output / name, **common)
        print(f"{name}: {100 * named[name]['headline']['dsc']['mean']:.1f}", flush=True)
    rows = [row(name, alone[name], named[name], named[args.reference]) for name in named]
    rows.sort(key=lambda found: -found[2])
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([COLUMNS, *rows])
    write_text(args.output / "named_rows.csv", text.getvalue())
    print(text.getvalue(), end="")


if __name__ == "__main__":
    main()
