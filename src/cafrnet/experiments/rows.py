"""What is compared: the rows of the paper's Tables 3 and 4, as data.

A row is a recipe with a few changes; everything else is the protocol's. The paper's printed figures stand
beside ours and are used for nothing but being printed.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from ..errors import UsageError, nearest

#: The row that the others are compared with.
REFERENCE = "cafr_net"


@dataclass(frozen=True)
class Paper:
    """What the paper prints in a row.

    Attributes:
        dsc, miou: in %. hd_mm: in mm, variant unnamed.
        gmacs: "FLOPs" of Table 3, which are multiply-accumulates.
        p: as printed, of a Wilcoxon test against CAFR-Net; unit unstated.
    """

    dsc: float
    hd_mm: float
    miou: float
    gmacs: float | None = None
    p: str = ""


@dataclass(frozen=True)
class Row:
    """One model of a comparison.

    Attributes:
        name: of its folder under ``runs/``.
        label: in tables.
        recipe: name of one that ships, or a YAML file.
        changes: words on top of recipe and budget, such as ``lafr=false``.
        paper: what the paper prints, where it prints something.
        train_cases: number of training cases; None takes all of the fold's.
    """

    name: str
    label: str
    recipe: str
    changes: tuple[str, ...] = ()
    paper: Paper | None = field(default=None, compare=False)
    train_cases: int | None = None


#: Table 3, in the paper's order.
TABLE3 = (
    Row("unet", "U-Net", "unet", paper=Paper(85.31, 6.71, 78.46, 12.11, "<0.001")),
    Row("nnunet", "nnU-Net (network)", "nnunet", paper=Paper(88.04, 5.41, 81.92, 12.14, "<0.001")),
    Row(
        "attention_unet",
        "Attention U-Net",
        "attention_unet",
        paper=Paper(87.92, 5.89, 81.03, 12.37, "<0.001"),
    ),
    Row("transunet", "TransUNet", "transunet", paper=Paper(89.37, 4.68, 83.27, 11.66, "0.002")),
    Row("swin_unet", "Swin-Unet", "swin_unet", paper=Paper(90.12, 4.11, 84.51, 7.36, "0.014")),
    Row("unetr_pp", "UNETR++ (2D)", "unetr_pp", paper=Paper(90.65, 3.85, 85.10, 8.36, "0.036")),
    Row("cafr_net", "CAFR-Net", "cafr_net", paper=Paper(92.04, 3.52, 89.31, 5.12)),
)
#: Those whose published size misses the paper's cost; ``<name>_paper`` is the size nearest to it.
TWO_SIZES = ("transunet", "swin_unet", "unetr_pp")

#: Table 4. The full model is the last row of Table 3, trained once.
TABLE4 = (
    Row("baseline", "Baseline", "cafr_net", ("lafr=false", "clr=false"), Paper(88.92, 5.04, 82.14)),
    Row("lafr_only", "+ LAFR", "cafr_net", ("clr=false",), Paper(90.43, 4.32, 84.89)),
    Row("clr_only", "+ CLR", "cafr_net", ("lafr=false",), Paper(91.12, 3.98, 86.01)),
    Row("cafr_net", "Full CAFR-Net", "cafr_net", (), Paper(92.04, 3.52, 89.31)),
)


def table3(sizes: str = "published", extra: tuple[str, ...] = ()) -> list[Row]:
    """Return the rows of Table 3.

    Args:
        sizes: ``"published"``, ``"paper"`` (the size nearest to the paper's cost), or ``"both"``.
        extra: further recipes, shipped ones or YAML files; each becomes a row.

    Raises:
        UsageError: other sizes, or a recipe that has the name of a row or of another recipe.
    """
    if sizes not in ("published", "paper", "both"):
        raise UsageError(f"sizes {sizes!r} came{nearest(sizes, ('published', 'paper', 'both'))}")
    rows: list[Row] = []
    for row in TABLE3:
        small = Row(f"{row.name}_paper", f"{row.label}, paper's cost", f"{row.recipe}_paper", (), row.paper)
        if row.name not in TWO_SIZES:
            rows.append(row)
        else:
            rows += {"published": [row], "paper": [small], "both": [row, small]}[sizes]
    taken = {row.name: f"row {row.label}" for row in (*TABLE3, *TABLE4)}
    taken |= {f"{name}_paper": f"row {name} at the paper's cost" for name in TWO_SIZES}
    for recipe in dict.fromkeys(extra):
        name = recipe.rpartition("/")[2].rpartition("\\")[2].removesuffix(".yaml").removesuffix(".yml")
        if name in taken:
            raise UsageError(
                f"recipe {recipe} would be called {name!r} like the {taken[name]}; rename the file"
            )
        taken[name] = f"recipe {recipe}"
        rows.append(Row(name, name, recipe))
    return rows
