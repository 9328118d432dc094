"""The paper's claims that a reproduction can decide, each with what came out and whether that decides it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ...evaluation.statistics import Comparison
from ..pairs import against
from ..scores import RowScores
from .context import Context
from .table import Cell, Column, Nothing, Ranged, Table

#: Below this corrected p a difference is taken for one.
LEVEL = 0.05


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
    Claim(47, "closer at junctions", "junction: truth_to_pred_max_mm", -1, "cafr_net", "swin_unet", -0.15),
    Claim(47, "closer at junctions", "junction: truth_to_pred_max_mm", -1, "cafr_net", "transunet", -0.12),
    Claim(50, "over-segments less", "over_segmentation", -1, "cafr_net", "transunet"),
    Claim(50, "over-segments less", "over_segmentation", -1, "cafr_net", "swin_unet"),
    *(Claim(51, "in fewer pieces", "extra_components", -1, "cafr_net", n) for n in (*_BASELINES, "unetr_pp")),
    Claim(55, "LAFR helps", "dsc", 1, "lafr_only", "baseline", 0.0151),
    Claim(55, "CLR helps", "dsc", 1, "clr_only", "baseline", 0.0220),
    Claim(46, "CLR helps in sacrum and lower lumbar", "dsc_low", 1, "clr_only", "baseline"),
    Claim(48, "LAFR brings outlines closer", "junction: truth_to_pred_max_mm", -1, "lafr_only", "baseline"),
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
    Column("paper", "paper's difference", 4),
)


def claims(scores: Mapping[str, RowScores], context: Context) -> Table:
    """Return what became of the claims whose rows are there.

    The claims with one number, metric and first row are one family of Holm's correction.

    Args:
        scores: of all rows; where a row is missing, the one with ``_paper`` behind its name stands for it.
        context: what they share.
    """
    found = {c: names for c in CLAIMS if (names := _rows(c, scores))}
    tested: dict[Claim, Comparison] = {}
    for claim in found:
        family = [
            c for c in found if (c.number, c.metric, c.first) == (claim.number, claim.metric, claim.first)
        ]
        others = {found[c][1]: c for c in family}
        pairs = against(scores[found[claim][0]], [scores[n] for n in others], claim.metric)
        tested |= {others[name]: pair for name, pair in pairs.items()}
    lines = tuple(_line(claim, tested[claim], scores, *found[claim]) for claim in found)
    caption = (
        f"{context.caption()} Numbers of claims are those of docs/claims.md. 'holds' and 'fails': the "
        "corrected p is "
        f"below {LEVEL}; anything else is not decided by these runs. Shares from 0 to 1, distances in mm."
    )
    return Table("claims", "What the runs say about the paper's claims", caption, COLUMNS, lines)


def _rows(claim: Claim, scores: Mapping[str, RowScores]) -> tuple[str, str] | None:
    names = [next((n for n in (x, f"{x}_paper") if n in scores), None) for x in (claim.first, claim.second)]
    return (names[0], names[1]) if names[0] and names[1] else None


def _line(
    claim: Claim, pair: Comparison, scores: Mapping[str, RowScores], first: str, second: str
) -> dict[str, Cell]:
    line: dict[str, Cell] = {
        "number": claim.number,
        "text": claim.text,
        "first": scores[first].label,
        "second": scores[second].label,
        "metric": claim.metric,
        "cases": pair.pairs,
        "paper": Nothing("none") if claim.paper is None else claim.paper,
        "verdict": judge(claim, pair),
    }
    if pair.mean_difference is None:
        return {**line, "difference": Nothing(pair.reason), "p_holm": Nothing(pair.reason)}
    line["difference"] = Ranged(pair.mean_difference, pair.interval.low, pair.interval.high)
    line["p_holm"] = Nothing(pair.reason) if pair.p_holm is None else pair.p_holm
    return line


def judge(claim: Claim, pair: Comparison) -> str:
    """Say whether a claim holds, fails, or is not decided, and why not."""
    if pair.p_holm is None or pair.mean_difference is None:
        return f"is not decided: {pair.reason}"
    if pair.p_holm >= LEVEL:
        return "is not decided: no significant difference"
    return "holds" if pair.mean_difference * claim.better > 0 else "fails"
