"""Fig 1: the architecture as it is built, with the shapes and costs that hooks on the network measured."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from ...learning.models import build_model
from ...learning.recipes import Recipe
from ...learning.training.module import network_for
from .drawing import Drawn, canvas, save
from .trace import Trace, count_text, macs_text, shape_text, trace

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: The parts of a network that is drawn as CAFR-Net; one with others is listed.
PARTS = ("embed", "stages", "taps", "recalibrate", "decoder", "head")
FILL = {
    "io": "#f2f2f2",
    "embed": "#dbe9f6",
    "stages": "#dbe9f6",
    "taps": "#e5f5e0",
    "recalibrate": "#fff2cc",
    "decoder": "#fde0d0",
    "head": "#fde0d0",
    "clr": "#eadcf4",
}
WORDS = {
    "embed": "patch embedding",
    "stages": "transformer stage",
    "taps": "reassemble",
    "recalibrate": "LAFR",
    "decoder": "upsample, conv",
    "head": "1 x 1 conv",
}


@dataclass(frozen=True)
class _Box:
    """A box on the picture: where its centre is, in units of boxes, and what stands in it."""

    x: float
    y: float
    text: str
    fill: str


def draw_recipe(recipe: Recipe, path: Path) -> Drawn:
    """Draw the network of a recipe, on shapes alone (no weights are made)."""
    with torch.device("meta"):
        network = network_for(recipe)
    size = recipe.preprocessing.size
    return draw_trace(recipe.model, trace(network, (1, 1, size, size)), path)


def draw_model(name: str, path: Path, size: int = 256) -> Drawn:
    """Draw a registered network."""
    with torch.device("meta"):
        network = build_model(name)
    return draw_trace(name, trace(network, (1, 1, size, size)), path)


def draw_trace(name: str, traced: Trace, path: Path) -> Drawn:
    """Draw what a trace found: CAFR-Net as the paper's Fig 1, any other network as the list of its blocks."""
    parts = {block.name.partition(".")[0] for block in traced.blocks}
    drawn = _figure_1(traced) if parts == set(PARTS) else _list(traced)
    parameters = sum(block.parameters for block in traced.blocks)
    caption = (
        f"{name} at {shape_text(traced.shape)}: {traced.macs / 1e9:.3f} GMACs (multiply-accumulates) and "
        f"{parameters / 1e6:.2f} M parameters in inference, measured by hooks on the network itself (the "
        f"blocks drawn: {sum(b.macs for b in traced.blocks) / 1e9:.3f} GMACs). Shapes are channels x rows x "
        "columns; the second figure of a box counts its parameters."
    )
    return save(drawn, path, caption)


# -- CAFR-Net ----------------------------------------------------------------------------------------------


def _figure_1(traced: Trace):
    figure = canvas(12, 9)
    top, bottom = figure.subfigures(2, 1, height_ratios=[2.6, 1], squeeze=False).flat
    _overview(top.subplots(), traced)
    left, right = bottom.subplots(1, 2)
    _lafr(left, traced)
    _clr(right, traced)
    return figure


def _overview(axes: Axes, traced: Trace) -> None:
    stages = [b.name for b in traced.blocks if b.name.startswith("stages.")]
    steps = [b.name for b in traced.blocks if b.name.startswith("decoder.")]
    n = len(stages)
    boxes = {"image": _Box(0, 3, f"image\n{shape_text(traced.shape)}", FILL["io"])}
    boxes["embed"] = _block_box(traced, "embed", 1, 3)
    arrows = [("image", "embed"), ("embed", stages[0])]
    for k in range(n):
        for row, part in enumerate(("stages", "taps", "recalibrate")):
            boxes[f"{part}.{k}"] = _block_box(traced, f"{part}.{k}", 2 + k, 3 - row)
        arrows += [(f"stages.{k}", f"taps.{k}"), (f"taps.{k}", f"recalibrate.{k}")]
        arrows += [(f"stages.{k}", f"stages.{k + 1}")] if k + 1 < n else []
    before = f"recalibrate.{n - 1}"
    for k, name in enumerate(steps):
        boxes[name] = _block_box(traced, name, n - k, 0)
        arrows.append((before, name))
        if k < n - 1:
            boxes[name] = replace(boxes[name], text=boxes[name].text.replace("sample, ", "sample, join, "))
            arrows.append((f"recalibrate.{n - 2 - k}", name))
        before = name
    boxes["head"] = _block_box(traced, "head", n - len(steps), 0)
    arrows.append((before, "head"))
    _draw(axes, boxes, arrows)
    axes.set_title("(a) overview: encoder above, taps, LAFR, decoder below", fontsize=10, loc="left")


def _block_box(traced: Trace, name: str, x: float, y: float) -> _Box:
    block, part = traced[name], name.partition(".")[0]
    number = name.partition(".")[2]
    words = WORDS[part] if part != "recalibrate" or block.kind == "LAFR" else "no LAFR"
    title = f"{words} {int(number) + 1}" if number else words
    text = f"{title}\n{shape_text(block.shape)}\n{macs_text(block.macs)}, {count_text(block.parameters)}"
    return _Box(x, y, text, FILL[part])


def _lafr(axes: Axes, traced: Trace) -> None:
    axes.set_title("(b) LAFR (Eq. 5-8) on the finest tap", fontsize=10, loc="left")
    block = traced["recalibrate.0"]
    if block.kind != "LAFR":
        axes.set_axis_off()
        axes.text(0.5, 0.5, "switched off", ha="center")
        return
    shape = shape_text(block.shape)
    point, depth = (traced.macs_of[f"recalibrate.0.{name}"] for name in ("pointwise", "depthwise"))
    texts = {
        "F": (0, 0, f"F\n{shape}"),
        "pointwise": (1.05, 0, f"1 x 1 conv\n{macs_text(point)}"),
        "depthwise": (2.1, 0, f"3 x 3 depthwise\n{macs_text(depth)}"),
        "A": (3.15, 0, f"A = sigmoid\n{shape}"),
        "out": (3.15, -0.75, "F + F * A"),
    }
    boxes = {k: _Box(x, y, t, FILL["recalibrate" if k != "F" else "taps"]) for k, (x, y, t) in texts.items()}
    _draw(
        axes,
        boxes,
        [("F", "pointwise"), ("pointwise", "depthwise"), ("depthwise", "A"), ("A", "out"), ("F", "out")],
    )


def _clr(axes: Axes, traced: Trace) -> None:
    axes.set_title("(c) CLR (Eq. 9, 13): in training only", fontsize=10, loc="left")
    if not traced.embeddings:
        axes.set_axis_off()
        axes.text(0.5, 0.5, "switched off", ha="center")
        return
    boxes, arrows = {}, []
    for k, (name, shape) in enumerate(traced.embeddings.items()):
        boxes[name] = _Box(0, -0.6 * k, f"map {name}\n{shape_text(shape)}", FILL["clr"])
        arrows.append((name, "cells"))
    middle = -0.3 * (len(traced.embeddings) - 1)
    boxes["cells"] = _Box(1.15, middle, "cells of each class,\nMLP, unit length", FILL["clr"])
    boxes["loss"] = _Box(2.3, middle, "InfoNCE:\nsame class near,\nothers far", FILL["clr"])
    _draw(axes, boxes, [*arrows, ("cells", "loss")])


def _draw(axes: Axes, boxes: dict[str, _Box], arrows: list[tuple[str, str]]) -> None:
    """Draw boxes, and arrows from box to box."""
    axes.set_axis_off()
    patches = {}
    for name, box in boxes.items():
        style = {"boxstyle": "round,pad=0.45", "facecolor": box.fill, "edgecolor": "#777777"}
        text = axes.text(box.x, box.y, box.text, ha="center", va="center", fontsize=8, bbox=style)
        patches[name] = text.get_bbox_patch()
    for first, second in arrows:
        tip, tail = ((boxes[name].x, boxes[name].y) for name in (second, first))
        line: dict[str, Any] = {"arrowstyle": "-|>", "color": "#555555", "shrinkA": 0, "shrinkB": 0}
        line |= {"patchA": patches[first], "patchB": patches[second]}
        axes.annotate("", tip, tail, arrowprops=line)
    xs, ys = [b.x for b in boxes.values()], [b.y for b in boxes.values()]
    axes.set_xlim(min(xs) - 0.55, max(xs) + 0.55)
    axes.set_ylim(min(ys) - 0.45, max(ys) + 0.45)


# -- any other network -------------------------------------------------------------------------------------


def _list(traced: Trace):
    """Draw one bar of MACs per block, in the order of the calls."""
    n = len(traced.blocks)
    figure = canvas(8, 1 + 0.28 * n)
    axes = figure.subplots()
    axes.barh(range(n), [b.macs / 1e9 for b in traced.blocks], color="#0072b2")
    axes.set_yticks(
        range(n), [f"{b.name} ({b.kind}): {shape_text(b.shape)}" for b in traced.blocks], fontsize=7
    )
    axes.invert_yaxis()
    axes.set_xlabel("GMACs of each block, in the order of the calls")
    return figure
