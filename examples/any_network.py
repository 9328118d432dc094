r"""Train any network by its import path: here MONAI's UNet++ on phantoms, for a few steps on a CPU.

    python examples/any_network.py -o any_network

The same on the command line, with ``DATA`` a labelled dataset:

    cafrnet data split DATA -o split.json
    cafrnet train cafr_net model=monai.networks.nets.BasicUNetPlusPlus clr=false \
        data=DATA split=split.json -o RUN
    cafrnet segment SCAN --model RUN -o OUT

The network takes images [B, 1, H, W] and returns logits [B, classes, H, W]. Everything else (preprocessing,
augmentation, sampling, losses, schedule, resuming, export) is the recipe's. ``clr=false``, because CLR needs
the feature maps that cafrnet's own network hands out. A few steps teach nothing: this shows the way, not a
result. Needs the ``train`` extra.
"""

import argparse
from pathlib import Path

import cafrnet
from cafrnet.datasets import make_split, open_dataset
from cafrnet.phantom import SMALL, write_dataset

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("-o", "--output", type=Path, required=True, help="a new folder for everything")
parser.add_argument("--data", type=Path, help="a labelled dataset of your own instead of phantoms")
parser.add_argument("--steps", type=int, default=3, help="per epoch; there are two")
args = parser.parse_args()

data = args.data or write_dataset(args.output / "data", cases=5, seed=0, options=SMALL)
make_split(open_dataset(data), seed=0).save(args.output / "split.json")

run = cafrnet.train(
    "cafr_net",
    data,
    args.output / "split.json",
    args.output / "run",
    changes=[
        "model=monai.networks.nets.BasicUNetPlusPlus",  # any class that can be imported
        "model_args.features=[8, 8, 16, 32, 64, 8]",  # and its own arguments
        "num_classes=22",
        "clr=false",
        "contrast=none",
        "pixel_mm=2.4",
        "preprocessing.size=128",
        "batch=4",
        "epochs=2",
        f"steps_per_epoch={args.steps}",
        "lr=1e-3",
    ],
)

case = open_dataset(data).cases[0]
found = cafrnet.segment(case.image, model=run)  # ONNX Runtime: the network itself is no longer needed
print(f"{run}: {', '.join(sorted(p.name for p in run.iterdir()))}")
print(f"{case.id}: {found.labels.shape} labelled in {sum(found.timings_s.values()):.2f} s")
