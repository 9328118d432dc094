"""Names of networks, and any network by its import path. The only place that compares model names."""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from ...errors import UsageError, nearest
from ..types import Output
from .attention_unet import AttentionUNet
from .cafr_net import CAFRNet
from .cafr_net_plus import CAFRNetPlus
from .cost import count_macs, count_parameters
from .nnunet import NNUNet
from .swin_unet import SwinUNet
from .transunet import TransUNet
from .unet import UNet
from .unetr_pp import UNETRPP


@dataclass(frozen=True)
class Entry:
    """A registered network.

    Attributes:
        factory: class; it takes ``in_channels`` and ``num_classes`` besides its own arguments.
        table_3: GMACs that the paper prints ("FLOPs", which are multiply-accumulates); None for a network
            that is not in its table.
        args: arguments that make this size; a caller's own come on top.
    """

    factory: Callable[..., nn.Module]
    table_3: float | None
    args: Mapping[str, Any] = field(default_factory=dict)


#: Published sizes. Where they miss Table 3's cost, ``_paper`` is a size near that figure, by these rules:
#: TransUNet with convolutions half as wide and the transformer as wide as twelve heads allow, Swin-Unet with
#: narrower MLPs, UNETR++ twice as wide with two blocks per stage instead of three.
REGISTRY: Mapping[str, Entry] = {
    "unet": Entry(UNet, 12.11),
    "attention_unet": Entry(AttentionUNet, 12.37),
    "nnunet": Entry(NNUNet, 12.14),
    "transunet": Entry(TransUNet, 11.66),
    "transunet_paper": Entry(
        TransUNet,
        11.66,
        {"base": 32, "width": 432, "heads": 12, "bridge": 256, "decoder_channels": (128, 64, 32, 8)},
    ),
    "swin_unet": Entry(SwinUNet, 7.36),
    "swin_unet_paper": Entry(SwinUNet, 7.36, {"ratio": 3.25}),
    "unetr_pp": Entry(UNETRPP, 8.36),
    "unetr_pp_paper": Entry(UNETRPP, 8.36, {"widths": (64, 128, 256, 512), "depth": 2}),
    "cafr_net": Entry(CAFRNet, 5.12),
    "cafr_net_plus": Entry(CAFRNetPlus, None),
}

#: What the arguments "input channels" and "output classes" are called in other libraries.
_IN_NAMES = ("in_channels", "in_chans", "input_channels")
_OUT_NAMES = ("num_classes", "out_channels", "out_chans", "classes")


def build_model(
    name: str,
    *,
    in_channels: int = 1,
    num_classes: int = 20,
    clr: bool | None = None,
    args: Mapping[str, Any] | None = None,
) -> nn.Module:
    """Build a network by its registered name or by the import path of its class.

    Args:
        name: ``"cafr_net"``, or for example ``"monai.networks.nets.BasicUNetPlusPlus"``.
        in_channels, num_classes: handed over under whatever name the class has for them.
        clr: whether feature maps for CLR are wanted; goes to classes that have such a switch.
        args: further arguments of the class. A two-dimensional network is asked for by
            ``spatial_dims=2`` where the class has such an argument.

    Raises:
        UsageError: unknown name (the nearest is named), or arguments that the class refuses.
    """
    entry = REGISTRY.get(name)
    factory = entry.factory if entry else _import(name)
    accepted = inspect.signature(factory).parameters
    arguments = {**(entry.args if entry else {}), **(args or {})}
    for value, names in ((in_channels, _IN_NAMES), (num_classes, _OUT_NAMES)):
        for argument in names:
            if argument in accepted:
                arguments.setdefault(argument, value)
                break
    if clr is not None and "clr" in accepted:
        arguments["clr"] = clr
    if "spatial_dims" in accepted:
        arguments.setdefault("spatial_dims", 2)
    for argument in arguments:
        takes_any = any(p.kind is p.VAR_KEYWORD for p in accepted.values())
        if argument not in accepted and not takes_any:
            raise UsageError(f"model {name} has no argument {argument!r}{nearest(argument, accepted)}")
    try:
        return factory(**arguments)
    except (TypeError, ValueError) as error:
        raise UsageError(f"model {name} refused its arguments {arguments}: {error}") from error


def _import(path: str) -> Callable[..., nn.Module]:
    module, _, attribute = path.rpartition(".")
    if not module:
        raise UsageError(
            f"no model {path!r}{nearest(path, REGISTRY)}. Any other network goes by its import path, "
            "for example monai.networks.nets.BasicUNetPlusPlus"
        )
    try:
        return getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise UsageError(f"model {path!r} could not be imported: {error}") from error


def normal_output(raw: Any) -> Output:
    """Turn what a network returned into :class:`Output`.

    A tensor is taken as logits; of a list (deep supervision) the first, full-resolution one counts.

    Raises:
        UsageError: neither.
    """
    if isinstance(raw, Output):
        return raw
    if isinstance(raw, torch.Tensor):
        return Output(raw, {})
    if isinstance(raw, Sequence) and raw and isinstance(raw[0], torch.Tensor):
        return Output(raw[0], {})
    raise UsageError(f"the model returned {type(raw).__name__}; a tensor of logits or an Output was expected")


def list_models() -> list[dict[str, Any]]:
    """Return name, parameters and cost of every registered model, and the paper's figure beside it.

    GMACs are those of 256 x 256 x 1 with 20 outputs, CLR off. Counted on shapes alone, without any weights.
    """
    rows = []
    for name, entry in REGISTRY.items():
        with torch.device("meta"):
            model = build_model(name)
        rows.append(
            {
                "name": name,
                "params": count_parameters(model),
                "gmacs": round(count_macs(model, (1, 1, 256, 256)) / 1e9, 4),
                "table_3_gmacs": entry.table_3,
                "source": (inspect.getdoc(sys.modules[entry.factory.__module__]) or "").splitlines()[0],
            }
        )
    return rows
