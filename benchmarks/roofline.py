"""How near the networks come to what the machine multiplies at most, and what keeps them from it.

    python benchmarks/roofline.py -o OUT [--models DIR] [--threads N] [--batch N]

Measured in turns: matrix products and convolutions of each library that is installed (PyTorch, ONNX Runtime,
OpenVINO) in fp32, bf16 and int8; memory bandwidth; and the shipped network in the same libraries and
precisions, 4 slices at a time. A precision's peak is the fastest product found, whatever library made it.
ONNX Runtime's profiler then says which layers and which kinds of work take the time.

Model files are made by `networks.py --prepare` and looked for under DIR/shipped (default: OUT/models). ONNX
Runtime on x86 has no bf16; OpenVINO and PyTorch show what it would give. Writes `roofline.json` and
`roofline.md`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from layer_times import Times, costs, layer_times
from side_by_side import about, summary, table, take_turns

from cafrnet.errors import CAFRNetError, UsageError
from cafrnet.files import whole_file, write_json, write_text

#: Among these the peak is looked for: edges of matrices; channels and edge of the map of convolutions.
EDGES = (512, 1024, 2048)
CONVOLUTIONS = ((128, 64), (256, 32))
#: Numbers per array in the measurement of bandwidth: far more than any cache holds.
STREAM = 32_000_000
PRECISIONS = ("fp32", "bf16", "int8")
#: What a piece of work is: (kind, library, precision, size) -> (multiply-accumulates, call).
Work = dict[tuple[str, str, str, str], tuple[float, Callable[[], object]]]


@contextmanager
def torch_threads(threads: int) -> Iterator[None]:
    """Let PyTorch compute with some threads and without gradients, for a while."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with torch.inference_mode():
            yield
    finally:
        torch.set_num_threads(before)


def torch_work(batch: int) -> Work:
    """Return products, convolutions and the shipped network in PyTorch."""
    import torch

    from cafrnet.learning.export.source import open_source
    from cafrnet.learning.models.cost import count_macs

    work: Work = {}
    for name, kind in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
        for n in EDGES:
            a, b = (torch.randn(n, n).to(kind) for _ in range(2))
            work["matrix", "PyTorch", name, str(n)] = (n**3, partial(torch.matmul, a, b))
        for c, edge in CONVOLUTIONS:
            layer = torch.nn.Conv2d(c, c, 3, padding=1).to(kind).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
            x = torch.randn(batch, c, edge, edge).to(kind).to(memory_format=torch.channels_last)
            macs = batch * edge**2 * c**2 * 9
            work["convolution", "PyTorch", name, f"{c} x {edge}²"] = (macs, partial(layer, x))
        net = open_source("default").segmenter.to(kind).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        x = torch.rand(batch, 1, 256, 256).to(kind).to(memory_format=torch.channels_last)
        macs = batch * count_macs(net.float(), (1, 1, 256, 256))
        net.to(kind)
        work["network", "PyTorch", name, "shipped"] = (macs, partial(net, x))
    return work


def product_file(path: Path, shape: tuple[int, ...], *, int8: bool) -> None:
    """Write a product with constant weights: of matrices (n,), or a convolution (channels, edge)."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    rng = np.random.default_rng(0)
    matrix = len(shape) == 1
    ends = [None, *([shape[0]] if matrix else [shape[0], shape[1], shape[1]])]
    weights = rng.standard_normal((shape[0],) * 2 + (() if matrix else (3, 3))).astype(np.float32)
    number = TensorProto.UINT8 if int8 else TensorProto.FLOAT
    constants: dict[str, Any] = {"w": weights}
    if int8:
        constants = {"wq": rng.integers(-60, 60, weights.shape).astype(np.int8), "scale": np.float32(0.02)}
        constants |= {"zero": np.int8(0), "middle": np.uint8(128)}
    words: dict[str, Any] = {} if matrix else {"pads": [1, 1, 1, 1]}
    nodes = [helper.make_node("MatMul" if matrix else "Conv", ["x", "w"], ["y"], **words)]
    if int8:
        nodes = [
            helper.make_node("DequantizeLinear", ["xq", "scale", "middle"], ["x"]),
            helper.make_node("DequantizeLinear", ["wq", "scale", "zero"], ["w"]),
            *nodes,
            helper.make_node("QuantizeLinear", ["y", "scale", "middle"], ["yq"]),
        ]
    a, b = ("xq", "yq") if int8 else ("x", "y")
    graph = helper.make_graph(
        nodes,
        "product",
        [helper.make_tensor_value_info(a, number, ends)],
        [helper.make_tensor_value_info(b, number, ends)],
        [numpy_helper.from_array(np.asarray(v), k) for k, v in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    with whole_file(path) as temporary:
        onnx.save(model, temporary)


def products(folder: Path, batch: int) -> dict[tuple[str, str, str], tuple[float, Path, np.ndarray]]:
    """Return (kind, precision, size) -> (multiply-accumulates, file, input) for both engines."""
    rng, found = np.random.default_rng(0), dict[tuple[str, str, str], Any]()
    shapes: list[tuple[str, tuple[int, ...], str]] = [("matrix", (n,), str(n)) for n in EDGES]
    shapes += [("convolution", s, f"{s[0]} x {s[1]}²") for s in CONVOLUTIONS]
    for precision in ("fp32", "int8"):
        for kind, shape, name in shapes:
            path = folder / f"{kind}_{'_'.join(map(str, shape))}_{precision}.onnx"
            product_file(path, shape, int8=precision == "int8")
            n, edge = shape[0], shape[-1]
            size = (n, n) if kind == "matrix" else (batch, n, edge, edge)
            macs = n**3 if kind == "matrix" else batch * edge**2 * n**2 * 9
            x = rng.integers(0, 255, size).astype(np.uint8)
            found[kind, precision, name] = macs, path, x if precision == "int8" else np.float32(x) / 255
    return found


def networks(models: Path, batch: int) -> dict[str, tuple[float, Path, np.ndarray]]:
    """Return precision -> (multiply-accumulates, file, slices) of the shipped network.

    Raises:
        UsageError: the files are not there.
    """
    files = {"fp32": models / "shipped/fp32.onnx", "int8": models / "shipped/int8_1.onnx"}
    if lacking := [str(path) for path in files.values() if not path.is_file()]:
        raise UsageError(f"{' and '.join(lacking)}: no such file; make it with networks.py --prepare")
    macs = batch * sum(group.macs for group in costs(files["fp32"])[1].groups.values())
    images = np.random.default_rng(0).random((batch, 1, 256, 256), np.float32)
    return {precision: (macs, path, images) for precision, path in files.items()}


def onnxruntime_call(path: Path, x: np.ndarray, threads: int, *, keep: bool) -> Callable[[], object]:
    """Return what runs a file in ONNX Runtime with the options of cafrnet's engine."""
    import onnxruntime

    from cafrnet.inference.engines.onnx import _options

    options = _options(threads)
    options.enable_cpu_mem_arena = keep
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda: session.run(None, {name: x})


def openvino_call(path: Path, x: np.ndarray, threads: int, precision: str) -> Callable[[], object]:
    """Return what runs a file in OpenVINO; ``precision`` is what it may compute floats in."""
    import openvino

    options = {"PERFORMANCE_HINT": "LATENCY", "NUM_STREAMS": 1, "INFERENCE_NUM_THREADS": threads}
    options["INFERENCE_PRECISION_HINT"] = "bf16" if precision == "bf16" else "f32"
    core = openvino.Core()
    request = core.compile_model(core.read_model(path), "CPU", options).create_infer_request()
    return lambda: request.infer({0: x})


def engine_work(folder: Path, models: Path, threads: int, batch: int) -> Work:
    """Return products, convolutions and the shipped network in ONNX Runtime and OpenVINO."""
    try:
        import openvino  # noqa: F401

        openvino_there = True
    except ImportError:
        openvino_there = False
        print("OpenVINO is not installed, not measured", file=sys.stderr)
    work: Work = {}
    every = {(*key, "product"): value for key, value in products(folder, batch).items()}
    for precision, one in networks(models, batch).items():
        every["network", precision, "shipped", ""] = one
    for (kind, precision, size, _), (macs, path, x) in every.items():
        for keep in (True, False) if kind == "network" else (True,):
            library = "ONNX Runtime" + ("" if keep else ", memory given back")
            work[kind, library, precision, size] = (macs, onnxruntime_call(path, x, threads, keep=keep))
        for computed in (("fp32", "bf16") if precision == "fp32" else ("int8",)) if openvino_there else ():
            call = openvino_call(path, x, threads, computed)
            work[kind, "OpenVINO", computed, size] = (macs, call)
    return work


def bandwidth(rounds: int) -> float:
    """Return GB/s of a sum of two arrays into a third, far outside the caches (two reads and a write)."""
    import torch

    a, b = torch.rand(STREAM), torch.rand(STREAM)
    c = torch.empty(STREAM)
    seconds = take_turns({"sum": lambda: torch.add(a, b, out=c)}, rounds)["sum"]
    return round(3 * 4 * STREAM / min(seconds) / 1e9, 1)


def rates(work: Work, rounds: int) -> list[dict[str, Any]]:
    """Return a row for each piece of work: its GMACs per second (by the median) and its time."""
    seconds = take_turns({"|".join(key): call for key, (_, call) in work.items()}, rounds)
    rows = []
    for (kind, library, precision, size), (macs, _) in work.items():
        took = summary(seconds["|".join((kind, library, precision, size))])
        rate = round(macs / took["median_ms"] / 1e6, 1)
        rows.append({"kind": kind, "library": library, "precision": precision, "size": size, **took})
        rows[-1] |= {"gmacs": round(macs / 1e9, 3), "gmacs_per_s": rate}
    return rows


def peaks(rows: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return the fastest product of each precision, matrix or convolution, and who made it."""
    found = {}
    for precision in PRECISIONS:
        able = [r for r in rows if r["precision"] == precision and r["kind"] != "network"]
        if able:
            best = max(able, key=lambda r: r["gmacs_per_s"])
            found[precision] = {k: best[k] for k in ("gmacs_per_s", "kind", "library", "size")}
    return found


def losses(times: Times, peak: float) -> dict[str, float]:
    """Return ms of a slice: at the peak, lost within products, and each other kind of work.

    Args:
        times: of one network.
        peak: GMACs per second in its precision.
    """
    ideal = sum(group.macs for group in times.groups.values()) / peak / 1e6
    rest = {kind: ms for kind, ms in times.kinds.items() if kind != "products"}
    return {"at the peak": ideal, "products below the peak": times.kinds["products"] - ideal, **rest}


def layer_rows(times: Times, peak: float, stream: float, width: int) -> list[dict[str, Any]]:
    """Return a row for each group of layers: its cost, its time, and the roof over it.

    Args:
        times: of one network.
        peak: GMACs per second.
        stream: GB per second.
        width: bytes of a number.
    """
    rows = []
    whole = sum(group.ms for group in times.groups.values())
    for name, group in times.groups.items():
        dense = group.macs / (group.elements * width) if group.macs else None
        rate = group.macs / group.ms / 1e6 if group.macs and group.ms else None
        rows.append(
            {
                "layers": name,
                "gmacs": round(group.macs / 1e9, 3),
                "ms": round(group.ms, 3),
                "share_of_time": round(group.ms / whole, 4),
                "macs_per_byte": dense and round(dense, 1),
                "roof_gmacs_per_s": dense and round(min(peak, dense * stream), 1),
                "gmacs_per_s": rate and round(rate, 1),
                "share_of_peak": rate and round(rate / peak, 3),
            }
        )
    return rows


def measure(args: argparse.Namespace) -> dict[str, Any]:
    """Measure everything."""
    models = args.models or args.output / "models"
    networks(models, args.batch)  # refused before anything is measured
    work = torch_work(args.batch)
    work |= engine_work(args.output / "products", models, args.threads, args.batch)
    with torch_threads(args.threads):
        rows, stream = rates(work, args.rounds), bandwidth(args.rounds)
    best = peaks(rows)
    for row in rows:
        row["share_of_peak"] = round(row["gmacs_per_s"] / best[row["precision"]]["gmacs_per_s"], 3)
    profiles = {}
    for precision, name, width in (("fp32", "fp32", 4), ("int8", "int8_1", 1)):
        for keep in (True, False):
            times = layer_times(
                models / "shipped/fp32.onnx",
                models / f"shipped/{name}.onnx",
                batch=args.batch,
                threads=args.threads,
                runs=args.rounds,
                keep=keep,
            )
            peak = best[precision]["gmacs_per_s"]
            lost = {key: round(ms, 3) for key, ms in losses(times, peak).items()}
            layers = layer_rows(times, peak, stream, width)
            key = f"{precision}, memory {'kept' if keep else 'given back'}"
            profiles[key] = {"ms": round(times.ms, 3), "goes": lost, "layers": layers}
    machine = about(
        ("cafrnet", "onnxruntime", "openvino", "torch", "numpy"),
        threads=args.threads,
        batch=args.batch,
        rounds=args.rounds,
    )
    return {"about": machine, "gb_per_s": stream, "peaks": best, "rows": rows, "profiles": profiles}


def page(found: Mapping[str, Any]) -> str:
    """Return the Markdown."""
    rows = found["rows"]
    libraries = [x for x in dict.fromkeys(r["library"] for r in rows) if "given" not in x]
    peak_cells = [
        [kind, library, *(_best(rows, kind, library, precision) for precision in PRECISIONS)]
        for kind in ("matrix", "convolution")
        for library in libraries
    ]
    nets = [
        [
            r["library"],
            r["precision"],
            f"{r['median_ms'] / found['about']['batch']:.1f}",
            f"{r['gmacs_per_s']:.0f}",
            f"{100 * r['share_of_peak']:.0f} %",
        ]
        for r in rows
        if r["kind"] == "network"
    ]
    parts = [
        "### The machine, GMACs per second",
        table(["product", "library", *PRECISIONS], peak_cells),
        f"Memory: {found['gb_per_s']} GB/s.",
        "### The shipped network",
        table(["library", "precision", "ms per slice", "GMACs per s", "of the precision's peak"], nets),
    ]
    kinds = list(dict.fromkeys(kind for p in found["profiles"].values() for kind in p["goes"]))
    cells = [
        [name, f"{p['ms']:.1f}", *(f"{p['goes'].get(kind, 0):.1f}" for kind in kinds)]
        for name, p in found["profiles"].items()
    ]
    parts += ["### Where a slice's ms go, ONNX Runtime", table(["", "all", *kinds], cells)]
    for name, p in found["profiles"].items():
        parts += [f"### Layers, {name}", _layers(p["layers"])]
    a = found["about"]
    parts.append(
        f"{a['threads']} threads, {a['batch']} slices per call, medians of {a['rounds']}; {a['processor']} "
        f"({', '.join(a['instructions'])}), {a['date']}."
    )
    return "\n\n".join(parts) + "\n"


def _best(rows: Sequence[Mapping[str, Any]], kind: str, library: str, precision: str) -> str | None:
    able = [r for r in rows if (r["kind"], r["library"], r["precision"]) == (kind, library, precision)]
    best = max(able, key=lambda r: r["gmacs_per_s"], default=None)
    return f"{best['gmacs_per_s']:.0f} ({best['size']})" if best else None


def _layers(rows: Sequence[Mapping[str, Any]]) -> str:
    head = ["layers", "GMACs", "ms", "of the time", "GMACs per s", "of the peak", "MACs per byte", "roof"]
    cells = [
        [
            r["layers"],
            f"{r['gmacs']:.3f}",
            f"{r['ms']:.2f}",
            f"{100 * r['share_of_time']:.1f} %",
            r["gmacs_per_s"] and f"{r['gmacs_per_s']:.0f}",
            r["share_of_peak"] and f"{100 * r['share_of_peak']:.0f} %",
            r["macs_per_byte"],
            r["roof_gmacs_per_s"] and f"{r['roof_gmacs_per_s']:.0f}",
        ]
        for r in rows
    ]
    return table(head, cells)


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("-o", "--output", required=True, type=Path, metavar="OUT")
    parser.add_argument("--models", type=Path, metavar="DIR")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=15)
    args = parser.parse_args(words)
    try:
        found = measure(args)
    except CAFRNetError as error:
        sys.exit(str(error))
    write_json(args.output / "roofline.json", found)
    write_text(args.output / "roofline.md", page(found))
    print(page(found))


if __name__ == "__main__":
    main()
