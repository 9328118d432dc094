"""The learning curve: the score against the number of training cases."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ...errors import UsageError
from ..probes.tables import read_csv
from .drawing import Drawn, canvas, colour_of, save


def learning_curve(table: Path, path: Path) -> Drawn:
    """Draw DSC against the number of training cases, with intervals over cases.

    Args:
        table: ``learning_curve.csv``.
        path: of the PNG.

    Raises:
        UsageError: an empty table. InputError: it can't be read.
    """
    lines = read_csv(table, ("row", "train_cases", "dsc", "low", "high", "cases"))
    known = [line for line in lines if line["dsc"] is not None]
    if not known:
        raise UsageError(f"{table} holds no score; train the sizes first")
    figure = canvas(5, 3.5)
    axes = figure.subplots()
    by_row: dict[str, list[Mapping[str, float]]] = {}
    for line in known:
        by_row.setdefault(line["row"], []).append(line)
    for k, (row, own) in enumerate(by_row.items()):
        own.sort(key=lambda x: x["train_cases"])
        axes.plot(
            [x["train_cases"] for x in own],
            [100 * x["dsc"] for x in own],
            color=colour_of(k),
            marker="o",
            label=row,
        )
        sure = [x for x in own if x["low"] is not None]
        at = [x["train_cases"] for x in sure]
        low, high = ([100 * x[side] for x in sure] for side in ("low", "high"))
        axes.fill_between(at, low, high, color=colour_of(k), alpha=0.15)
    sizes = sorted({int(line["train_cases"]) for line in known})
    axes.set_xscale("log")
    axes.set_xticks(sizes, [str(s) for s in sizes])
    axes.minorticks_off()
    axes.set(xlabel="training cases (nested subsets)", ylabel="DSC in %")
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    cases = " or ".join(str(n) for n in sorted({int(line["cases"]) for line in known}))
    text = (
        "DSC against the number of training cases: each subset holds the smaller ones, all were trained for "
        f"the same number of steps. Mean over {cases} test cases; shaded: 95 % bootstrap interval over cases."
    )
    return save(figure, path, text)
