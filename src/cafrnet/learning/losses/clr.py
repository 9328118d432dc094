"""Contrastive learning-based regularisation, CLR (paper Sect. 3.3, Eq. 9/13, Fig 1c).

Axes: b = image of the batch, n = sampled cell, d = embedding.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from ...errors import UsageError, nearest
from ..codes import TruthCodes
from ..ranks import gathered
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
    n = codes.num_classes
    label = codes.singleton.to(truth.device)[truth]
    of_class = label[:, None] == torch.arange(n, device=truth.device)[:, None, None]
    cover = F.avg_pool2d(of_class.float(), cell).movedim(1, -1)
    best, which = cover[..., 1:].max(dim=-1)
    result = torch.where(cover[..., 0] > 0.5, 0, -1)
    return torch.where(best >= 0.25, which + 1, result)


def sample_cells(
    labels: Tensor, anchors: int, num_classes: int, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Choose the same number of cells from every class that is present.

    Args:
        labels: [B, h, w] classes, -1 for cells that can't be used.
        anchors: cells per class.
        num_classes: classes that there are.
        generator: source of chance, on the CPU.

    Returns:
        (cells, classes), both [num_classes * anchors] int64: indices into the flattened ``labels``, and the
        class each was chosen for; -1 for a class that is absent. A class with fewer cells than ``anchors``
        gives each of them several times, so that every class that is present has ``anchors`` entries. The
        shape never depends on the data, so that a GPU need not be waited for.
    """
    flat = labels.flatten()
    seed = int(torch.randint(2**31, (1,), generator=generator))
    local = torch.Generator(flat.device).manual_seed(seed)
    chance = torch.rand(len(flat), generator=local, device=flat.device, dtype=torch.float64)
    which = torch.arange(num_classes, device=flat.device)
    order = (flat + chance).argsort()  # by class, and by chance within a class
    ends = torch.searchsorted((flat[order]).contiguous(), which, right=True)
    starts = torch.searchsorted((flat[order]).contiguous(), which)
    counts = ends - starts
    turn = torch.arange(anchors, device=flat.device) % counts.clamp(min=1)[:, None]
    cells = order[(starts[:, None] + turn).clamp(max=len(flat) - 1)]
    classes = torch.where(counts > 0, which, -1)[:, None].expand_as(cells)
    return cells.flatten(), classes.flatten()


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
        classes: [N] int64; features of class -1 take no part.
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
    takes_part = classes >= 0
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
    seed = int(torch.randint(2**31, (1,), generator=generator))
    local = torch.Generator(features.device).manual_seed(seed)
    chance = torch.rand((2, n, n), generator=local, device=features.device)
    positive_chance = chance[0].masked_fill(~(same_class & allowed), -1)
    negative_chance = chance[1].masked_fill(same_class | ~takes_part, -1)
    best, positive = positive_chance.max(dim=1)
    keep = takes_part & (best >= 0) & (negative_chance >= 0).any(dim=1)
    similarity = features @ features.T / settings.temperature
    p = similarity.gather(1, positive[:, None])
    count = min(settings.negatives or n, n)
    drawn, negative = negative_chance.topk(count, dim=1)
    q = similarity.gather(1, negative).masked_fill(drawn < 0, float("-inf"))
    each = torch.logsumexp(torch.cat([p, q], dim=1), dim=1) - p[:, 0]
    return torch.where(keep, each, 0.0).sum() / keep.sum().clamp(min=1)


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
    truth, views = gathered(truth), Views(*(gathered(v) for v in views))
    embeddings = {name: gathered(e) for name, e in embeddings.items()}
    losses = []
    for name in settings.maps:
        features = embeddings[name].float()
        labels = cell_labels(truth, codes, truth.shape[-1] // features.shape[-1])
        cells, classes = sample_cells(labels, settings.anchors, codes.num_classes, generator)
        image = torch.div(cells, labels[0].numel(), rounding_mode="floor")
        flat = features.permute(0, 2, 3, 1).reshape(-1, features.shape[1])[cells]
        projected = F.normalize(projections[name.replace("/", "_")](flat), dim=1)
        losses.append(info_nce(projected, classes, image, views, settings, generator))
    return torch.stack(losses).mean()
