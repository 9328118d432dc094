"""Contrastive learning-based regularisation, CLR (paper Sect. 3.3, Eq. 9/13, Fig 1c).

Axes: b = image of the batch, n = sampled cell, d = embedding.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from ...errors import UsageError, nearest
from ..codes import TruthCodes
from ..types import Features, Truth

POSITIVES = ("class", "view", "neighbour")


@dataclass(frozen=True)
class ClrSettings:
    """The choices of Table 2 and what the paper leaves open.

    Attributes:
        maps: embeddings to use; the loss is averaged over them.
        temperature: tau of Eq. 9.
        anchors: at most this many cells per class and map.
        negatives: negatives per positive (1:5 in Table 2); 0 for all of them.
        positives: where positives come from: ``"class"`` the same class in another image of the batch
            (another view included), ``"view"`` the same class in another view of the same slice,
            ``"neighbour"`` the same class in a neighbouring slice of the same scan.
        dim: length of the projected feature.
        hidden: width of the projection MLP.

    Raises:
        UsageError: unknown kind of positives, or a number out of range.
    """

    maps: tuple[str, ...] = ("fused", "1/8", "1/4")
    temperature: float = 0.07
    anchors: int = 32
    negatives: int = 5
    positives: str = "class"
    dim: int = 128
    hidden: int = 256

    def __post_init__(self) -> None:
        if self.positives not in POSITIVES:
            raise UsageError(f"clr.positives {self.positives!r} came{nearest(self.positives, POSITIVES)}")
        if self.temperature <= 0 or self.anchors < 1 or self.negatives < 0:
            raise UsageError(
                "clr: temperature and anchors must be positive and negatives 0 (all) or more; "
                f"{self.temperature}, {self.anchors} and {self.negatives} came"
            )


class Views(NamedTuple):
    """Where each image of a batch comes from, all [B] int64.

    Attributes:
        case: number of the scan.
        slice: number of the slice within its scan.
        view: number of the augmented view of that slice.
    """

    case: Tensor
    slice: Tensor
    view: Tensor


def cell_labels(truth: Truth, codes: TruthCodes, cell: int) -> Tensor:
    """Bring the truth to a coarser map of cells, as the "downsampled annotation map" of Sect. 3.3.

    A cell takes the most frequent foreground class that covers at least a quarter of it; a cell with less
    foreground than that is background if background covers more than half of it. Only pixels with one
    certain class count.

    Args:
        truth: [B, H, W] codes, H and W multiples of ``cell``.
        codes: what the codes stand for.
        cell: edge of a cell in pixels.

    Returns:
        [B, H / cell, W / cell] int64: class, or -1 where nothing can be said.
    """
    batch, height, width = truth.shape
    n = codes.num_classes
    label = codes.singleton.to(truth.device)[truth]
    rows, cols = height // cell, width // cell
    pixel_cell = torch.arange(batch * rows * cols, device=truth.device).view(batch, rows, cols)
    pixel_cell = pixel_cell.repeat_interleave(cell, dim=1).repeat_interleave(cell, dim=2)
    bins = pixel_cell * (n + 1) + label + 1  # bin 0 of a cell: pixels without one certain class
    counts = torch.bincount(bins.flatten(), minlength=batch * rows * cols * (n + 1))
    cover = counts.view(batch, rows, cols, n + 1)[..., 1:] / cell**2
    best, which = cover[..., 1:].max(dim=-1)
    result = torch.where(cover[..., 0] > 0.5, 0, -1)
    return torch.where(best >= 0.25, which + 1, result)


def sample_cells(labels: Tensor, anchors: int, generator: torch.Generator) -> Tensor:
    """Choose the same number of cells from every class that is present, rare classes first.

    Args:
        labels: [B, h, w] classes, -1 for cells that can't be used.
        anchors: cells per class.
        generator: source of chance.

    Returns:
        [N] int64, indices into the flattened ``labels``. A class with fewer cells gives some of them more
        than once, so that every class has ``anchors`` entries.
    """
    flat = labels.flatten()
    classes, counts = flat[flat >= 0].unique(return_counts=True)
    chosen = []
    for c in classes[counts.argsort()]:
        cells = (flat == c).nonzero()[:, 0]
        if len(cells) >= anchors:
            pick = torch.randperm(len(cells), generator=generator)[:anchors]
        else:
            pick = torch.randint(len(cells), (anchors,), generator=generator)
        chosen.append(cells[pick.to(cells.device)])
    return torch.cat(chosen) if chosen else flat.new_empty(0)


def info_nce(
    features: Tensor,
    classes: Tensor,
    image: Tensor,
    views: Views,
    settings: ClrSettings,
    generator: torch.Generator,
) -> Tensor:
    r"""InfoNCE over sampled features, one positive and ``negatives`` negatives per anchor (Eq. 9 = Eq. 13).

    .. math:: L = -\frac{1}{N} \sum_i \log \frac{e^{s_{ij}}}{e^{s_{ij}} + \sum_k e^{s_{ik}}},
              \qquad s_{ij} = f_i \cdot f_j^+ / \tau, \quad s_{ik} = f_i \cdot f_k^- / \tau

    Args:
        features: [N, d], unit length.
        classes: [N] int64.
        image: [N] int64, the image of the batch that each feature comes from.
        views: where the images come from.
        settings: temperature, number of negatives, kind of positives.
        generator: source of chance.

    Returns:
        Scalar >= 0; exactly 0, with a gradient path, when no anchor has both a positive and a negative.

    Decided beyond the paper: Eq. 9 reuses its index and leaves open whether the positive stands in the
    denominator (it does here) and what "1:5" counts (five negatives for each positive).
    """
    n = len(features)
    if n == 0:
        return features.sum() * 0.0
    same_class = classes[:, None] == classes[None]
    case, section, view = views.case[image], views.slice[image], views.view[image]
    same_case = case[:, None] == case[None]
    same_slice = same_case & (section[:, None] == section[None])
    same_image = same_slice & (view[:, None] == view[None])
    allowed = {
        "class": ~same_image,
        "view": same_slice & ~same_image,
        "neighbour": same_case & ((section[:, None] - section[None]).abs() == 1),
    }[settings.positives]
    chance = torch.rand((2, n, n), generator=generator).to(features.device)
    positive_chance = chance[0].masked_fill(~(same_class & allowed), -1)
    negative_chance = chance[1].masked_fill(same_class, -1)
    best, positive = positive_chance.max(dim=1)
    keep = (best >= 0) & (negative_chance >= 0).any(dim=1)
    if not keep.any():
        return features.sum() * 0.0
    similarity = (features @ features.T / settings.temperature)[keep]
    p = similarity.gather(1, positive[keep][:, None])
    count = min(settings.negatives or n, n)
    drawn, negative = negative_chance[keep].topk(count, dim=1)
    q = similarity.gather(1, negative).masked_fill(drawn < 0, float("-inf"))
    return (torch.logsumexp(torch.cat([p, q], dim=1), dim=1) - p[:, 0]).mean()


def contrast(
    embeddings: dict[str, Features],
    projections: torch.nn.ModuleDict,
    truth: Truth,
    codes: TruthCodes,
    views: Views,
    settings: ClrSettings,
    generator: torch.Generator,
) -> Tensor:
    """Return the CLR loss of a batch: InfoNCE on each map, averaged over the maps.

    Args:
        embeddings: name -> [B, c, h, w].
        projections: name of a map -> MLP from its channels to ``settings.dim``; a map's name has its
            slashes replaced by underscores there.
        truth: [B, H, W] codes.
        codes, views, settings, generator: see :func:`cell_labels`, :class:`Views`, :func:`info_nce`.
    """
    losses = []
    for name in settings.maps:
        features = embeddings[name].float()
        labels = cell_labels(truth, codes, truth.shape[-1] // features.shape[-1])
        cells = sample_cells(labels, settings.anchors, generator)
        image = torch.div(cells, labels[0].numel(), rounding_mode="floor")
        flat = features.permute(0, 2, 3, 1).reshape(-1, features.shape[1])[cells]
        projected = torch.nn.functional.normalize(projections[name.replace("/", "_")](flat), dim=1)
        losses.append(info_nce(projected, labels.flatten()[cells], image, views, settings, generator))
    return torch.stack(losses).mean()
