"""Accuracy against cost: width, depth and input size of `cafr_net_plus` varied, with one short training each.

    python benchmarks/pareto.py --data DIR --split SPLIT [--fold K] -o OUT [--steps N] [--only NAME ...]

Every variant trains for the same steps on the same slices (one `cafrnet train` each), finds the split's
validation cases (one `cafrnet segment`) and is scored on their native grid by the evaluator. Input sizes keep
the window of 300 mm: 128 pixels of 2.34 mm to 320 of 0.94. Last, all finished variants are timed side by side
with ONNX Runtime (`--untimed` leaves that out: time on a quiet machine).

What is finished is skipped, what was interrupted goes on; settings that differ from those a variant was made
with are refused. Writes `pareto.json`, `pareto.md` and `pareto.png`. No new contrasts, no phantoms, no CLR: a
short budget ranks costs on one scanner, it makes no model to be used.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from side_by_side import about, summary, table, take_turns

from cafrnet.datasets import Split, open_dataset
from cafrnet.errors import CAFRNetError, UsageError, nearest
from cafrnet.evaluation import evaluate
from cafrnet.experiments.cost import count
from cafrnet.files import stem, whole_file, write_json, write_text
from cafrnet.inference.engines import open_engine
from cafrnet.learning.recipes import Recipe, load_recipe

#: What the input shows at any size.
WINDOW_MM = 256 * 1.17
#: Of a schedule, whatever its length: epochs (the learning rate changes with them), and warm-up in steps.
EPOCHS, WARM_UP = 10, 30
#: Widths of the network that ships; a variant multiplies all of them.
CHANNELS, WIDTH, HEADS, DECODER = (16, 32, 64, 128, 256), 256, 8, (128, 64, 40, 24)


@dataclass(frozen=True)
class Variant:
    """One network: widths times ``width``, ``depth`` blocks in each of three stages, ``size`` pixels."""

    width: float = 1.0
    depth: int = 2
    size: int = 256

    @property
    def words(self) -> list[str]:
        """Return the changes to the recipe; what is measured in pixels keeps its length in mm."""
        finer, full = self.size / 256, self.width
        channels, decoder = ([round(c * full) for c in widths] for widths in (CHANNELS, DECODER))
        return [
            f"model_args.channels={channels}",
            f"model_args.width={round(WIDTH * full)}",
            f"model_args.heads={round(HEADS * full)}",
            f"model_args.depths={[self.depth] * 3}",
            f"model_args.decoder_channels={decoder}",
            f"preprocessing.size={self.size}",
            f"preprocessing.pixel_mm={WINDOW_MM / self.size}",
            f"augmentation.shift_px={12 * finer}",
            f"augmentation.elastic_px={4 * finer}",
            f"augmentation.elastic_spacing_px={round(32 * finer)}",
        ]


#: In the order in which they are trained; the first is what ships.
VARIANTS = {
    "as it ships": Variant(),
    "half as wide": Variant(width=0.5),
    "192 pixels": Variant(size=192),
    "three quarters as wide": Variant(width=0.75),
    "one block per stage": Variant(depth=1),
    "128 pixels": Variant(size=128),
    "half as wide, 192 pixels": Variant(width=0.5, size=192),
    "four blocks per stage": Variant(depth=4),
    "320 pixels": Variant(size=320),
}


def recipe_words(variant: Variant, args: argparse.Namespace) -> list[str]:
    """Return all changes to `cafr_net_plus`."""
    steps = max(1, args.steps // EPOCHS)
    epochs = max(1, args.steps // steps)
    return [
        *variant.words,
        *(f"augmentation.{key}=0" for key in ("synthesis", "curve", "artefacts", "metal")),
        "clr.enabled=false",
        f"training.batch={args.batch}",
        f"training.epochs={epochs}",
        f"training.steps_per_epoch={steps}",
        f"training.warmup_steps={min(WARM_UP, args.steps // 4)}",
        "training.ema=0.98",
        f"training.validate_every={epochs}",
        f"training.precision={args.precision}",
        f"training.seed={args.seed}",
        *args.change,
    ]


def command(*words: str | Path) -> None:
    """Run a cafrnet command in a process of its own, without its progress.

    Raises:
        CAFRNetError: it failed.
    """
    done = subprocess.run(
        [sys.executable, "-m", "cafrnet.cli.main", *map(str, words), "-q"], stdout=sys.stderr
    )
    if done.returncode:
        raise CAFRNetError(f"cafrnet {words[0]} ended with {done.returncode}, see above")


def train(run: Path, words: Sequence[str], args: argparse.Namespace) -> Recipe:
    """Train a variant, go on with it, or leave a finished one as it is.

    Raises:
        UsageError: the run was made with other settings.
        CAFRNetError: training failed.
    """
    recipe = load_recipe("cafr_net_plus", words)
    if (run / "config.yaml").exists():
        made = yaml.safe_load((run / "config.yaml").read_text(encoding="utf-8"))
        same = made["recipe"] == recipe.model_dump(mode="json") and made["fold"] == args.fold
        if not same or Split.load(run / "split.json").hash != Split.load(args.split).hash:
            raise UsageError(f"{run} was made with other settings or another split; take another folder")
    if (run / "run.json").exists():
        return recipe
    if (run / "last.ckpt").exists():
        command("train", "--resume", run, f"data={args.data}")
    else:
        shutil.rmtree(run, ignore_errors=True)  # ended before its first epoch
        fold = [] if args.fold is None else [f"fold={args.fold}"]
        command(
            "train", "cafr_net_plus", *words, f"data={args.data}", f"split={args.split}", *fold, "-o", run
        )
    return recipe


def score(run: Path, folder: Path, args: argparse.Namespace) -> dict[str, Any]:
    """Segment the validation cases and return what the evaluator says of them."""
    dataset = open_dataset(args.data)
    cases = dataset.select(Split.load(args.split, dataset).parts(args.fold)["val"])
    images = {stem(case.image): case.image for case in cases}
    command("segment", *images.values(), "-o", folder / "labels", "--model", run, "--engine", "onnxruntime")
    found = evaluate(
        args.data, folder / "labels", folder, split=args.split, part="val", fold=args.fold
    ).summary
    head, moved = found["headline"], found["after_shift"]["headline"]
    return {
        "cases": found["cases"]["scored"],
        "dsc": head["dsc"],
        "dsc_interval": head["dsc_interval"],
        "hd95_mm": head["hd95_mm"],
        "missed_rate": head["missed_rate"],
        "dsc_after_shift": moved["dsc"],
        "cases_all_right": found["levels"]["cases_all_right"],
        "per_case": {case: one["dsc"] for case, one in found["per_case"].items()},
    }


def times(runs: Mapping[str, Path], threads: int, rounds: int) -> dict[str, dict[str, float]]:
    """Return the time of one slice of each, in turns."""
    work = {}
    for name, run in runs.items():
        engine = open_engine(run / "model.onnx", threads, "onnxruntime")
        size = engine.image_shape[2] or 256
        image = np.random.default_rng(0).random((1, 1, size, size), np.float32)
        work[name] = lambda engine=engine, image=image: engine(image)
    return {name: summary(seconds) for name, seconds in take_turns(work, rounds).items()}


def front(points: Mapping[str, tuple[float, float]]) -> list[str]:
    """Return the names that no other beats: none costs as much or less and is better (or as good for less).

    Args:
        points: name -> (cost, accuracy).
    """
    kept = []
    for name, (cost, good) in points.items():
        others = [p for other, p in points.items() if other != name]
        if not any((c <= cost and g > good) or (c < cost and g >= good) for c, g in others):
            kept.append(name)
    return sorted(kept, key=lambda name: points[name])


#: What is plotted: key, and the title of its axis.
COSTS = {"gmacs": "GMACs of a slice", "median_ms": "ms for a slice, ONNX Runtime"}
SCORES = {"dsc": "DSC, %", "dsc_after_shift": "DSC after a whole-column shift, %"}


def points_of(rows: Mapping[str, Any], cost: str, kind: str) -> dict[str, tuple[float, float]]:
    """Return name -> (cost, DSC in %) of the variants that have both."""
    found = {}
    for name, row in rows.items():
        x, y = {**row, **(row.get("latency") or {})}.get(cost), row["scores"][kind]["mean"]
        if x is not None and y is not None:
            found[name] = (x, 100 * y)
    return found


def plot(rows: Mapping[str, Any], path: Path) -> None:
    """Draw accuracy over cost, with the front as a line."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(2, 2, figsize=(11, 8), sharey="row", sharex="col", layout="constrained")
    for line, (kind, label) in zip(axes, SCORES.items(), strict=True):
        for axis, (cost, title) in zip(line, COSTS.items(), strict=True):
            points = points_of(rows, cost, kind)
            best = front(points)
            axis.plot(*zip(*(points[n] for n in best), strict=True) if best else ((), ()), "-", color="0.6")
            for name, (x, y) in points.items():
                axis.plot(x, y, "o", color="C0" if name in best else "0.6", mfc=None if name in best else "w")
                left = x > np.mean([p[0] for p in points.values()])  # so that no name leaves the picture
                place = {"xytext": (-5, 5), "ha": "right"} if left else {"xytext": (5, -9), "ha": "left"}
                axis.annotate(name, (x, y), textcoords="offset points", fontsize=7, **place)
            axis.set_xlabel(title if kind == "dsc_after_shift" else "")
            axis.set_ylabel(label if cost == "gmacs" else "")
            axis.grid(alpha=0.3)
            axis.margins(x=0.18, y=0.12)
    with whole_file(path) as temporary:
        figure.savefig(temporary, dpi=110)
    plt.close(figure)


def page(found: Mapping[str, Any]) -> str:
    """Return the Markdown table."""
    rows = []
    for name, row in sorted(found["variants"].items(), key=lambda item: item[1]["gmacs"]):
        s, ms = row["scores"], row.get("latency") or {}
        rows.append(
            [
                name,
                f"{row['gmacs']:.2f}",
                f"{row['params'] / 1e6:.2f}",
                f"{ms['median_ms']:.1f} ± {ms['spread_ms']:.1f}" if ms else None,
                _percent(s["dsc"]),
                _percent(s["dsc_after_shift"]),
                None if s["hd95_mm"]["mean"] is None else f"{s['hd95_mm']['mean']:.1f}",
                f"{s['cases_all_right']} of {s['cases']}",
                f"{sum(name in names for names in found['fronts'].values())} of {len(found['fronts'])}",
            ]
        )
    head = ["variant", "GMACs", "M parameters", "ms per slice", "DSC, %", "after shift, %", "HD95, mm"]
    text = table([*head, "all levels right", "on a front"], rows)
    a = found["about"]
    return (
        f"{text}\n\n{a['steps']} steps of {a['batch']} slices, seed {a['seed']}, {a['precision']}; "
        f"{a['threads']} threads of ONNX Runtime; {a['processor']}, {a['date']}. "
        "Mean ± SD over validation cases, native grid. Fronts: DSC, and DSC after the best whole-column "
        "shift, over GMACs and over time.\n"
    )


def _percent(value: Mapping[str, Any]) -> str | None:
    if value["mean"] is None:
        return None
    sd = f" ± {100 * value['sd']:.1f}" if value["sd"] is not None else ""
    return f"{100 * value['mean']:.1f}{sd}"


def write(found: dict[str, Any], out: Path) -> None:
    """Write JSON, Markdown and picture."""
    found["fronts"] = {
        f"{kind} over {cost}": front(points_of(found["variants"], cost, kind))
        for cost in COSTS
        for kind in SCORES
    }
    write_json(out / "pareto.json", found)
    write_text(out / "pareto.md", page(found))
    plot(found["variants"], out / "pareto.png")


def measure(args: argparse.Namespace) -> dict[str, Any]:
    """Train, score, time and write."""
    rows: dict[str, Any] = {}
    runs = {}
    for name in args.only or VARIANTS:
        folder = args.output / "variants" / name.replace(", ", "_").replace(" ", "_")
        recipe = train(folder / "run", recipe_words(VARIANTS[name], args), args)
        cost = count(recipe)
        scores = score(folder / "run", folder / "scores", args)
        minutes = json.loads((folder / "run" / "run.json").read_text(encoding="utf-8"))[
            "minutes_this_session"
        ]
        rows[name] = {
            "gmacs": cost.gmacs,
            "params": cost.params,
            "pixel_mm": recipe.preprocessing.pixel_mm,
            "minutes": minutes,
            "scores": scores,
        }
        runs[name] = folder / "run"
        print(f"{name}: {cost.gmacs:.2f} GMACs, DSC {_percent(scores['dsc'])} %", file=sys.stderr, flush=True)
    if not args.untimed:
        for name, latency in times(runs, args.threads, args.rounds).items():
            rows[name]["latency"] = latency
    keys = ("steps", "batch", "seed", "precision", "threads", "rounds", "change")
    asked = {key: getattr(args, key) for key in keys}
    machine = about(("cafrnet", "torch", "onnxruntime"), split=Split.load(args.split).hash, **asked)
    found = {"about": machine, "variants": rows}
    write(found, args.output)
    return found


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", required=True, metavar="DIR")
    parser.add_argument("--split", required=True, metavar="SPLIT")
    parser.add_argument("--fold", type=int, help="the test fold of a split into folds")
    parser.add_argument("-o", "--output", required=True, type=Path, metavar="OUT")
    parser.add_argument("--steps", type=int, default=250)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--precision", choices=("bf16", "fp32"), default="bf16")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="+", metavar="NAME", help=f"of: {'; '.join(VARIANTS)}")
    parser.add_argument("--change", nargs="+", default=[], metavar="KEY=VALUE", help="of the recipe, for all")
    parser.add_argument("--threads", type=int, default=2, help="of the timed networks")
    parser.add_argument("--rounds", type=int, default=31)
    parser.add_argument("--untimed", action="store_true")
    args = parser.parse_args(words)
    try:
        for name in args.only or ():
            if name not in VARIANTS:
                raise UsageError(f"no variant {name!r}{nearest(name, VARIANTS)}")
        found = measure(args)
    except CAFRNetError as error:
        sys.exit(str(error))
    print(page(found))


if __name__ == "__main__":
    main()
