"""Dice loss in the V-Net form, per class (paper Eq. 11; Milletari et al. 2016)."""

from __future__ import annotations

import torch
from torch import Tensor

from ..codes import TruthCodes
from ..ranks import total
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

    Differs from the paper: Eq. 11 has no classes. Where processes share a batch, the sums are those of the
    whole batch, see :mod:`..ranks`.
    """
    p, n = logits.softmax(dim=1), logits.shape[1]
    classes, belongs = (t.to(truth.device)[truth].movedim(-1, 1) for t in codes.members)
    certain = codes.singleton.to(truth.device)[truth]
    # Sums over masks, not index_add: on a GPU most pixels would queue up at the background's one address.
    each = torch.arange(n, device=truth.device)[:, None, None]
    of_class = certain[:, None] == each
    says_nothing = torch.zeros_like(of_class)
    for member in range(classes.shape[1]):
        here = (belongs[:, member] & (certain < 0))[:, None]
        says_nothing |= here & (classes[:, member : member + 1] == each)
    counted = (truth != codes.unknown)[:, None] & ~says_nothing
    overlap = (p * of_class).sum(dim=(0, 2, 3))
    squares = (p * p * counted).sum(dim=(0, 2, 3))
    size = of_class.sum(dim=(0, 2, 3)).to(p.dtype)
    overlap, squares, size = total(torch.stack([overlap, squares, size]))
    scored = size > 0
    scored[0] = False
    dice = 2 * overlap / (squares + size).clamp(min=1e-6)
    return ((1 - dice) * scored).sum() / scored.sum().clamp(min=1)
