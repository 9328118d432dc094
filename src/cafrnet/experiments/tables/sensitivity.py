"""S1 Appendix: one thing changed at a time, and whether the result is stable under it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..factors import Factor
from ..pairs import seed_noise
from ..rows import REFERENCE
from ..scores import RowScores
from .comparison import NOT_RUN, mean_of
from .context import PROTOCOL, Context, missing_notes
from .table import Cell, Column, Nothing, Table

COLUMNS = (
    Column("factor", "changed"),
    Column("value", "to"),
    Column("dsc", "DSC (%)", 2, 100.0),
    Column("hd95_mm", "HD95 (mm)", 2),
    Column("levels_right", "levels right (%)", 1, 100.0),
    Column("change", "change of DSC (points)", 2, 100.0),
    Column("limit", "twice the seed noise (points)", 2, 100.0),
    Column("stable", "stable"),
    Column("steps", "steps done"),
    Column("converged", "converged at this schedule"),
)


def sensitivity(
    factors: Sequence[Factor],
    points: int | None,
    scores: Mapping[str, RowScores],
    context: Context,
) -> Table:
    """Return the table of the sensitivity study.

    "Stable" is a change of the mean DSC under twice the seed noise: the standard deviation of a row's mean
    from seed to seed, pooled over the reference and all points. With one seed the noise is unknown, and so is
    what is stable.

    Args:
        factors: the study.
        points: of each factor; None for all.
        scores: of the rows that have finished runs, all on the same folds.
        context: what they share.
    """
    reference = scores.get(REFERENCE)
    rows = [(f, p, r.name) for f in factors for p, r in zip(f.points, f.rows(points), strict=False)]
    there = {name: scores[name] for *_, name in rows if name in scores}
    all_rows = [*([reference] if reference else []), *there.values()]
    noise = seed_noise(all_rows, "dsc")
    lines = [_line("full CAFR-Net", "", reference, None, noise)]
    lines += [_line(f.label, p.label, scores.get(name), reference, noise) for f, p, name in rows]
    own = "; ".join(f"{f.label} {f.reference}" for f in factors)
    caption = (
        f"{context.caption()} {PROTOCOL} Each row is the full CAFR-Net with one change, trained anew "
        "(patches, and whole slices of 384 px, have a finer grid as well: hold one against the other); "
        "changes are against the full CAFR-Net on the cases that both have. Stable: the mean DSC changes by "
        "less than twice the seed noise, the standard deviation of a row's mean from seed to seed, "
        f"pooled over all rows. The full CAFR-Net has: {own}."
    )
    return Table(
        "sensitivity",
        "S1: sensitivity to settings",
        caption,
        COLUMNS,
        tuple(lines),
        tuple(missing_notes(all_rows)),
    )


def _line(
    factor: str, value: str, scores: RowScores | None, reference: RowScores | None, noise: float | None
) -> dict[str, Cell]:
    line: dict[str, Cell] = {"factor": factor, "value": value}
    if scores is None:
        return {**line, "dsc": Nothing(NOT_RUN), "change": Nothing(NOT_RUN), "stable": Nothing(NOT_RUN)}
    line |= {key: mean_of(scores, key) for key in ("dsc", "hd95_mm", "levels_right")}
    line |= {"steps": scores.steps, "converged": scores.ending}
    line["limit"] = Nothing("one seed: unknown") if noise is None else 2 * noise
    if not value:
        return line
    change = paired_change(scores, reference) if reference else None
    if change is None or reference is None:
        reason = "no common case" if reference else "reference not run"
        return {**line, "change": Nothing(reason), "stable": Nothing(reason)}
    return {**line, "change": change, "stable": stable(change, noise, scores.doubt or reference.doubt)}


def paired_change(scores: RowScores, reference: RowScores) -> float | None:
    """Return the mean change of the DSC over the cases that both rows have; None without any."""
    one, other = scores.per_case("dsc"), reference.per_case("dsc")
    both = sorted(set(one) & set(other))
    return sum(one[c] - other[c] for c in both) / len(both) if both else None


def stable(change: float, noise: float | None, doubt: str) -> Cell:
    """Say whether a change is under twice the seed noise; nothing where that is not known."""
    if noise is None:
        return Nothing("unknown: one seed")
    if doubt:
        return Nothing(f"no claim: {doubt}")
    return "yes" if abs(change) < 2 * noise else "no"
