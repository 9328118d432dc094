"""Where a network's time goes in ONNX Runtime, group of layers by group, beside what the groups cost.

Time comes from ONNX Runtime's profiler; multiply-accumulates and bytes from the shapes in the exported file.
The profiler names what was fused after one of its parts, so every node is traced back to its module by name.
"""

from __future__ import annotations

import ast
import json
import re
import statistics
import tempfile
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

#: Kinds of operators; what is in none is "other".
KINDS = {
    "products": ("Conv", "ConvTranspose", "MatMul", "Gemm", "Attention"),
    "layout": ("Reorder", "Transpose"),
    "joining": ("Concat", "Split", "Slice"),
    "upsampling": ("Resize", "Upsample"),
    "softmax": ("Softmax",),
    "to and from int8": ("QuantizeLinear", "DequantizeLinear"),
}
#: Modules whose children are told apart, one by one.
APART = ("pyramid.steps", "decoder", "refine")
#: Nodes that optimisers name anew.
RENAMED = "made by the engine"


@dataclass
class Group:
    """Layers of one module.

    Attributes:
        macs: multiply-accumulates of one slice.
        elements: numbers that its products read and write for one slice, weights included.
        ms: of one slice.
    """

    macs: float = 0.0
    elements: float = 0.0
    ms: float = 0.0


@dataclass
class Times:
    """What :func:`layer_times` found: groups by module, and ms of one slice by kind of operator."""

    groups: dict[str, Group] = field(default_factory=lambda: defaultdict(Group))
    kinds: dict[str, float] = field(default_factory=lambda: defaultdict(float))

    @property
    def ms(self) -> float:
        """Return the time of one slice in all nodes."""
        return sum(self.kinds.values())


def layer_times(source: Path, model: Path, *, batch: int, threads: int, runs: int, keep: bool) -> Times:
    """Profile a model.

    Args:
        source: the fp32 file, whose nodes know their modules.
        model: the same, or its int8 form.
        batch: slices per call.
        threads: of ONNX Runtime.
        runs: calls that count; each node's median is taken. Two more warm up.
        keep: whether the engine keeps freed memory (its arena).

    Returns:
        Times and costs, all for one slice.
    """
    modules, found = costs(source)
    medians = _profile(model, batch, threads, runs, keep)
    for (name, operator), us in medians.items():
        ms = us / 1e3 / batch
        found.groups[_module(name, modules) or RENAMED].ms += ms
        found.kinds[kind_of(operator)] += ms
    return found


def kind_of(operator: str) -> str:
    """Return the kind of an operator by its name in ONNX Runtime ("QLinearConv" is a product)."""
    return next((k for k, words in KINDS.items() if any(word in operator for word in words)), "other")


def costs(source: Path) -> tuple[dict[str, str], Times]:
    """Return the module of each name in a file, and multiply-accumulates and elements of each module."""
    import onnx

    proto = onnx.load(source)
    proto.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
    del proto.graph.value_info[:]
    graph = onnx.shape_inference.infer_shapes(proto, data_prop=True).graph
    shapes = {t.name: tuple(t.dims) for t in graph.initializer}
    for info in (*graph.input, *graph.output, *graph.value_info):
        shapes[info.name] = tuple(d.dim_value for d in info.type.tensor_type.shape.dim)
    modules, found = dict[str, str](), Times()
    for node in graph.node:
        module = _group(node)
        modules |= dict.fromkeys([node.name, *node.output], module)
        macs = macs_of(node, shapes)
        if macs:
            found.groups[module].macs += macs
            ends = (*node.input[:2], node.output[0])
            found.groups[module].elements += sum(float(np.prod(shapes[name])) for name in ends)
    return modules, found


def macs_of(node: Any, shapes: dict[str, tuple[int, ...]]) -> float:
    """Return the multiply-accumulates of a node, 0 for what is no product."""
    if node.op_type == "Conv":
        weight = shapes[node.input[1]]
        return float(np.prod(shapes[node.output[0]]) * np.prod(weight[1:]))
    if node.op_type == "ConvTranspose":
        weight = shapes[node.input[1]]
        return float(np.prod(shapes[node.input[0]]) * np.prod(weight[1:]))
    if node.op_type in ("MatMul", "Gemm"):
        return float(np.prod(shapes[node.output[0]]) * shapes[node.input[0]][-1])
    return 0.0


def _group(node: Any) -> str:
    """Return the module that a node belongs to, as far down as the tables tell modules apart."""
    props = {p.key: p.value for p in node.metadata_props}
    scopes = ast.literal_eval(props.get("pkg.torch.onnx.name_scopes", "[]"))
    paths = [s.removeprefix("segmenter.network.") for s in scopes if s.startswith("segmenter.network.")]
    if not paths:
        return "head"  # the bias of the classes, outside the network
    path = max(paths, key=len)
    for parent in APART:
        if found := re.match(rf"{re.escape(parent)}\.\d+", path):
            return found[0]
    return path.partition(".")[0]


def _module(name: str, modules: dict[str, str]) -> str | None:
    """Return the module of a profiled node: that of the longest known name which its own begins with."""
    known = [n for n in modules if n and (name == n or name.startswith((f"{n}_", f"{n}/")))]
    return modules[max(known, key=len)] if known else None


def _profile(model: Path, batch: int, threads: int, runs: int, keep: bool) -> dict[tuple[str, str], float]:
    """Return (node, operator) -> median µs of a call."""
    import onnxruntime

    from cafrnet.inference.engines.onnx import _options

    with tempfile.TemporaryDirectory() as folder:
        options = _options(threads)
        options.enable_cpu_mem_arena = keep
        options.enable_profiling = True
        options.profile_file_prefix = f"{folder}/profile"
        session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        (side,) = session.get_inputs()
        edges = [n if isinstance(n, int) else 256 for n in side.shape[2:]]
        images = np.random.default_rng(0).random((batch, 1, *edges), np.float32)
        for _ in range(2 + runs):
            session.run(None, {side.name: images})
        events = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
    times = defaultdict(list)
    for event in events:
        if event.get("cat") == "Node" and event["name"].endswith("_kernel_time"):
            name = event["name"].removesuffix("_kernel_time")
            times[name, event["args"]["op_name"]].append(event["dur"])
    return {key: statistics.median(values[2:]) for key, values in times.items()}
