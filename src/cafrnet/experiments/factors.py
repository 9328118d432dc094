"""What the sensitivity study changes, one thing at a time: the paper's S1 Appendix, and what it leaves open.

Each point is the full CAFR-Net with one change. The reference is the full CAFR-Net itself. Patches need a
grid that is larger than they: whole slices on that same grid are their own reference, a point of their own.
"""

from __future__ import annotations

from dataclasses import dataclass

from .rows import Row

#: Factors on each loss weight (Sect. 3.4: "perturbing each loss weight individually").
WEIGHT_FACTORS = (0.0, 4.0, 0.25, 0.5, 2.0)
#: Weights of Sect. 4.2.
WEIGHTS = {"dice": 0.5, "ce": 1.0, "clr": 0.1}

#: What ``recipes/cafr_net.yaml`` augments by.
AUGMENTATIONS = ("flip", "rotation_deg", "scale", "shift_px", "elastic", "intensity")


@dataclass(frozen=True)
class Point:
    """One value of one factor.

    Attributes:
        label: in tables and on the axis of the figure.
        changes: words on top of the full CAFR-Net.
        value: place on a numeric axis; None for a category.
    """

    label: str
    changes: tuple[str, ...]
    value: float | None = None


@dataclass(frozen=True)
class Factor:
    """One thing that is varied.

    Attributes:
        name: part of the folders' names.
        label: in tables.
        reference: label of the full model's own value.
        points: the others, the two most telling first: a small budget takes those.
        reference_value: of the full model, on a numeric axis.
    """

    name: str
    label: str
    reference: str
    points: tuple[Point, ...]
    reference_value: float | None = None

    def rows(self, points: int | None = None) -> list[Row]:
        """Return one row per point.

        Args:
            points: how many; None for all.
        """
        return [
            Row(f"{self.name}-{k}", f"{self.label}: {p.label}", "cafr_net", p.changes)
            for k, p in enumerate(self.points[:points])
        ]


def _weight(name: str) -> Factor:
    points = tuple(
        Point(f"x {f:g}", (f"loss.{name}={WEIGHTS[name] * f:g}",), WEIGHTS[name] * f) for f in WEIGHT_FACTORS
    )
    return Factor(f"weight_{name}", f"weight of the {name} loss", "x 1", points, WEIGHTS[name])


#: 384 pixels of 0.78 mm: the field of view of 256 pixels of 1.17 mm, finer.
FINER = ("preprocessing.size=384", "preprocessing.pixel_mm=0.78")

#: The study, in the order of its table. A point's place is part of its folder's name: new ones go to the end.
FACTORS = (
    *(_weight(name) for name in WEIGHTS),
    Factor(
        "temperature",
        "CLR temperature",
        "0.07",
        tuple(Point(f"{t:g}", (f"clr.temperature={t:g}",), t) for t in (0.02, 0.5, 0.2)),
        0.07,
    ),
    Factor(
        "negatives",
        "CLR negatives per positive",
        "5",
        (
            Point("1", ("clr.negatives=1",)),
            Point("all", ("clr.negatives=0",)),
            Point("20", ("clr.negatives=20",)),
        ),
    ),
    Factor(
        "maps",
        "CLR resolutions",
        "fused, 1/8, 1/4",
        (
            Point("fused", ("clr.maps=[fused]",)),
            Point("1/8, 1/4", ("clr.maps=['1/8','1/4']",)),
            Point("fused, 1/8", ("clr.maps=[fused,'1/8']",)),
        ),
    ),
    Factor(
        "positives",
        "CLR positives",
        "same class, one view",
        (
            Point("same view, two views", ("clr.positives=view", "sampling.views=2")),
            Point("same class, two views", ("sampling.views=2",)),
            Point("neighbouring slice", ("clr.positives=neighbour",)),
        ),
    ),
    Factor(
        "contrast",
        "contrast step",
        "CLAHE",
        (
            Point("none", ("preprocessing.contrast=none",)),
            Point("HE", ("preprocessing.contrast=he",)),
            Point("HE, then CLAHE", ("preprocessing.contrast=he_clahe",)),
        ),
    ),
    Factor(
        "augmentation",
        "augmentation",
        "as Table 1",
        (
            Point("none", tuple(f"augmentation.{k}=0" for k in AUGMENTATIONS)),
            Point("no elastic deformation", ("augmentation.elastic=0",)),
            Point("no intensity changes", ("augmentation.intensity=0",)),
        ),
    ),
    Factor(
        "sampling",
        "sampling for rare classes",
        "class-aware slices",
        (
            Point("none", ("sampling.class_aware=0",)),
            Point(
                "stratified patches of 256 from 384 px of 0.78 mm",
                ("sampling.unit=patch", "sampling.patch=256", *FINER),
            ),
            Point("all slices for a class", ("sampling.class_aware=1",)),
            Point("whole slices of 384 px of 0.78 mm", FINER),
        ),
    ),
)
