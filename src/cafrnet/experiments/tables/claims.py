"""The paper's claims that a reproduction can decide, each with what came out and whether that decides it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ...evaluation.statistics import Comparison
from ..pairs import ROUNDING, corrected, missed, pair
from ..scores import RowScores
from .context import Context
from .table import Cell, Column, Nothing, Ranged, Table

#: Below this corrected p a difference is taken for one.
LEVEL = 0.05
#: Mean over the truth's points at junctions, those of missed structures with the diagonal of the volume.
JUNCTION = "junction: truth_to_pred_penalised_mm"


@dataclass(frozen=True)
class Claim:
    """One row is better than another in something.

    Attributes:
        number: in ``docs/claims.md``.
        text: in words.
        metric: of the cases. better: 1 where more is better, -1 where less is.
        first, second: rows.
        paper: the difference that it prints; None where it prints none.
    """

    number: int
    text: str
    metric: str
    better: int
    first: str
    second: str
    paper: float | None = None


_BASELINES = {"unet": 6.73, "nnunet": 4.00, "attention_unet": 4.12, "transunet": 2.67, "swin_unet": 1.92}
CLAIMS = (
    *(
        Claim(4, "better", "dsc", 1, "cafr_net", n, d / 100)
        for n, d in {**_BASELINES, "unetr_pp": 1.39}.items()
    ),
    Claim(45, "better in sacrum and lower lumbar", "dsc_low", 1, "cafr_net", "unet", 0.0281),
    Claim(45, "better in sacrum and lower lumbar", "dsc_low", 1, "cafr_net", "nnunet", 0.0157),
    Claim(47, "closer at junctions", JUNCTION, -1, "cafr_net", "swin_unet", -0.15),
    Claim(47, "closer at junctions", JUNCTION, -1, "cafr_net", "transunet", -0.12),
    Claim(50, "over-segments less", "over_segmentation", -1, "cafr_net", "transunet"),
    Claim(50, "over-segments less", "over_segmentation", -1, "cafr_net", "swin_unet"),
    *(Claim(51, "in fewer pieces", "extra_components", -1, "cafr_net", n) for n in (*_BASELINES, "unetr_pp")),
    Claim(55, "LAFR helps", "dsc", 1, "lafr_only", "baseline", 0.0151),
    Claim(55, "CLR helps", "dsc", 1, "clr_only", "baseline", 0.0220),
    Claim(46, "CLR helps in sacrum and lower lumbar", "dsc_low", 1, "clr_only", "baseline"),
    Claim(48, "LAFR brings outlines closer", JUNCTION, -1, "lafr_only", "baseline"),
    Claim(58, "the full model is best", "dsc", 1, "cafr_net", "lafr_only", 0.0161),
    Claim(58, "the full model is best", "dsc", 1, "cafr_net", "clr_only", 0.0092),
)
COLUMNS = (
    Column("number", "claim"),
    Column("text", "what is claimed"),
    Column("first", "first"),
    Column("second", "second"),
    Column("verdict", "here it"),
    Column("metric", "metric"),
    Column("difference", "first minus second", 4),
    Column("p_holm", "p (Wilcoxon, Holm)", 4),
    Column("cases", "cases"),
    Column("missed_first", "missed by the first (%)", 1, 100.0),
    Column("missed_second", "missed by the second (%)", 1, 100.0),
    Column("paper", "paper's difference", 4),
)


def claims(scores: Mapping[str, RowScores], context: Context) -> Table:
    """Return what became of the claims whose rows are there.

    The tests of one number are one family of Holm's correction, whatever their rows.

    Args:
        scores: of all rows; where a row is missing, the one with ``_paper`` behind its name stands for it.
        context: what they share.
    """
    found = {c: (scores[names[0]], scores[names[1]]) for c in CLAIMS if (names := _rows(c, scores))}
    tested: dict[Claim, Comparison] = {}
    for number in dict.fromkeys(claim.number for claim in found):
        family = {c: pair(*rows, c.metric) for c, rows in found.items() if c.number == number}
        tested |= corrected(family)
    lines = tuple(_line(claim, tested[claim], *rows) for claim, rows in found.items())
    caption = (
        f"{context.caption()} Numbers of claims are those of docs/claims.md. 'holds' and 'fails': p is below "
        f"{LEVEL}, corrected by Holm over the tests of one number; anything else is not decided by these "
        "runs. Nor is what a row gains by finding less: of two rows the better one in distances, false "
        "positives or pieces must not miss more. Shares from 0 to 1, distances in mm; at junctions the mean "
        "over the truth's outline, where missed structures have the diagonal of the volume (the paper's "
        "figures there are of an HD whose form it does not name)."
    )
    return Table("claims", "What the runs say about the paper's claims", caption, COLUMNS, lines)


def _rows(claim: Claim, scores: Mapping[str, RowScores]) -> tuple[str, str] | None:
    names = [next((n for n in (x, f"{x}_paper") if n in scores), None) for x in (claim.first, claim.second)]
    return (names[0], names[1]) if names[0] and names[1] else None


def _line(claim: Claim, tested: Comparison, first: RowScores, second: RowScores) -> dict[str, Cell]:
    rates = missed([first, second])
    shown = [Nothing("unknown") if rate is None else rate for rate in rates]
    line: dict[str, Cell] = {
        "number": claim.number,
        "text": claim.text,
        "first": first.label,
        "second": second.label,
        "metric": claim.metric,
        "cases": tested.pairs,
        "missed_first": shown[0],
        "missed_second": shown[1],
        "paper": Nothing("none") if claim.paper is None else claim.paper,
        "verdict": judge(claim, tested, rates),
    }
    if tested.mean_difference is None:
        return {**line, "difference": Nothing(tested.reason), "p_holm": Nothing(tested.reason)}
    line["difference"] = Ranged(tested.mean_difference, tested.interval.low, tested.interval.high)
    line["p_holm"] = Nothing(tested.reason) if tested.p_holm is None else tested.p_holm
    return line


def judge(claim: Claim, tested: Comparison, rates: Sequence[float | None]) -> str:
    """Say whether a claim holds, fails, or is not decided, and why not.

    Args:
        claim: what is claimed.
        tested: the first row against the second.
        rates: of missed structures, of both, 0 to 1.
    """
    if tested.p_holm is None or tested.mean_difference is None:
        return f"is not decided: {tested.reason}"
    if tested.p_holm >= LEVEL:
        return "is not decided: no significant difference"
    holds = tested.mean_difference * claim.better > 0
    if claim.better < 0 and (why := _cheap(holds, *rates)):
        return f"is not decided: {why}"
    return "holds" if holds else "fails"


def _cheap(first_wins: bool, first: float | None, second: float | None) -> str:
    """Say why less of something is no merit: who has less of it misses more."""
    if first is None or second is None:
        return "what the rows miss is unknown"
    more = first - second if first_wins else second - first
    if more <= ROUNDING:
        return ""
    who = "first" if first_wins else "second"
    return f"the {who} has less of it and misses more ({100 * first:.1f} % against {100 * second:.1f} %)"
