"""Milliseconds per slice of models in engines, taking turns, so that what else runs meets all of them alike.

    python benchmarks/engines.py MODEL [MODEL...] [--engines onnxruntime openvino] [--threads N] [--batch N]

The minimum over the rounds is what the processor can do, the median what it did. Images are noise (seed 0).
"""

import argparse
import statistics
import time
from itertools import product

import numpy as np

from cafrnet.inference import load_model


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("models", nargs="+", metavar="MODEL")
    parser.add_argument("--engines", nargs="+", default=["onnxruntime", "openvino"])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=9)
    args = parser.parse_args()
    ready = {}
    for path, engine in product(args.models, args.engines):
        model = load_model(path, threads=args.threads, engine=engine)
        size = model.preprocessing.size
        images = np.random.default_rng(0).random((args.batch, 1, size, size), np.float32)
        model.engine(images)
        ready[path, engine] = (model.engine, images)
    times = {key: [] for key in ready}
    for _ in range(args.rounds):
        for key, (engine, images) in ready.items():
            began = time.perf_counter()
            engine(images)
            times[key].append(1e3 * (time.perf_counter() - began) / args.batch)
    print("| model | engine | minimum ms | median ms |\n|---|---|---|---|")
    for (path, engine), values in times.items():
        print(f"| {path} | {engine} | {min(values):.1f} | {statistics.median(values):.1f} |")


if __name__ == "__main__":
    main()
