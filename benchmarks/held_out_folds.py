"""Triage and scores of folds whose cases nothing has seen: neither weights, nor names, nor thresholds.

    python benchmarks/held_out_folds.py DATA --calibrated RUNS/fold0 --run RUNS/fold1 fold1.json \
        --run RUNS/fold2 fold2.json -o OUT [--crops 20]

``cafrnet calibrate`` stores with a model, beside what it fits on the validation cases, the shapes of levels
and the ranges of measures in the *training* cases. Those of fold 0's calibration come from the cases of the
other folds too, so it may not judge them as it is. Here temperatures, Dice line, prices and thresholds are
fold 0's; shapes and ranges are fitted anew to the training cases of each run. Then its held-out cases are
tried as they are and cropped.

Writes ``trials.csv`` and ``summary.json``; prints the summary.
"""

from __future__ import annotations

import argparse
import csv
import io
from dataclasses import replace
from pathlib import Path

import numpy as np

from cafrnet.datasets import Split, open_dataset
from cafrnet.files import write_json, write_text
from cafrnet.inference import load_model
from cafrnet.learning.calibration.calibrate import PHANTOM
from cafrnet.learning.calibration.fit import OWN_ANSWER, known_ranges, passes
from cafrnet.learning.calibration.naming import shapes_of
from cafrnet.learning.calibration.trials import try_cases, try_phantoms
from cafrnet.phantom import make_phantom


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data")
    parser.add_argument("--calibrated", required=True, help="run whose calibration is used")
    parser.add_argument("--run", nargs=2, action="append", required=True, metavar=("RUN", "SPLIT"))
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--crops", type=int, default=20)
    parser.add_argument("--phantoms", type=int, default=12)
    args = parser.parse_args()
    data, source = open_dataset(args.data), load_model(args.calibrated, engine="onnxruntime")
    rows, summary, everything = [], {}, []
    for run, split in args.run:
        parts = Split.load(split, data).parts(None)
        training, unseen = data.select(parts["train"]), data.select(parts["val"])
        model = load_model(run, engine="onnxruntime")
        naming = replace(source.naming, shapes=shapes_of(training, model))
        model = replace(model, naming=naming, calibration=source.calibration)
        rng = np.random.default_rng(0)
        known = list(try_cases(model, training, rng, crops=1))
        known += try_phantoms(model, [make_phantom(k, PHANTOM) for k in range(500, 500 + args.phantoms)])
        ranges = known_ranges(known, [])
        ranges |= {k: v for k, v in source.calibration.ranges.items() if k in OWN_ANSWER}
        model = replace(model, calibration=replace(source.calibration, ranges=ranges))
        trials = list(try_cases(model, unseen, rng, crops=args.crops))
        everything += trials
        for kind in ("as it is", "cropped"):
            summary[f"{Path(run).name}, {kind}"] = passes([t for t in trials if t.variant == kind])
        print(Path(run).name, summary, flush=True)
        rows += [
            [Path(run).name, t.case, t.variant, t.visible, t.triage.verdict, round(t.triage.sureness, 4),
             " ".join(t.wrong), round(float(np.mean(list(t.dice.values()))), 4), "; ".join(t.triage.reasons)]
            for t in trials
        ]  # fmt: skip
    for kind in ("as it is", "cropped"):
        summary[f"together, {kind}"] = passes([t for t in everything if t.variant == kind])
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["run", "case", "variant", "visible", "triage", "sureness", "wrong", "dice", "reasons"])
    writer.writerows(rows)
    write_text(args.output / "trials.csv", text.getvalue())
    write_json(args.output / "summary.json", summary)
    for name, found in summary.items():
        print(name, found)


if __name__ == "__main__":
    main()
