"""Does pretraining without labels help? Equal seeds, with and without it, on the validation cases of a split.

    python benchmarks/pretraining.py DATA SPLIT -o DIR                    # what docs/pretraining.md tells
    python benchmarks/pretraining.py DATA SPLIT -o DIR --seeds 0 1 2 --before 300 --steps 300

Arms, each trained on the labels of the split's training part: `scratch` (steps), `longer` (before + steps,
the fair control: as many steps in all), `mask` and `view` (before steps of pretraining on the same scans,
then steps). `--few N` trains on the labels of the first N training cases only, and pretrains on all of them.
A narrow cafr_net_plus at 128 x 128 pixels in batches of 8, trained without CLR, so that a CPU can do it; what
is not said here is the recipe's (`--full`: the recipe as it is). Prints Dice per arm and seed on the model
grid, and the same for all bodies as one structure and all discs as one, which no wrong level spoils. A run
that is there already is not repeated.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import torch

from cafrnet.datasets import Split, open_dataset
from cafrnet.labels import TABLE, ValueSets
from cafrnet.learning.bundling import read_trained
from cafrnet.learning.codes import TruthCodes
from cafrnet.learning.data import PreparedCase, prepare_cases
from cafrnet.learning.pretraining import pretrain
from cafrnet.learning.recipes import load_recipe
from cafrnet.learning.training.module import TrainingModule
from cafrnet.learning.training.run import train
from cafrnet.learning.training.score import case_dice
from cafrnet.preprocessing import Preprocessing

ARMS = ("scratch", "longer", "mask", "view")
NET = (
    "model_args={channels: [8, 16, 32, 64, 128], width: 128, heads: 4, ffn_ratio: 2.5, depths: [1, 1, 1], "
    "decoder_channels: [64, 32, 16, 12], size: 128}"
)
SMALL = (
    NET,
    "preprocessing.size=128",
    "pixel_mm=2.34",
    "shift_px=6",
    "elastic_spacing_px=16",
    "elastic_px=2",
)


def changes(steps, seed, full=False):
    per = max(1, steps // 10)
    schedule = (f"epochs={steps // per}", f"steps_per_epoch={per}", f"warmup_steps={steps // 10}")
    small = [*SMALL, "batch=8", "lr=2e-3", "ema=0.98"]
    return [*([] if full else small), *schedule, f"seed={seed}", f"validate_every={steps // per}"]


def make_run(arm, seed, args, few):
    folder = args.output / f"{arm}_{seed}"
    if (folder / "run.json").exists():
        return folder
    init = None
    if arm in ("mask", "view"):
        init = args.output / f"{arm}_{seed}_before"
        if not (init / "best.safetensors").exists():
            recipe = load_recipe("cafr_net_plus", [*changes(args.before, seed, args.full), f"method={arm}"])
            pretrain(recipe, init, data=args.data, split=args.split)
    steps = args.steps + (args.before if arm == "longer" else 0)
    recipe = load_recipe("cafr_net_plus", [*changes(steps, seed, args.full), "clr=false"])
    return train(recipe, args.data, few, folder, init=init)


def score(folder, cases, codes):
    trained = read_trained(folder)
    module = TrainingModule(trained.recipe, codes, trained.trained).eval()
    state = {**trained.weights, "trained": torch.from_numpy(trained.trained)}
    for network in (module.segmenter, module.averaged):
        network.load_state_dict(state)
    sets = ValueSets({c: (255,) if c == codes.unknown else ids for c, ids in enumerate(codes.sets)})
    rows = []
    with torch.inference_mode():
        for case in cases:
            found = module.predict_case(case)
            rows.append(
                [
                    case_dice(case.truth, found, sets),
                    *(kind_dice(case, found, codes, k) for k in ("body", "disc")),
                ]
            )
    return (100 * np.mean(rows, axis=0)).round(1).tolist()


def kind_dice(case: PreparedCase, found: np.ndarray, codes: TruthCodes, kind: str) -> float:
    of_kind = np.array([TABLE[i].kind == kind for i in range(codes.num_classes)])
    truth = of_kind[[ids[0] for ids in codes.sets]][case.truth]
    guess = of_kind[found]
    return 2 * (truth & guess).sum() / (truth.sum() + guess.sum())


def fewer(split, n, out):
    raw = json.loads(Path(split).read_text())
    path = out / "few.json"
    path.write_text(json.dumps({"train": raw["train"][:n], "val": raw["val"], "test": []}))
    return path


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data")
    parser.add_argument("split")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--before", type=int, default=120)
    parser.add_argument("--steps", type=int, default=120)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--few", type=int)
    parser.add_argument(
        "--full", action="store_true", help="the recipe as it is, at 256 x 256 in batches of 16"
    )
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=ARMS)
    args = parser.parse_args()
    args.output.mkdir(parents=True, exist_ok=True)
    few = fewer(args.split, args.few, args.output) if args.few else args.split
    dataset = open_dataset(args.data)
    codes = TruthCodes.of([dataset.sets], 22)
    settings = Preprocessing(
        **load_recipe("cafr_net_plus", changes(args.steps, 0, args.full)).preprocessing.model_dump()
    )
    cases = prepare_cases(dataset.select(Split.load(args.split, dataset).parts()["val"]), settings, codes)
    print("arm, seed, Dice of levels, of bodies, of discs", flush=True)
    for seed in args.seeds:
        for arm in args.arms:
            print(arm, seed, *score(make_run(arm, seed, args, few), cases, codes), flush=True)


if __name__ == "__main__":
    main()
