"""LAFR's attention as pictures, and CLR's embeddings in the plane."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ...labels import TABLE
from ..layout import RunFolder
from ..probes.attention import attention_maps, ratios
from ..probes.networks import cases_of, load_network, model_grid
from ..probes.runs import test_cases
from ..probes.tables import read_csv
from .drawing import Drawn, NothingToShow, canvas, paint, save


def attention_pictures(run: RunFolder, data: str | Path, path: Path, *, cases: int = 3) -> Drawn:
    """Draw the mean attention of each tap beside scan and truth, for the first test cases of a run.

    Args:
        run: trained with LAFR.
        data: the dataset.
        path: of the PNG.
        cases: how many, the first of the run's test part.

    Raises:
        UsageError: a network without LAFR. InputError: a case or the weights can't be read.
    """
    network, recipe = load_network(run.path)
    pixel = (recipe.preprocessing.pixel_mm,) * 2
    rows = []
    for case, images, truth, codes in model_grid(cases_of(data, test_cases(run)[:cases]), recipe):
        labels = codes.singleton[truth].numpy()
        k = int(((labels >= 1) & (labels <= 19)).sum(axis=(1, 2)).argmax())
        rows.append((case, k, images[k, 0].numpy(), labels, attention_maps(network, images)))
    taps = rows[0][4]
    figure = canvas(1.9 * (2 + len(taps)), 2.1 * len(rows))
    grid = figure.subplots(len(rows), 2 + len(taps), squeeze=False)
    for axes, (case, k, image, labels, found) in zip(grid, rows, strict=True):
        paint(axes[0], image, None, pixel, f"{case}, slice {k + 1}")
        paint(axes[1], image, np.clip(labels[k], 0, 255).astype(np.uint8), pixel, "truth")
        for one, tap in zip(axes[2:], found, strict=True):
            plane, ratio = tap.attention[k], ratios(tap.attention, labels)["boundary_to_interior"]
            shown = one.imshow(plane, cmap="magma", interpolation="nearest")
            figure.colorbar(shown, ax=one, shrink=0.7).ax.tick_params(labelsize=6)
            said = "not measurable" if ratio is None else f"{ratio:.3f}"
            one.set_title(f"A at {tap.tap}\nboundary / interior {said}", fontsize=8)
            one.set_xticks([])
            one.set_yticks([])
    text = (
        f"LAFR's attention A (Eq. 6) of {run.row}, mean over the channels of each tap, on the slice with the "
        "most voxels of structures 1-19, for the first test cases of the run. Each map has its own colours. "
        "The ratio is over the whole case: mean A within 2 px of an outline over mean A farther inside."
    )
    return save(figure, path, text)


def embedding_plane(points: Path, separations: Path, path: Path) -> Drawn:
    """Draw the t-SNE of each row's first run, coloured by structure, with its numbers above.

    Args:
        points: ``embeddings_tsne.csv``.
        separations: ``embeddings.csv``.
        path: of the PNG.

    Raises:
        UsageError: no points. InputError: a table can't be read.
    """
    lines = read_csv(points, ("row", "fold", "seed", "id", "x", "y"))
    numbers = read_csv(separations, ("row", "fold", "seed", "between_to_within", "silhouette"))
    if not lines:
        raise NothingToShow(f"{points} holds no point; there were too few cells")
    first = {line["row"]: (line["fold"], line["seed"]) for line in reversed(lines)}
    first = {row: first[row] for row in dict.fromkeys(line["row"] for line in lines)}
    figure = canvas(3.4 * len(first), 3.9)
    grid = figure.subplots(1, len(first), squeeze=False)[0]
    ids = sorted({int(line["id"]) for line in lines})
    for axes, (row, place) in zip(grid, first.items(), strict=True):
        own = [x for x in lines if (x["row"], x["fold"], x["seed"]) == (row, *place)]
        for i in ids:
            at = [(x["x"], x["y"]) for x in own if x["id"] == i]
            colour = np.array(TABLE[i].colour) / 255
            marker = "s" if TABLE[i].kind == "disc" else "o"
            axes.scatter(*(zip(*at, strict=True) if at else ([], [])), s=6, color=colour, marker=marker)
        number = next(n for n in numbers if (n["row"], n["fold"], n["seed"]) == (row, *place))
        axes.set_title(f"{row}\n{_numbers(number)}", fontsize=8)
        axes.set_xticks([])
        axes.set_yticks([])
    handles = [
        grid[0].scatter([], [], s=14, color=np.array(TABLE[i].colour) / 255, label=TABLE[i].name,
                        marker="s" if TABLE[i].kind == "disc" else "o")
        for i in ids
    ]  # fmt: skip
    figure.legend(handles=handles, loc="outside lower center", ncols=4 * len(first), fontsize=7)
    text = (
        "t-SNE of sampled cells of the concatenated taps at 1/4 (the map that CLR works on, before its own "
        "convolution), test cases, background left out; circles vertebrae, squares discs. Distances between "
        "groups mean nothing in such a picture; the numbers above are of all features: between-class over "
        "within-class spread, and the mean silhouette."
    )
    return save(figure, path, text)


def _numbers(line: dict[str, float | None]) -> str:
    ratio, silhouette = line["between_to_within"], line["silhouette"]
    said = "not measurable" if ratio is None else f"between / within {ratio:.2f}"
    return said + ("" if silhouette is None else f", silhouette {silhouette:.3f}")
