"""The paper's Fig 3: training and validation Dice over the epochs, and the losses below."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ...files import whole_file


def plot_curves(rows: list[dict[str, Any]], path: Path) -> None:
    """Draw a journal.

    Args:
        rows: as :func:`read_journal` gives them.
        path: of the PNG.
    """
    from matplotlib.figure import Figure

    def series(name: str) -> tuple[list[int], list[float]]:
        kept = [(int(r["epoch"]) + 1, float(r[name])) for r in rows if r.get(name)]
        return [e for e, _ in kept], [v for _, v in kept]

    figure = Figure(figsize=(7, 6), layout="constrained")
    top, bottom = figure.subplots(2, 1, sharex=True)
    for name, label, colour in (
        ("train_dice", "training", "tab:blue"),
        ("val_dice", "validation", "tab:orange"),
    ):
        top.plot(*series(name), color=colour, label=label)
    top.set(ylabel="Dice", ylim=(0, 1))
    top.set_title("training: augmented slices, class mean; validation: whole cases in 3D", fontsize=9)
    top.legend()
    for name in ("loss_dice", "loss_ce", "loss_clr"):
        if series(name)[0]:
            bottom.plot(*series(name), label=name.removeprefix("loss_"))
    bottom.set(xlabel="epoch", ylabel="loss", yscale="log")
    bottom.legend()
    with whole_file(path) as temporary:
        figure.savefig(temporary, dpi=120, format="png")
