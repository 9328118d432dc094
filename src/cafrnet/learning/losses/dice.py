"""Dice loss in the V-Net form, per class (paper Eq. 11; Milletari et al. 2016)."""

from __future__ import annotations

import torch
from torch import Tensor

from ..codes import TruthCodes
from ..types import Logits, Truth


def dice_loss(logits: Logits, truth: Truth, codes: TruthCodes) -> Tensor:
    r"""One minus Dice with squared denominators, per class over the whole batch, averaged over classes.

    .. math:: L_{Dice} = 1 - \frac{1}{|C|} \sum_{c \in C}
              \frac{2 \sum_i p_{ic} g_{ic}}{\sum_i p_{ic}^2 + \sum_i g_{ic}^2}

    Args:
        logits: [B, C, H, W].
        truth: [B, H, W] codes.
        codes: what the codes stand for.

    Returns:
        Scalar in [0, 1]; exactly 0 (with a gradient path) when no foreground class is present.

    C are the foreground classes that occur in the batch as a certain single class. A pixel whose set holds
    class c among others says nothing about c, and is left out of the sums of c.

    Differs from the paper: Eq. 11 has no classes.
    """
    p, n = logits.softmax(dim=1), logits.shape[1]
    classes, belongs = (t.to(truth.device)[truth].movedim(-1, 1) for t in codes.members)
    certain = codes.singleton.to(truth.device)[truth] >= 0
    known = truth != codes.unknown
    of_set = p.gather(1, classes) * belongs  # [B, k, H, W]
    squares = (p * p * known[:, None]).sum(dim=(0, 2, 3)) if not known.all() else (p * p).sum(dim=(0, 2, 3))
    overlap = torch.zeros(n, dtype=p.dtype, device=p.device)
    overlap = overlap.index_add(0, classes[:, 0].flatten(), (of_set[:, 0] * certain).flatten())
    says_nothing = (of_set * of_set * (known & ~certain)[:, None]).flatten()
    squares = squares.index_add(0, classes.flatten(), -says_nothing)
    size = torch.bincount(classes[:, 0][certain], minlength=n).to(p.dtype)
    scored = size > 0
    scored[0] = False
    dice = 2 * overlap / (squares + size).clamp(min=1e-6)
    return ((1 - dice) * scored).sum() / scored.sum().clamp(min=1)
