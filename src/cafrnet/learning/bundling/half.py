"""Weights stored in half the bytes: fp16 in the file, fp32 in every computation.

Each large weight keeps its name and becomes fp16; a ``Cast`` behind it gives fp32 back. Engines do that
once, when they load the file, so that a slice costs what it did.
"""

from __future__ import annotations

from typing import Any

import numpy as np

#: Smaller tensors (biases, norms, running statistics) stay fp32: they weigh nothing and matter most.
SMALLEST = 1024


def store_half(proto: Any) -> list[str]:
    """Store the large weights of an ONNX model as fp16, in place.

    Args:
        proto: ``onnx.ModelProto`` whose computation is fp32.

    Returns:
        The names that are now fp16. A weight with a value beyond fp16's range (65504) stays fp32.
    """
    from onnx import TensorProto, helper, numpy_helper

    halved, casts = [], []
    for tensor in proto.graph.initializer:
        values = numpy_helper.to_array(tensor) if tensor.data_type == TensorProto.FLOAT else None
        if values is None or values.ndim < 2 or values.size < SMALLEST or not _fits(values):
            continue
        tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float16), tensor.name))
        halved.append(tensor.name)
        casts.append(helper.make_node("Cast", [tensor.name], [_full(tensor.name)], to=TensorProto.FLOAT))
    for node in proto.graph.node:
        for k, name in enumerate(node.input):
            if name in halved:
                node.input[k] = _full(name)
    nodes = [*casts, *proto.graph.node]
    copies = [type(node).FromString(node.SerializeToString()) for node in nodes]
    del proto.graph.node[:]
    proto.graph.node.extend(copies)
    del proto.graph.value_info[:]  # shapes of intermediate results, of use to nobody at run time
    return halved


def _fits(values: np.ndarray) -> bool:
    return bool(np.abs(values).max() <= np.finfo(np.float16).max)


def _full(name: str) -> str:
    return f"{name}/fp32"
