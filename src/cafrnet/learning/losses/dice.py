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
    p = logits.softmax(dim=1)
    n = logits.shape[1]
    singleton = codes.singleton.to(truth.device)[truth]
    certain = singleton >= 0
    label = singleton.clamp(min=0)
    p_label = p.gather(1, label[:, None])[:, 0] * certain
    flat = label.flatten()
    overlap = torch.zeros(n, dtype=p.dtype, device=p.device).index_add(0, flat, p_label.flatten())
    size = torch.bincount(flat[certain.flatten()], minlength=n).to(p.dtype)
    squares = (p * p).sum(dim=(0, 2, 3))
    for code, classes in codes.ambiguous:
        at = truth == code
        if at.any():
            squares = squares - _sums_at(p, at, classes)
    if codes.unknown >= 0 and (at := truth == codes.unknown).any():
        squares = squares - _sums_at(p, at, tuple(range(n)))
    scored = size > 0
    scored[0] = False
    dice = 2 * overlap / (squares + size).clamp(min=1e-6)
    return ((1 - dice) * scored).sum() / scored.sum().clamp(min=1)


def _sums_at(p: Tensor, at: Tensor, classes: tuple[int, ...]) -> Tensor:
    """[C]: sum of p^2 over the pixels ``at`` for the given classes, 0 for the others."""
    sums = torch.zeros(p.shape[1], dtype=p.dtype, device=p.device)
    index = torch.tensor(classes, device=p.device)
    return sums.index_add(0, index, torch.stack([(p[:, c] ** 2 * at).sum() for c in classes]))
