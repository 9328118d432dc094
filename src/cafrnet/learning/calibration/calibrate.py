"""Calibrate a model: what it may be trusted with, from cases that it was not trained on."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ...datasets import Case
from ...errors import UsageError
from ...files import whole_file, write_json, write_text
from ...inference import Model
from ...inference.calibration import Calibration
from ...phantom import SMALL, make_phantom
from .fit import passes, predicted_dice_error, thresholds, with_fit
from .temperature import Reliability, fit_temperatures, reliability
from .trials import Trial, draw_voxels, try_cases, try_phantoms

#: Phantoms of every contrast, as they come.
PHANTOM = replace(SMALL, contrast="random")


@dataclass(frozen=True)
class Budget:
    """How much is tried.

    Attributes:
        crops: of each validation case.
        degraded: of each validation case.
        phantoms: for the known ranges; only for a model that has learnt from phantoms.
        voxels: of each validation case, for the temperatures.
    """

    crops: int = 20
    degraded: int = 6
    phantoms: int = 0
    voxels: int = 60_000


@dataclass(frozen=True)
class Report:
    """What was fitted, and on what.

    Attributes:
        calibration: to be stored with the model.
        before, after: reliability of voxel probabilities.
        trials: of validation cases, judged with the calibration.
        summary: numbers for the reader, ready for JSON.
    """

    calibration: Calibration
    before: Reliability
    after: Reliability
    trials: tuple[Trial, ...]
    summary: dict[str, Any]


def calibrate(
    model: Model,
    validation: Sequence[Case],
    training: Sequence[Case],
    *,
    seed: int = 0,
    budget: Budget | None = None,
    about: dict[str, Any] | None = None,
    progress: Callable[[str], None] | None = None,
) -> Report:
    """Fit temperatures, Dice line, known ranges and thresholds.

    Args:
        model: loaded; of a calibration that it has only the offsets are used, and kept.
        validation: labelled cases that the model was not trained on.
        training: cases that it was trained on; for the ranges of scan and column only.
        seed: of crops, degradations, phantoms and the voxels that are drawn.
        budget: how much is tried.
        about: what the calibration says about its data, beside the seed.
        progress: called with a line of text now and then.

    Raises:
        UsageError: no validation case. InputError: a case can't be used.
    """
    budget, tell = budget or Budget(), progress or (lambda text: None)
    if not validation:
        raise UsageError("no validation case came; a model is calibrated on cases that it was not trained on")
    streams = [np.random.default_rng(s) for s in np.random.SeedSequence(seed).spawn(4)]
    offsets = model.calibration.offsets if model.calibration else {}
    plain = replace(model, calibration=Calibration(offsets=offsets))
    tell(f"voxel probabilities of {len(validation)} validation cases")
    logits, allowed = draw_voxels(plain, validation, streams[0], budget.voxels)
    heat = fit_temperatures(logits, allowed)
    start = Calibration(heat.names, heat.kinds, offsets=offsets)
    asked = replace(model, calibration=start)
    tell(f"{len(validation)} validation cases as they are, cropped and degraded")
    trials = list(try_cases(asked, validation, streams[1], crops=budget.crops, degraded=budget.degraded))
    tell(f"{len(training)} training cases and {budget.phantoms} phantoms")
    known = list(try_cases(asked, training, streams[2], crops=1))
    drawn = [make_phantom(streams[3], PHANTOM) for _ in range(budget.phantoms)]
    known += try_phantoms(asked, drawn)
    fitted = with_fit(start, trials, known)
    fitted = replace(fitted, thresholds=thresholds([t for t in trials if t.variant != "degraded"], fitted))
    before, after = reliability(logits, allowed), reliability(logits, allowed, heat.names, heat.kinds)
    judged = tuple(t.judged_with(fitted) for t in trials)
    summary = _summary(judged, heat.nll, heat.single, before, after)
    said = {**(about or {}), "seed": seed, "validation": [c.id for c in validation], **summary}
    return Report(replace(fitted, fitted_on=said), before, after, judged, said)


def _summary(
    trials: Sequence[Trial], nll: dict[str, float], single: float, before: Reliability, after: Reliability
) -> dict[str, Any]:
    kinds = ("as it is", "cropped", "degraded")
    parts = {kind: [t for t in trials if t.variant == kind] for kind in kinds}
    return {
        "ece": {"before": round(before.ece, 4), "after": round(after.ece, 4)},
        "nll": {k: round(v, 4) for k, v in nll.items()},
        "single_temperature": single,
        "predicted_dice": {kind: predicted_dice_error(some) for kind, some in parts.items() if some},
        "triage": {kind: passes(some) for kind, some in parts.items() if some},
    }


def write_report(report: Report, folder: Path) -> None:
    """Write ``calibration.json``, ``reliability.csv``, ``reliability.png``, ``trials.csv``.

    Raises:
        InputError: a file could not be written.
    """
    write_json(folder / "calibration.json", report.calibration.to_dict())
    rows: list[list[object]] = [
        ["bin", "voxels", "confidence", "accuracy", "confidence_before", "accuracy_before"]
    ]
    for k, count in enumerate(report.after.count):
        pair = [r for one in (report.after, report.before) for r in (one.confidence[k], one.accuracy[k])]
        rows.append([k, int(count), *(round(float(v), 4) for v in pair)])
    write_text(folder / "reliability.csv", _csv(rows))
    write_text(folder / "trials.csv", _csv(_trial_rows(report.trials)))
    _draw(report, folder / "reliability.png")


def _trial_rows(trials: Sequence[Trial]) -> list[list[object]]:
    rows: list[list[object]] = [
        ["case", "variant", "visible", "wrong", "triage", "sureness", "predicted_dice", "dice", "reasons"]
    ]
    for t in trials:
        means = [float(np.mean(list(d.values()))) if d else 0.0 for d in (t.triage.predicted_dice, t.dice)]
        said = t.triage
        rows.append(
            [t.case, t.variant, t.visible, " ".join(t.wrong), said.verdict, round(said.sureness, 4)]
            + [round(m, 4) for m in means]
            + ["; ".join(said.reasons)]
        )
    return rows


def _csv(rows: Sequence[Sequence[object]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


def _draw(report: Report, path: Path) -> None:
    """Draw the reliability diagram, and true against predicted Dice."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 4.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    for one, name in ((report.before, "as it comes"), (report.after, "calibrated")):
        seen = one.count > 0
        left.plot(one.confidence[seen], one.accuracy[seen], "o-", ms=4, label=f"{name}: ECE {one.ece:.3f}")
    left.set(xlabel="confidence of voxels", ylabel="share that is right", title="Voxel probabilities")
    for variant, mark in (("as it is", "o"), ("cropped", "."), ("degraded", "x")):
        pairs = [
            (t.triage.predicted_dice[n], d)
            for t in report.trials
            if t.variant == variant
            for n, d in t.dice.items()
        ]
        if pairs:
            right.plot(*zip(*pairs, strict=True), mark, ms=4, alpha=0.5, label=variant)
    right.set(xlabel="predicted Dice", ylabel="true Dice", title="Structures of the column")
    for axes in (left, right):
        axes.plot([0, 1], [0, 1], ":", color="grey", lw=1)
        axes.set(xlim=(0, 1.02), ylim=(0, 1.02), aspect="equal")
        axes.legend(fontsize=8, frameon=False)
    with whole_file(path) as temporary:
        figure.savefig(temporary, dpi=120)
