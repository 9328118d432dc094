"""int8 by static quantisation: ranges from slices, weights per channel, in the QDQ form that engines fuse.

A network loses accuracy in few places. So there are several plans, the fastest first; the first one that
keeps the accuracy that :mod:`.check` asks for is taken.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

#: Products: where the time goes.
PRODUCTS = ("Conv", "ConvTranspose", "Gemm", "MatMul")
#: What moves numbers without changing them, so that it needs no ranges of its own.
MOVES = (
    *("Concat", "DepthToSpace", "MaxPool", "Relu", "Reshape", "Resize", "Slice", "Split", "Squeeze"),
    *("Transpose", "Unsqueeze"),
)
#: Sums and gates. The softmax of attention is in no plan: it loses most by far (docs/export.md).
SUMS = ("Add", "Mul", "Sigmoid")


@dataclass(frozen=True)
class Plan:
    """What becomes int8.

    Attributes:
        name: for the record.
        operators: kinds of nodes.
        first, last: whether the layer at the image and the one at the logits are among them.
    """

    name: str
    operators: tuple[str, ...]
    first: bool = True
    last: bool = True


#: In the order in which they are tried: each is slower than the one before, and closer to the source.
PLANS = (
    Plan("products, moves and sums", (*PRODUCTS, *MOVES, *SUMS)),
    Plan("products and moves", (*PRODUCTS, *MOVES)),
    Plan("products and moves, without the last layer", (*PRODUCTS, *MOVES), last=False),
    Plan("products, without the first and the last layer", PRODUCTS, first=False, last=False),
)


def quantise(source: Path, target: Path, slices: np.ndarray, plan: Plan) -> None:
    """Write an ONNX model with int8 weights and activations.

    Args:
        source: fp32 model.
        target: the int8 one; metadata is kept.
        slices: [n, 1, y, x] to take the ranges of activations from.
        plan: what becomes int8.

    Activations are unsigned and weights signed, with a scale per channel: the form that x86 processors with
    VNNI multiply at full speed (signed activations ran at half of it). Ranges are minimum and maximum.
    """
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static

    with _quiet():
        quantize_static(
            source,
            target,
            _Slices(slices, _input(source)),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=list(plan.operators),
            nodes_to_exclude=_edges(source, plan),
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )
    _carry_metadata(source, target)


class _Slices:
    """Calibration data, one slice at a time, as onnxruntime asks for it."""

    def __init__(self, slices: np.ndarray, name: str) -> None:
        self._rest, self._name = iter(slices), name

    def get_next(self) -> dict[str, np.ndarray] | None:
        one = next(self._rest, None)
        return None if one is None else {self._name: one[None]}

    def __iter__(self) -> Iterator[dict[str, np.ndarray]]:
        while (one := self.get_next()) is not None:
            yield one


def _input(path: Path) -> str:
    import onnx

    return str(onnx.load(path, load_external_data=False).graph.input[0].name)


def _edges(path: Path, plan: Plan) -> list[str]:
    """Return the names of the nodes that a plan leaves out: the first and the last product."""
    import onnx

    graph = onnx.load(path).graph
    products = [node for node in graph.node if node.op_type in PRODUCTS]
    left_out = []
    if not plan.first:
        left_out += [node.name for node in products if graph.input[0].name in node.input]
    if not plan.last:
        left_out.append(_last_product(graph).name)
    return left_out


def _last_product(graph: Any) -> Any:
    """Return the product nearest to the logits, walking back along first inputs."""
    makers = {name: node for node in graph.node for name in node.output}
    node = makers[graph.output[0].name]
    while node.op_type not in PRODUCTS:
        node = next(makers[name] for name in node.input if name in makers)
    return node


def _carry_metadata(source: Path, target: Path) -> None:
    import onnx

    proto, before = onnx.load(target), onnx.load(source, load_external_data=False)
    have = {entry.key for entry in proto.metadata_props}
    proto.metadata_props.extend(e for e in before.metadata_props if e.key not in have)
    onnx.save(proto, target)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the quantiser's advice about pre-processing off stderr: the exporter has folded constants."""
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.ERROR)
    try:
        yield
    finally:
        root.setLevel(level)
