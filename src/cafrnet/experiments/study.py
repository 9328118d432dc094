"""Which rows each part of a reproduction needs, and on which folds."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from ..datasets import Split
from ..errors import UsageError, nearest
from .factors import FACTORS, Factor
from .layout import Folder
from .probes.learning_curve import SIZES as CURVE_SIZES
from .probes.learning_curve import small_splits
from .protocol import Budget
from .rows import REFERENCE, TABLE3, TABLE4, Row, table3

logger = logging.getLogger(__name__)

#: What can be asked for; ``all`` is all of it.
WHAT = ("table3", "table4", "sensitivity", "robustness", "learning-curve", "figures")
#: The two models whose need of training cases is compared.
CURVE_ROWS = ("unet", REFERENCE)
#: The full CAFR-Net.
FULL = TABLE4[-1]


def resolve(what: Sequence[str]) -> tuple[str, ...]:
    """Return the parts that are asked for, in the order of ``WHAT``.

    Raises:
        UsageError: nothing, or a word that is none of them.
    """
    for word in what:
        if word not in (*WHAT, "all"):
            raise UsageError(f"nothing is called {word!r}{nearest(word, (*WHAT, 'all'))}")
    if not what:
        raise UsageError(f"nothing was asked for; name one or more of {', '.join(WHAT)}, or all")
    return WHAT if "all" in what else tuple(word for word in WHAT if word in what)


@dataclass(frozen=True)
class Study:
    """The rows of each part.

    Attributes:
        what: the parts that are asked for.
        comparison: rows of Table 3.
        ablation: rows of Table 4.
        factors: of the sensitivity study.
        curve: model -> its rows with fewer training cases; the model's own row has all of them.
        sizes_left_out: of the learning curve, since the fold has fewer training cases.
        folds: of the tables.
        few_folds: of sensitivity and learning curve, which have many rows: the first of ``folds``.
        points: of each factor; None for all.
    """

    what: tuple[str, ...]
    comparison: tuple[Row, ...]
    ablation: tuple[Row, ...]
    factors: tuple[Factor, ...]
    curve: dict[str, tuple[Row, ...]]
    sizes_left_out: tuple[int, ...]
    folds: tuple[int, ...]
    few_folds: tuple[int, ...]
    points: int | None

    @property
    def points_of_study(self) -> list[Row]:
        """Rows of the sensitivity study without the reference."""
        return [row for factor in self.factors for row in factor.rows(self.points)]

    @property
    def curve_rows(self) -> list[Row]:
        """Rows of the learning curve, those with all training cases included."""
        models = {row.name: row for row in TABLE3}
        return [row for name, small in self.curve.items() for row in (models[name], *small)]

    def asked(self) -> list[tuple[Row, tuple[int, ...]]]:
        """Return every row with the folds that it is wanted on; a row may come more than once.

        Rows that are one experiment lie in the folder of the first of them. Those of Table 4 come before the
        points of the sensitivity study, asked for or not, so that neither is trained twice.
        """
        rows: list[tuple[Row, tuple[int, ...]]]
        rows = [(row, self.folds) for row in (*self.comparison, *self.ablation)]
        if self.factors:
            rows += [(row, ()) for row in TABLE4]
            rows += [(row, self.few_folds) for row in (FULL, *self.points_of_study)]
        return rows + [(row, self.few_folds) for row in self.curve_rows]

    def write_small_splits(self, split: Split, folder: Folder, seeds: Sequence[int]) -> None:
        """Write the splits with fewer training cases; nested, so that each holds all cases of the smaller."""
        sizes = sorted({row.train_cases for rows in self.curve.values() for row in rows if row.train_cases})
        for fold in self.few_folds if sizes else ():
            for seed in seeds:
                for small in small_splits(split, fold, sizes=sizes, seed=seed):
                    small.split.save(folder.small_split(small.train_cases, fold, seed))


def make_study(
    what: tuple[str, ...],
    budget: Budget,
    split: Split,
    *,
    sizes: str | None = None,
    only: Sequence[str] = (),
) -> Study:
    """Put a study together.

    Args:
        what: see :func:`resolve`.
        budget: its folds, points and sizes.
        split: whose training parts limit the learning curve.
        sizes: instead of the budget's.
        only: names of rows and factors to which the tables are restricted; a name that is none of them is a
            recipe, which becomes a row of Table 3.
    """
    asked = set(what)
    comparison, ablation, factors = table3(sizes or budget.sizes), list(TABLE4), list(FACTORS)
    if only:
        known = {row.name for row in (*table3("both"), *TABLE4)} | {factor.name for factor in FACTORS}
        recipes = tuple(name for name in only if name not in known)
        comparison = [r for r in table3("both", recipes) if r.name in only or r.recipe in recipes]
        ablation = [row for row in ablation if row.name in only]
        factors = [factor for factor in factors if factor.name in only]
    curve: dict[str, tuple[Row, ...]] = {}
    gone: tuple[int, ...] = ()
    if "learning-curve" in asked:
        fitting, gone = _curve_sizes(budget, split)
        curve = {row.name: _curve(row, fitting) for row in TABLE3 if row.name in CURVE_ROWS}
    return Study(
        what,
        tuple(comparison if asked & {"table3", "robustness", "figures"} else ()),
        tuple(ablation if asked & {"table4", "figures"} else ()),
        tuple(factors if "sensitivity" in asked else ()),
        curve,
        gone,
        budget.folds,
        budget.folds[:1],
        budget.points,
    )


def _curve_sizes(budget: Budget, split: Split) -> tuple[list[int], tuple[int, ...]]:
    """Return the sizes below all training cases of the fold, and those above, which there can't be."""
    whole = len(split.parts(budget.folds[0])["train"])
    sizes = CURVE_SIZES if budget.points is None else CURVE_SIZES[: budget.points - 1]
    gone = tuple(n for n in sizes if n > whole)
    if gone:
        logger.warning(
            "the fold has %d training cases: %s are left out of the learning curve, all %d are the largest",
            whole,
            ", ".join(map(str, gone)),
            whole,
        )
    return [n for n in sizes if n < whole], gone


def _curve(row: Row, sizes: Sequence[int]) -> tuple[Row, ...]:
    return tuple(
        Row(f"{row.name}-train{n}", f"{row.label}, {n} training cases", row.recipe, train_cases=n)
        for n in sizes
    )
