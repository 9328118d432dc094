"""Does triage hold back what it should, and what do ensembles and test-time augmentation bring?

    python benchmarks/triage.py strange --model RUN --data DIR --split FILE [--fold K] -o strange.csv
    python benchmarks/triage.py cases   --model RUN --data DIR --split FILE [--fold K] --crops 25 -o cases.csv
    python benchmarks/triage.py gain    --model RUN [--model RUN ...] --data DIR --split FILE [--fold K]

``strange`` runs every kind of strange scan (``cafrnet.phantom.strange``) made from phantoms and from the
cases of the part, and counts pass, review and fail. ``cases`` runs the cases as they are and cropped: how
many pass, how many of these hold a wrong level, and predicted against true Dice. ``gain`` compares the first
model alone, with each view of test-time augmentation, and all models together: case mean DSC over ids 2-19,
cases with all levels right, seconds per scan. The part is val by default; test is for figures that end a
choice.
"""

import argparse
import csv
import io
import time
from collections import Counter

import numpy as np

from cafrnet.datasets import Case, Split, open_dataset
from cafrnet.errors import InputError
from cafrnet.evaluation import evaluate_arrays
from cafrnet.files import write_text
from cafrnet.inference import Model, segment_scan
from cafrnet.inference.ensemble import load_models
from cafrnet.inference.views import DEFAULT_VIEWS, VIEWS, with_views
from cafrnet.learning.calibration.fit import passes, predicted_dice_error
from cafrnet.learning.calibration.trials import compare, try_cases
from cafrnet.phantom.strange import STRANGE, strange_scan


def strange(model: Model, cases: list[Case], args: argparse.Namespace) -> list[list[object]]:
    rows: list[list[object]] = [["kind", "made of", "triage", "sureness", "reasons"]]
    bases = [(f"phantom {k}", None) for k in range(args.phantoms)]
    for case in cases:
        scan = case.read()
        bases.append((case.id, (scan, case.sets.principal(case.read_truth(scan)))))
    for kind, about in STRANGE.items():
        for name, base in bases:
            if base is not None and not about.uses_base:
                continue
            scan = strange_scan(kind, args.seed + len(rows), base)
            try:
                said = segment_scan(scan, model).triage
                rows.append([kind, name, said.verdict, round(said.sureness, 3), "; ".join(said.reasons)])
            except InputError as error:
                rows.append([kind, name, "refused", "", str(error)])
        own = [r for r in rows if r[0] == kind]
        count = Counter(r[2] for r in own)
        first = Counter(str(r[4]).split(";")[0].split(",")[0] for r in own if r[2] != "pass").most_common(1)
        print(
            f"| {kind} | {len(own)} | {count['pass']} | {count['review']} | {count['fail']} "
            f"| {first[0][0] if first else ''} |",
            flush=True,
        )
    return rows


def cases_as_they_are(model: Model, cases: list[Case], args: argparse.Namespace) -> list[list[object]]:
    rows: list[list[object]] = [["case", "variant", "visible", "wrong", "triage", "sureness", "reasons"]]
    trials = list(try_cases(model, cases, np.random.default_rng(args.seed), crops=args.crops))
    for variant in ("as it is", "cropped"):
        some = [t for t in trials if t.variant == variant]
        print(variant, passes(some), "predicted Dice", predicted_dice_error(some), flush=True)
        held = Counter(r.split(",")[0] for t in some if t.triage.verdict != "pass" for r in t.triage.reasons)
        for reason, n in held.most_common(8):
            print(f"   {n:4d}  {reason}")
    for t in trials:
        said = t.triage
        what = (" ".join(t.wrong), said.verdict, round(said.sureness, 4), "; ".join(said.reasons))
        rows.append([t.case, t.variant, t.visible, *what])
    return rows


def gain(models: list[str], cases: list[Case], args: argparse.Namespace) -> list[list[object]]:
    rows: list[list[object]] = [["way", "dsc", "levels right", "seconds per scan"]]
    first = load_models(models[:1], threads=args.threads)
    ways = {"one model": first}
    ways |= {f"with {v}": with_views(first, [v]) for v in VIEWS if v != "as-is"}
    ways["--tta"] = with_views(first, DEFAULT_VIEWS)
    if len(models) > 1:
        every = load_models(models, threads=args.threads)
        ways[f"{len(models)} models"] = every
        ways[f"{len(models)} models --tta"] = with_views(every, DEFAULT_VIEWS)
    for name, model in ways.items():
        dice, right, seconds = [], 0, 0.0
        for case in cases:
            scan = case.read()
            truth = case.read_truth(scan)
            began = time.perf_counter()
            found = segment_scan(scan, model)
            seconds += time.perf_counter() - began
            score = evaluate_arrays(truth, found.labels, scan.spacing_mm, sets=case.sets)
            dice.append(score.mean("dsc"))
            right += not compare(found, truth, case.sets, case.id, "as it is").wrong
        rows.append([name, round(100 * float(np.mean(dice)), 2), f"{right} of {len(cases)}",
                     round(seconds / len(cases), 2)])  # fmt: skip
        print("| " + " | ".join(map(str, rows[-1])) + " |", flush=True)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("what", choices=("strange", "cases", "gain"))
    parser.add_argument("--model", action="append", required=True)
    parser.add_argument("--data", required=True)
    parser.add_argument("--split", required=True)
    parser.add_argument("--fold", type=int)
    parser.add_argument("--part", default="val", choices=("train", "val", "test"))
    parser.add_argument("--limit", type=int, help="only so many cases")
    parser.add_argument("--phantoms", type=int, default=4)
    parser.add_argument("--crops", type=int, default=25)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--tta", action="store_true")
    parser.add_argument("-o", "--output", help="CSV")
    args = parser.parse_args()
    dataset = open_dataset(args.data)
    cases = dataset.select(Split.load(args.split, dataset).parts(args.fold)[args.part])[: args.limit]
    if args.what == "gain":
        rows = gain(args.model, cases, args)
    else:
        model = load_models(args.model, threads=args.threads)
        model = with_views(model) if args.tta else model
        rows = (strange if args.what == "strange" else cases_as_they_are)(model, cases, args)
    if args.output:
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(rows)
        write_text(args.output, text.getvalue())


if __name__ == "__main__":
    main()
