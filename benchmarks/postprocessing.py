"""What each step of post-processing brings, on its own, on validation cases.

    python benchmarks/postprocessing.py DATA SPLIT --model RUN [--fold K] [--part val] [--crops 4] \
        [--seed 0] [--blend-mm 1 2] -o DIR

Every case as it is, and cropped at random from below and above, is segmented with all steps, with each one
left out, and with none; with ``--blend-mm`` also with slices that share their logits over other distances.
Writes ``steps.csv``: mean Dice in 3D on the native grid over the bodies and discs of the truth, share of them
with the right name, scans with all names right, and seconds that naming takes.
"""

from __future__ import annotations

import argparse
import csv
import json
from collections import defaultdict
from dataclasses import fields, replace
from pathlib import Path

import numpy as np

from cafrnet.anatomy import NamingOptions
from cafrnet.anatomy.prices import NamingModel
from cafrnet.datasets import Split, open_dataset
from cafrnet.evaluation.levels import confusion, levels
from cafrnet.evaluation.sets import resolve
from cafrnet.inference import answers, load_model, segment_scan
from cafrnet.labels import TABLE
from cafrnet.learning.calibration.variants import crop, take_rows

COLUMN = TABLE.of_kind("body", "disc")
STEPS = [f.name for f in fields(NamingOptions)]
VARIANTS = {
    "all": NamingOptions(),
    **{f"without {step}": NamingOptions.without(step) for step in STEPS if step != "kinds"},
    "none": NamingOptions.without("all"),
}


class Recorded:
    """An engine that remembers its answers for one scan, so that all variants share them."""

    def __init__(self, engine) -> None:
        self.__dict__.update(engine.__dict__)
        self.name, self.engine, self.answers, self.turn = engine.name, engine, [], 0

    def __call__(self, images: np.ndarray) -> np.ndarray:
        if self.turn == len(self.answers):
            self.answers.append(self.engine(images))
        self.turn += 1
        return self.answers[self.turn - 1].copy()


def scores(truth: np.ndarray, found, sets) -> dict[str, float]:
    pair = resolve(truth, found.labels, sets)
    counts = confusion(pair.truth, pair.pred)
    marked = [i for i in pair.marked if i in COLUMN]
    sizes = counts.sum(axis=1), counts.sum(axis=0)
    dice = [2 * counts[i, i] / (sizes[0][i] + sizes[1][i]) for i in marked]
    status = [levels(counts, marked).status[i] for i in marked]
    return {
        "dice": 100 * float(np.mean(dice)),
        "right": 100 * status.count("right") / len(status),
        "all_right": 100.0 * all(s in ("right", "missing", "partial") for s in status),
        "seconds": found.timings_s["naming"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("data")
    parser.add_argument("split")
    parser.add_argument("--model", required=True)
    parser.add_argument("--fold", type=int)
    parser.add_argument("--part", default="val")
    parser.add_argument("--naming", type=Path, help="fitted, where the model has it not yet")
    parser.add_argument("--crops", type=int, default=4)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("-o", dest="out", type=Path, required=True)
    parser.add_argument("--blend-mm", type=float, nargs="+", default=[], help="SDs to try for the step blend")
    arguments = parser.parse_args()
    usual = answers.BLEND_MM
    variants = {name: (options, usual) for name, options in VARIANTS.items()}
    variants |= {f"blend over {mm:g} mm": (NamingOptions(), mm) for mm in arguments.blend_mm}
    dataset = open_dataset(arguments.data)
    model = load_model(arguments.model, threads=1)
    if arguments.naming:
        model = replace(model, naming=NamingModel.from_dict(json.loads(arguments.naming.read_text())))
    rng = np.random.default_rng(arguments.seed)
    rows = defaultdict(list)
    for case in dataset.select(Split.load(arguments.split, dataset).parts(arguments.fold)[arguments.part]):
        scan = case.read()
        truth = case.read_truth(scan)
        parts = [(False, scan, truth)]
        for _ in range(arguments.crops):
            cut = crop(scan, case.sets.principal(truth), rng)
            if cut is not None:
                parts.append((True, cut[0], take_rows(truth, scan, cut[1])))
        for cropped, part, true in parts:
            engine = Recorded(model.engine)
            for name, (options, blend_mm) in variants.items():
                engine.turn, answers.BLEND_MM = 0, blend_mm
                found = segment_scan(part, replace(model, engine=engine, postprocessing=options))
                rows[cropped, name].append(scores(true, found, case.sets))
        print(case.id, flush=True)
    arguments.out.mkdir(parents=True, exist_ok=True)
    with open(arguments.out / "steps.csv", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["scans", "n", "steps", "dice", "names_right", "scans_right", "seconds"])
        for (cropped, name), some in rows.items():
            mean = {key: np.mean([r[key] for r in some]) for key in some[0]}
            numbers = [f"{mean['dice']:.1f}", f"{mean['right']:.1f}", f"{mean['all_right']:.0f}"]
            where = "cropped" if cropped else "whole"
            writer.writerow([where, len(some), name, *numbers, f"{mean['seconds']:.3f}"])
    print((arguments.out / "steps.csv").read_text())


if __name__ == "__main__":
    main()
