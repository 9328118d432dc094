"""How much do 3, 6, 12 ... labelled scans bring to a model that never saw their scanner?

    python benchmarks/fine_tuning.py DATA SPLIT --fold 0 --init RUN -o OUT [--cases 3 6 12 24] [--steps 200]

One's own data are DATA without the test part of the fold: nested subsets of them, drawn by ``--seed``, are
learnt from, and the test part is scored. Three arms: ``init``, RUN as it is; ``tuned``, the recipe `finetune`
from its weights; ``scratch``, the same recipe from chance, at RUN's own learning rate. The last two learn
from these cases alone and for as many steps, and keep the last weights.

Scored is what `segment` gives, names included, by `evaluate`: ids 2-19, case mean in 3D on the native grid.
Prints and writes ``fine_tuning.csv``; what is done already is not done again, and what was stopped goes on.
"""

import argparse
import csv
import io
from pathlib import Path

import numpy as np
from segmented import score

from cafrnet.datasets import Split, open_dataset
from cafrnet.files import write_json, write_text
from cafrnet.learning.bundling import read_trained
from cafrnet.learning.recipes import load_recipe
from cafrnet.learning.training.run import resume, train

#: More than the recipe's default, since there are few steps.
TUNED_LR = 4e-4
#: Epochs of a run; after each it can be stopped.
EPOCHS = 4
COLUMNS = ("arm", "cases", "dsc", "low", "high", "iou", "hd95_mm", "levels_right", "missed", "invented")


def subsets(cases, sizes, seed):
    """Return size -> cases; each holds all of the smaller ones."""
    order = [str(c) for c in np.random.default_rng(seed).permutation(sorted(cases))]
    if max(sizes) > len(order):
        raise SystemExit(f"{max(sizes)} cases were asked for, {len(order)} are there beside the test part")
    return {n: order[:n] for n in sizes}


def recipe_of(arm, start, steps, words=()):
    schedule = [f"epochs={EPOCHS}", f"steps_per_epoch={steps // EPOCHS}", f"warmup_steps={steps // 8}"]
    schedule += ["patience=0", "select=last", f"validate_every={EPOCHS}", "mix.share=0"]
    lr = TUNED_LR if arm == "tuned" else start.training.lr
    return load_recipe("finetune", [*schedule, f"lr={lr}", *words], start=start)


def trained_run(arm, cases, test, args):
    run = args.output / f"{arm}_{len(cases)}"
    if (run / "run.json").exists():
        return run
    if (run / "last.ckpt").exists():
        return resume(run)
    split = args.output / f"{len(cases)}_cases.json"
    write_json(split, {"train": cases, "val": [], "test": test})
    recipe = recipe_of(arm, read_trained(args.init).recipe, args.steps, args.changes)
    return train(recipe, args.data, split, run, init=args.init if arm == "tuned" else None)


def row(arm, n, summary):
    head, levels = summary["headline"], summary["levels"]
    interval = head["dsc_interval"]
    rates = [head["dsc"]["mean"], interval["low"], interval["high"], head["iou"]["mean"]]
    right = f"{levels['cases_all_right']} of {levels['cases']}"
    hd95 = rounded(head["hd95_mm"]["mean"], 1, 2)
    return [arm, n, *(rounded(r, 100, 1) for r in rates), hd95, right, head["missed"], head["invented"]]


def rounded(value, scale, digits):
    return "" if value is None else round(scale * value, digits)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data")
    parser.add_argument("split")
    parser.add_argument("--fold", type=int)
    parser.add_argument("--init", required=True, help="run or bundle that never saw DATA")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--cases", type=int, nargs="+", default=[3, 6, 12, 24])
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--arms", nargs="+", choices=("tuned", "scratch"), default=["tuned", "scratch"])
    parser.add_argument("--threads", type=int, help="of an inference")
    parser.add_argument("--changes", nargs="+", default=[], metavar="KEY=VALUE", help="of both recipes")
    args = parser.parse_args()
    dataset = open_dataset(args.data)
    parts = Split.load(args.split, dataset).parts(args.fold)
    own = subsets([*parts["train"], *parts["val"]], args.cases, args.seed)
    write_json(args.output / "test.json", {"train": [], "val": [], "test": parts["test"]})
    test = dataset.select(parts["test"])
    common = {"data": args.data, "split": args.output / "test.json", "threads": args.threads}

    def scored(model, folder):
        return score(model, test, folder, **common)

    rows = [row("init", 0, scored(args.init, args.output / "init_scores"))]
    print(*COLUMNS, sep=", ")
    print(*rows[0], sep=", ", flush=True)
    for cases in own.values():
        for arm in args.arms:
            run = trained_run(arm, cases, parts["test"], args)
            rows.append(row(arm, len(cases), scored(run, run / "scores")))
            print(*rows[-1], sep=", ", flush=True)
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([COLUMNS, *rows])
    write_text(args.output / "fine_tuning.csv", text.getvalue())


if __name__ == "__main__":
    main()
