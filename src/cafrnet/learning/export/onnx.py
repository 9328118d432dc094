"""From weights to ``model.onnx``, the only thing that the runtime knows."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ...errors import CAFRNetError
from ...files import whole_file
from .mask import drop_mask

#: Largest difference of a logit between the network and its export that counts as agreement.
TOLERANCE = 2e-3
#: Key of what the exporter says about where in the code a node comes from.
STACK_TRACE = "pkg.torch.onnx.stack_trace"


class _LogitsOnly(nn.Module):
    """A segmenter that returns its logits alone."""

    def __init__(self, segmenter: nn.Module) -> None:
        super().__init__()
        self.segmenter = segmenter

    def forward(self, image: Tensor) -> Tensor:
        """Return [B, C, H, W]."""
        return self.segmenter(image).logits


def export_onnx(
    segmenter: nn.Module, size: int, path: Path, metadata: dict[str, Any], *, fold: bool = True
) -> None:
    """Write a network as ONNX with a free batch size, and check it against the network.

    Its logits leave it unmasked (see :func:`.drop_mask`): who uses them needs the metadata's ``trained``.

    Args:
        segmenter: in any mode; image [B, 1, size, size] -> :class:`Output`.
        size: edge of the model grid.
        path: of ``model.onnx``.
        metadata: written into the file, values as JSON.
        fold: work out beforehand what is constant. Without it every weight keeps its name and shape, so that
            the file can be loaded back into the network (a bundle needs that); engines fold it themselves.

    Raises:
        CAFRNetError: the file's logits or labels differ from the network's; nothing is written then.
    """
    import onnx

    was_training = segmenter.training
    model = _LogitsOnly(segmenter.eval().cpu().float())
    example = torch.rand(2, 1, size, size, generator=torch.Generator().manual_seed(0))
    with whole_file(path) as temporary:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            torch.onnx.export(
                model,
                (example,),
                temporary,
                input_names=["image"],
                output_names=["logits"],
                dynamic_shapes={"image": {0: torch.export.Dim("batch", min=1, max=4096)}},
                opset_version=18,
                external_data=False,
                verbose=False,
                optimize=fold,
            )
        proto = onnx.load(temporary)
        drop_mask(proto)
        _forget_places(proto)
        for key, value in metadata.items():
            entry = proto.metadata_props.add()
            entry.key, entry.value = f"cafrnet.{key}", json.dumps(value)
        onnx.save(proto, temporary)
        _check(model, temporary, size)
    segmenter.train(was_training)


def _forget_places(proto: Any) -> None:
    """Remove the stack traces that the exporter leaves with each node: they name folders of this machine."""
    for node in proto.graph.node:
        kept = [(p.key, p.value) for p in node.metadata_props if p.key != STACK_TRACE]
        del node.metadata_props[:]
        for key, value in kept:
            node.metadata_props.add(key=key, value=value)


def _check(model: nn.Module, path: Path, size: int) -> None:
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    image = torch.rand(3, 1, size, size, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        ours = model(image).numpy()
    theirs = session.run(None, {"image": image.numpy()})[0]
    counted = ours > -9e3  # the network masks what was not trained, the file doesn't
    difference = float(np.abs(ours - theirs)[counted].max(initial=0))
    if not (counted.any() and difference <= TOLERANCE * max(1.0, float(np.abs(ours[counted]).max()))):
        raise CAFRNetError(
            f"the exported model differs from its source by {difference:.2g} in a logit; not written"
        )
