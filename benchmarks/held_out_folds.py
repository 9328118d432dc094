"""Triage and scores of folds whose cases nothing has seen: neither weights, nor names, nor thresholds.

    python benchmarks/held_out_folds.py DATA --calibrated RUNS/fold0 --run RUNS/fold1 fold1.json \
        --run RUNS/fold2 fold2.json -o OUT [--crops 20] [--store] [--figure PNG]

``cafrnet calibrate`` stores with a model, beside what it fits on the validation cases, the shapes of levels
and the ranges of measures in the *training* cases. Those of fold 0's calibration come from the cases of the
other folds too, so it may not judge them as it is. Here temperatures, Dice line, prices and thresholds are
fold 0's (``--calibrated default`` takes them from the bundle that ships, which has the same); shapes and
ranges are fitted anew to the training cases of each run. Then its held-out cases are tried, as they are and
cropped.

Writes ``trials.csv`` and ``summary.json``; prints the summary. ``--store`` puts what a run was judged with
into its ``model.onnx``, so that ``segment`` and other benchmarks use it, too. ``--figure`` draws levels
against the visible share of each scan's bodies and discs.
"""

from __future__ import annotations

import argparse
import csv
import io
import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np

from cafrnet.datasets import Split, open_dataset
from cafrnet.files import whole_file, write_json, write_text
from cafrnet.inference import Model, load_model
from cafrnet.learning.calibration.calibrate import PHANTOM
from cafrnet.learning.calibration.fit import OWN_ANSWER, known_ranges, passes
from cafrnet.learning.calibration.naming import shapes_of
from cafrnet.learning.calibration.store import store
from cafrnet.learning.calibration.trials import Trial, try_cases, try_phantoms
from cafrnet.phantom import make_phantom

KINDS = ("as it is", "cropped")
COLUMNS = ("run", "case", "variant", "visible", "triage", "sureness", "wrong", "dice", "reasons")
#: Bounds of the visible shares that the figure counts together.
SHARES = (0.2, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)


def judged_by(source: Model, run: str, training, rng: np.random.Generator, phantoms: int) -> Model:
    """Return a run's model with another's calibration, and shapes and ranges of its own training cases."""
    model = load_model(run, engine="onnxruntime")
    naming = replace(source.naming, shapes=shapes_of(training, model))
    model = replace(model, naming=naming, calibration=source.calibration)
    known = list(try_cases(model, training, rng, crops=1))
    known += try_phantoms(model, [make_phantom(k, PHANTOM) for k in range(500, 500 + phantoms)])
    ranges = known_ranges(known, [])
    ranges |= {k: v for k, v in source.calibration.ranges.items() if k in OWN_ANSWER}
    return replace(model, calibration=replace(source.calibration, ranges=ranges))


def row(run: str, t: Trial) -> list:
    """Return one line of ``trials.csv``."""
    said, dice = t.triage, round(float(np.mean(list(t.dice.values()))), 4)
    return [Path(run).name, t.case, t.variant, t.visible, said.verdict, round(said.sureness, 4),
            " ".join(t.wrong), dice, "; ".join(said.reasons)]  # fmt: skip


def table(rows: list[list]) -> str:
    """Return rows as CSV."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([COLUMNS, *rows])
    return text.getvalue()


def draw(rows: list[list], path: Path) -> None:
    """Draw how many scans have right levels, and pass, against the visible share of their column.

    Args:
        rows: lines of ``trials.csv``.
        path: of the PNG.
    """
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    trials = [dict(zip(COLUMNS, row, strict=True)) for row in rows]
    whole = {t["case"]: int(t["visible"]) for t in trials if t["variant"] == KINDS[0]}
    share = np.array([int(t["visible"]) / whole[t["case"]] for t in trials])
    bins = np.clip(np.digitize(share, SHARES[1:], right=True), 0, len(SHARES) - 2)
    figure, axes = plt.subplots(figsize=(6.4, 4.0), layout="constrained")
    middles = [(a + b) / 2 for a, b in itertools.pairwise(SHARES)]
    counts = [int((bins == k).sum()) for k in range(len(middles))]
    for what, colour, picked in (
        ("all levels right", "C0", [not t["wrong"] for t in trials]),
        ("pass", "C2", [t["triage"] == "pass" for t in trials]),
        ("pass with a wrong level", "C3", [t["triage"] == "pass" and bool(t["wrong"]) for t in trials]),
    ):
        values = np.array(picked, float)
        means = [100 * values[bins == k].mean() if n else np.nan for k, n in enumerate(counts)]
        axes.plot(middles, means, "o-", color=colour, label=what)
    for x, n in zip(middles, counts, strict=True):
        axes.annotate(str(n), (x, 102), ha="center", fontsize=8)
    axes.set(
        xlabel="visible share of the scan's bodies and discs (numbers: scans)",
        ylabel="scans, %",
        ylim=(-3, 108),
    )
    figure.legend(loc="outside upper center", ncols=3, frameon=False)
    with whole_file(path) as temporary:
        figure.savefig(temporary, format="png", dpi=120)
    plt.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data")
    parser.add_argument("--calibrated", required=True, help="run or bundle whose calibration is used")
    parser.add_argument("--run", nargs=2, action="append", required=True, metavar=("RUN", "SPLIT"))
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--crops", type=int, default=20)
    parser.add_argument("--phantoms", type=int, default=12)
    parser.add_argument("--store", action="store_true", help="put what each run is judged with into it")
    parser.add_argument("--figure", type=Path, metavar="PNG")
    args = parser.parse_args()
    data, source = open_dataset(args.data), load_model(args.calibrated, engine="onnxruntime")
    rows, summary, everything = [], {}, []
    for run, split in args.run:
        parts = Split.load(split, data).parts(None)
        rng = np.random.default_rng(0)
        model = judged_by(source, run, data.select(parts["train"]), rng, args.phantoms)
        if args.store:
            store(Path(run), model.calibration, model.naming)
        trials = list(try_cases(model, data.select(parts["val"]), rng, crops=args.crops))
        everything += trials
        for kind in KINDS:
            summary[f"{Path(run).name}, {kind}"] = passes([t for t in trials if t.variant == kind])
        print(Path(run).name, summary, flush=True)
        rows += [row(run, t) for t in trials]
    for kind in KINDS:
        summary[f"together, {kind}"] = passes([t for t in everything if t.variant == kind])
    write_text(args.output / "trials.csv", table(rows))
    write_json(args.output / "summary.json", summary)
    if args.figure:
        draw(rows, args.figure)
    for name, found in summary.items():
        print(name, found)


if __name__ == "__main__":
    main()
