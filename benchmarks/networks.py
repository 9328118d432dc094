"""Latency, throughput, memory, multiply-accumulates and parameters of every network, side by side.

    python benchmarks/networks.py -o OUT [--engine onnxruntime openvino] [--threads N] [--models NAME ...]

Every network of the registry (random weights, 20 outputs) and the bundle that ships go through the same
engine at 256 x 256: one slice, and a scan of 12 in calls of 4, as `segment` makes them. They take turns,
round by round. The bundle and `cafr_net` are also there in int8: quantised as `cafrnet export` does it,
calibrated on phantoms, the fastest plan or those after `--plans`; which plan keeps the accuracy is `export`'s
question.

`--prepare` only makes the model files, which takes minutes and needs no quiet machine; they are made once.
`--keep-freed` lets the C library keep freed memory, so that no call pays for fresh pages. Memory is the peak
of a fresh process that loads one model. Writes `networks.json` and `networks.md`.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from side_by_side import about, ratio, summary, table, take_turns

from cafrnet.errors import CAFRNetError, UsageError, nearest
from cafrnet.files import whole_file, write_json, write_text
from cafrnet.inference.answers import SLICES_AT_ONCE
from cafrnet.inference.engines import Engine, open_engine
from cafrnet.learning.training.allocator import keep_freed_memory

#: What ships, and the networks of Table 3 that it has to beat.
SHIPPED = "shipped"
BASELINES = ("unet", "attention_unet", "nnunet", "transunet", "swin_unet", "unetr_pp")
#: What is quantised, and the slices of a scan.
QUANTISED = (SHIPPED, "cafr_net")
SLICES = 12
#: Phantoms that int8 takes its ranges from, slices of each.
PHANTOMS, PER_PHANTOM = 4, 4

#: Runs in a process of its own: memory before the engine has a model, after one slice, after a scan.
MEMORY = """
import ctypes, json, re, sys
from pathlib import Path
import numpy as np
from cafrnet.inference.engines import open_engine
path, engine, threads, slices, at_once, keep = sys.argv[1], sys.argv[2], *map(int, sys.argv[3:])
if keep:  # as keep_freed_memory does, without PyTorch's own memory
    mallopt = ctypes.CDLL(None).mallopt
    assert mallopt(-4, 0) and mallopt(-1, 2**31 - 1)
__import__(engine)
peak = lambda: int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) * 1024 / 1e6
found = [peak()]
ready = open_engine(Path(path), threads, engine)
shape = (1, *(n or 256 for n in ready.image_shape[2:]))
ready(np.zeros((1, *shape), np.float32))
found.append(peak())
for _ in range(0, slices, at_once):
    ready(np.zeros((at_once, *shape), np.float32))
print(json.dumps([*found, peak()]))
"""


@dataclass(frozen=True)
class Entry:
    """One model file.

    Attributes:
        name: of the network.
        precision: fp32 (the bundle stores fp16 and computes fp32) or int8, with the number of its plan.
        path: of the file.
    """

    name: str
    precision: str
    path: Path


def prepare(names: Sequence[str], plans: Sequence[int], folder: Path) -> list[Entry]:
    """Make the model files that are not there yet."""
    entries = []
    for name in names:
        plain = folder / name / "fp32.onnx"
        if not plain.is_file():
            print(f"making {name}", file=sys.stderr, flush=True)
            export(name, plain)
        entries.append(Entry(name, "fp32", plain))
        for number in plans if name in QUANTISED else ():
            path = folder / name / f"int8_{number}.onnx"
            if not path.is_file():
                print(f"making {name}, int8, plan {number}", file=sys.stderr, flush=True)
                export_int8(plain, path, number)
            entries.append(Entry(name, f"int8, plan {number}", path))
    return entries


def export(name: str, path: Path) -> None:
    """Write a network as `cafrnet` exports it: the bundle's weights, or random ones (seed 0)."""
    import torch

    from cafrnet.learning.export.onnx import export_onnx
    from cafrnet.learning.export.source import open_source
    from cafrnet.learning.models import build_model
    from cafrnet.learning.training.module import Segmenter

    if name == SHIPPED:
        source = open_source("default")
        export_onnx(source.segmenter, source.model.preprocessing.size, path, source.metadata)
        return
    torch.manual_seed(0)
    export_onnx(Segmenter(build_model(name, clr=False), np.ones(20, bool)), 256, path, {})


def export_int8(plain: Path, path: Path, plan: int) -> None:
    """Write the int8 form of a model, with ranges from phantoms."""
    from cafrnet.inference import load_model
    from cafrnet.learning.export.examples import CALIBRATION_SEED, draw_slices, phantom_examples
    from cafrnet.learning.export.quantise import PLANS, quantise

    settings = load_model("default", engine="onnxruntime").preprocessing
    examples = phantom_examples(settings, PHANTOMS, CALIBRATION_SEED)
    slices = draw_slices(examples, PER_PHANTOM, np.random.default_rng(CALIBRATION_SEED))
    with whole_file(path) as temporary:
        quantise(plain, temporary, slices, PLANS[plan - 1])


def costs(names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return multiply-accumulates and parameters: of the registry at 20 outputs, of the bundle at its own."""
    from cafrnet.experiments.cost import count
    from cafrnet.learning.bundling import read_trained
    from cafrnet.learning.models import list_models

    found = {row["name"]: {"params": row["params"], "gmacs": row["gmacs"]} for row in list_models()}
    if SHIPPED in names:
        from cafrnet.bundles import find

        cost = count(read_trained(find("default")).recipe)
        found[SHIPPED] = {"params": cost.params, "gmacs": cost.gmacs}
    return {name: found[name] for name in names}


def memory(entry: Entry, engine: str, args: argparse.Namespace) -> dict[str, float]:
    """Return the peak memory of a fresh process, in MB (10^6 bytes), and what it held before the model."""
    numbers = (args.threads, SLICES, SLICES_AT_ONCE, int(args.keep_freed))
    words = [str(entry.path), engine, *map(str, numbers)]
    told = subprocess.run(
        [sys.executable, "-c", MEMORY, *words], capture_output=True, text=True, check=True
    ).stdout
    idle, one, scan = (round(v, 1) for v in json.loads(told))
    return {"idle_mb": idle, "peak_slice_mb": one, "peak_scan_mb": scan}


def opened(entries: Sequence[Entry], engines: Sequence[str], threads: int) -> tuple[dict, list[str]]:
    """Return (entry, engine name) -> engine, and a sentence for each that refuses its file."""
    ready: dict[tuple[Entry, str], Engine] = {}
    refused = []
    for engine in engines:
        for entry in entries:
            try:
                found = open_engine(entry.path, threads, engine)
                found(images(found, 1))
            except (CAFRNetError, RuntimeError) as error:
                reason = " ".join(str(error).split())
                refused.append(f"{engine} refuses {entry.name}, {entry.precision}: {reason[:200]}")
            else:
                ready[entry, engine] = found
    return ready, refused


def images(engine: Engine, count: int) -> np.ndarray:
    """Return noise of the size that a network takes."""
    edges = [n or 256 for n in engine.image_shape[2:]]
    return np.random.default_rng(0).random((count, 1, *edges), np.float32)


def scan_of(engine: Engine) -> Any:
    """Return what runs a scan of 12 slices, a few at a time."""
    parts = [images(engine, SLICES_AT_ONCE)] * (SLICES // SLICES_AT_ONCE)
    return lambda: [engine(part) for part in parts]


def measure(entries: Sequence[Entry], args: argparse.Namespace) -> dict[str, Any]:
    """Time all models in turns, and weigh each in a process of its own."""
    counted = costs(sorted({entry.name for entry in entries}))
    ready, refused = opened(entries, args.engine, args.threads)
    keys = {f"{e.name}|{e.precision}|{engine}": (e, engine) for e, engine in ready}
    one = {key: images(ready[pair], 1) for key, pair in keys.items()}
    slices = take_turns({key: partial(ready[pair], one[key]) for key, pair in keys.items()}, args.rounds)
    scans = take_turns({key: scan_of(ready[pair]) for key, pair in keys.items()}, args.scans, warm_up=1)
    rows = []
    for key, (entry, engine) in keys.items():
        reference = f"{SHIPPED}|fp32|{engine}"
        plain = f"{entry.name}|fp32|{engine}"
        middle = summary(scans[key])
        rows.append(
            {
                "name": entry.name,
                "precision": entry.precision,
                "engine": engine,
                **counted[entry.name],
                "file_mb": round(entry.path.stat().st_size / 1e6, 1),
                "slice": summary(slices[key]),
                "scan": middle,
                "slices_per_s": round(1e3 * SLICES / middle["median_ms"], 1),
                "gmacs_per_s": round(1e3 * SLICES * counted[entry.name]["gmacs"] / middle["median_ms"], 1),
                **{
                    f"{kind}_ratio_to_{what}": ratio(times[key], times[against]) if against in times else None
                    for what, against in (("shipped", reference), ("fp32", plain))
                    for kind, times in (("slice", slices), ("scan", scans))
                },
                **memory(entry, engine, args),
            }
        )
    machine = about(
        ("cafrnet", "onnxruntime", "openvino", "torch"),
        threads=args.threads,
        rounds=args.rounds,
        scans=args.scans,
        keep_freed=args.keep_freed,
    )
    return {"about": machine, "rows": rows, "refused": refused, "aims": aims(rows)}


def aims(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the two aims, each with its number and whether it is reached, per engine and kind of work.

    The shipped network takes at most half of the time of the fastest of the six baselines (the published
    sizes), and int8 at most half of fp32's.
    """
    found = []
    for engine in dict.fromkeys(row["engine"] for row in rows):
        of = {(r["name"], r["precision"]): r for r in rows if r["engine"] == engine}
        for kind in ("slice", "scan"):
            ratios = {
                name: of[name, "fp32"][f"{kind}_ratio_to_shipped"]
                for name in BASELINES
                if (name, "fp32") in of and of[name, "fp32"][f"{kind}_ratio_to_shipped"]
            }
            if ratios:
                name = min(ratios, key=lambda n: ratios[n]["median"])
                found.append(_aim(engine, kind, f"{name} / {SHIPPED}", ratios[name]["median"]))
            int8 = of.get((SHIPPED, "int8, plan 1"))
            if int8 and int8[f"{kind}_ratio_to_fp32"]:
                gain = 1 / int8[f"{kind}_ratio_to_fp32"]["median"]
                found.append(_aim(engine, kind, f"{SHIPPED}, fp32 / int8", gain))
    return found


def _aim(engine: str, kind: str, what: str, times: float) -> dict[str, Any]:
    return {"engine": engine, "work": kind, "ratio": what, "times": round(times, 2), "reached": times >= 2}


def page(found: Mapping[str, Any]) -> str:
    """Return the Markdown."""
    a = found["about"]
    head = ["network", "precision", "GMACs", "M parameters", "1 slice, ms", "12 slices, ms", "slices per s"]
    head += ["GMACs per s", "peak, MB", "12 slices, against shipped"]
    parts = []
    for engine in dict.fromkeys(row["engine"] for row in found["rows"]):
        rows = sorted(
            (r for r in found["rows"] if r["engine"] == engine), key=lambda r: r["scan"]["median_ms"]
        )
        cells = [
            [
                r["name"],
                r["precision"],
                f"{r['gmacs']:.2f}",
                f"{r['params'] / 1e6:.2f}",
                _ms(r["slice"]),
                _ms(r["scan"]),
                f"{r['slices_per_s']:.1f}",
                f"{r['gmacs_per_s']:.0f}",
                f"{r['peak_scan_mb']:.0f}",
                r["scan_ratio_to_shipped"] and f"{r['scan_ratio_to_shipped']['median']:.2f}",
            ]
            for r in rows
        ]
        idle = rows[0]["idle_mb"]
        parts.append(
            f"### {engine}\n\n{table(head, cells)}\n\nA process without a model holds {idle:.0f} MB."
        )
    parts.append(
        table(
            ["engine", "work", "ratio", "times", "aim of 2"],
            [
                [x["engine"], x["work"], x["ratio"], x["times"], "reached" if x["reached"] else "missed"]
                for x in found["aims"]
            ],
        )
    )
    parts += found["refused"]
    parts.append(
        f"{a['threads']} threads, freed memory {'kept' if a['keep_freed'] else 'given back'}; {a['rounds']} "
        f"rounds of one slice and {a['scans']} of a scan in turns, median ± half the distance of the "
        f"quartiles; {a['processor']} ({', '.join(a['instructions'])}), {a['date']}."
    )
    return "\n\n".join(parts) + "\n"


def _ms(time: Mapping[str, float]) -> str:
    return f"{time['median_ms']:.1f} ± {time['spread_ms']:.1f}"


def main(words: Sequence[str] | None = None) -> None:
    from cafrnet.learning.models import REGISTRY

    known = [SHIPPED, *REGISTRY]
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("-o", "--output", required=True, type=Path, metavar="OUT")
    parser.add_argument("--engine", nargs="+", default=["onnxruntime"], choices=("onnxruntime", "openvino"))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--models", nargs="+", metavar="NAME", default=known, help="default: all")
    parser.add_argument("--plans", nargs="+", type=int, choices=(1, 2, 3, 4), default=[1], help="of int8")
    parser.add_argument("--rounds", type=int, default=31, help="of one slice")
    parser.add_argument("--scans", type=int, default=9, help="rounds of a whole scan")
    parser.add_argument("--keep-freed", action="store_true", help="memory, as --help says above")
    parser.add_argument("--prepare", action="store_true", help="make the model files and stop")
    args = parser.parse_args(words)
    try:
        for name in args.models:
            if name not in known:
                raise UsageError(f"no network {name!r}{nearest(name, known)}")
        entries = prepare(args.models, args.plans, args.output / "models")
        if args.prepare:
            return
        if args.keep_freed and not keep_freed_memory():
            raise UsageError("--keep-freed needs glibc's mallopt, which this system has not")
        found = measure(entries, args)
    except CAFRNetError as error:
        sys.exit(str(error))
    write_json(args.output / "networks.json", found)
    write_text(args.output / "networks.md", page(found))
    print(page(found))


if __name__ == "__main__":
    main()
