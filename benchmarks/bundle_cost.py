r"""What a bundle costs against the run that it was made from: hashing, loading, one batch of slices.

    python benchmarks/bundle_cost.py RUN BUNDLE

Processor time, best of several: other work on the machine changes it little. One thread.
"""

import argparse
import time
from pathlib import Path

import numpy as np

from cafrnet.bundles import open_bundle
from cafrnet.files import sha256
from cafrnet.inference.engines.onnx import OnnxEngine

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("run", type=Path)
parser.add_argument("bundle", type=Path)
parser.add_argument("--times", type=int, default=9)
args = parser.parse_args()


def best_ms(action) -> float:
    """Smallest processor time of an action, in ms."""
    taken = []
    for _ in range(args.times):
        began = time.process_time()
        action()
        taken.append(time.process_time() - began)
    return 1e3 * min(taken)


for name, folder in (("run", args.run), ("bundle", args.bundle)):
    path = folder / "model.onnx"
    engine = OnnxEngine(path, 1)
    size = engine.image_shape[-1]
    images = np.random.default_rng(0).random((4, 1, size, size), np.float32)
    print(
        f"{name}: {path.stat().st_size / 1e6:.1f} MB, hash {best_ms(lambda p=path: sha256(p)):.0f} ms, "
        f"load {best_ms(lambda p=path: OnnxEngine(p, 1)):.0f} ms, "
        f"4 slices {best_ms(lambda e=engine, i=images: e(i)):.0f} ms"
    )
print(f"verifying the whole bundle: {best_ms(lambda: open_bundle(args.bundle)):.0f} ms")
